// Package ui holds the parts that pages are made of: buttons, fields, tables,
// figures. A part takes a small struct of plain text; whoever fills it has
// formatted amounts and dates before.
package ui

// Tone says how good or bad news is. It colours, and never speaks alone: the
// words beside it say the same.
type Tone string

// The tones; the zero value is neutral.
const (
	Neutral Tone = ""
	Good    Tone = "good"
	Warn    Tone = "warn"
	Bad     Tone = "bad"
)

// class is the modifier of a part's class: "badge badge-good".
func (t Tone) class(part string) string {
	if t == Neutral {
		return part
	}
	return part + " " + part + "-" + string(t)
}

// Action is a link that looks like a button. The label says what happens.
type Action struct {
	Label string
	Href  string
	// Quiet takes the accent away: a page has one primary action.
	Quiet bool
}

// IsZero reports whether there is nothing to press.
func (a Action) IsZero() bool { return a.Label == "" }

func (a Action) class() string {
	if a.Quiet {
		return "button button-quiet"
	}
	return "button"
}

// Instant is a moment as people read it, and as machines do.
type Instant struct {
	Text string // "3 Mar 2026"
	// Title is shown on hover: "3 Mar 2026, 14:05 UTC".
	Title string
	// ISO is RFC 3339 or a plain date: "2026-03-03T14:05:00Z".
	ISO string
}

// Badge is a status in a word or two.
type Badge struct {
	Text string
	Tone Tone
	// Title is the precise term behind the word, shown on hover.
	Title string
}

// Flash is what the last act led to, told once on the next page.
type Flash struct {
	Text string
	Tone Tone
}

// Banner is a problem at the top of a page, with the one way to solve it.
type Banner struct {
	Title string
	Text  string
	// Hint stands beneath: the way on that no button of ours leads. Empty: none.
	Hint   string
	Tone   Tone
	Action Action
}

// IsZero reports whether there is nothing to say.
func (b Banner) IsZero() bool { return b.Title == "" && b.Text == "" }

// Stat is a figure that is the point of its card.
type Stat struct {
	Label string // "Monthly recurring revenue"
	Value string // "$99.00"; empty: not known, drawn as a dash
	// Note stands beneath: what it is made of, or why it is not known.
	Note string
}

// Definition is a term and what it means here.
type Definition struct {
	Term string
	Text string
	// Note stands beneath the text in small.
	Note string
	// Link stands behind the text; zero: none.
	Link Link
}

// Meter is how much of an allowance is used.
type Meter struct {
	Name    string // "Members"
	Used    string // "3"; empty: use is not measured, only the allowance is shown
	Allowed string // "10"
	// Percent is the length of the bar; over 100 is drawn full.
	Percent int
}

func (m Meter) tone() Tone {
	switch {
	case m.Percent >= 100:
		return Bad
	case m.Percent >= 80:
		return Warn
	}
	return Neutral
}
