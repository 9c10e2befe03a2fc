package ui

// Choice is a field with a few values to choose from.
type Choice struct {
	Name    string
	Label   string
	Options []Option
}

// Option is one of the values.
type Option struct {
	Value      string // empty: any
	Label      string
	IsSelected bool
}

// Search is a field for words to look for.
type Search struct {
	Name  string
	Label string
	// Placeholder says what is looked at.
	Placeholder string
	Value       string
	MaxLength   int
}

// Check is a filter that is on or off; on, it sends "1".
type Check struct {
	Name  string
	Label string
	IsOn  bool
}

// Kept is something that an address says and a form sends along unseen.
type Kept struct{ Name, Value string }
