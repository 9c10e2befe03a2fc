// Package views draws the pages. Each page is a struct of plain text, flags and
// lists, and a component that draws it: Pricing and PricingPage. Amounts and
// dates arrive formatted; nothing here decides, asks or computes. The zero value
// of every page can be drawn.
package views

import (
	"net/url"
	"strconv"

	"github.com/a-h/templ"

	"github.com/promptforge/payments/views/ui"
)

// Product is the name that people know us by.
const Product = "PromptForge"

// Frame is what a page shows around its content.
type Frame struct {
	// Title is the document's, without the product's name; empty: the page's
	// own default.
	Title string
	// Description is what search engines show beneath the title; empty: none.
	Description string
	// Path is the path of the request; the link to it is marked in lists of
	// links.
	Path    string
	Account Account
	// TestMode says in a strip across the top that no real money moves.
	TestMode bool
	// Simulator is told of beside it.
	Simulator Simulator
	// Support is the address that customers write to; empty: none is named.
	Support string
	// OpenAlerts is how many things need an administrator's attention.
	OpenAlerts int
	// FoldRail shows the administrator's rail as icons alone.
	FoldRail bool
	// FiguresQuery is what the links between pages of figures carry along, with
	// its question mark, so that a range once chosen holds for all of them;
	// empty: nothing.
	FiguresQuery string
	Flash        ui.Flash
}

// Account is who is signed in; zero: nobody.
type Account struct {
	Name         string
	Email        string
	Organization string
	// IsAdmin shows the way to the administrator's pages.
	IsAdmin bool
}

// SignedIn reports whether anybody is.
func (a Account) SignedIn() bool { return a.Email != "" }

func (a Account) label() string {
	switch {
	case a.Organization != "":
		return a.Organization
	case a.Name != "":
		return a.Name
	}
	return orElse(a.Email, "Account")
}

// writeToUs is "write to us at help@example.com".
func (f Frame) writeToUs() string {
	if f.Support == "" {
		return "write to us"
	}
	return "write to us at " + f.Support
}

func (f Frame) documentTitle() string {
	if f.Title == "" {
		return Product
	}
	return f.Title + " · " + Product
}

// titled is the frame with a title for the document where it has none.
func (f Frame) titled(title string) Frame {
	if f.Title == "" {
		f.Title = title
	}
	return f
}

// current is the value of aria-current for a link.
func (f Frame) current(href string) string {
	if f.Path == href {
		return "page"
	}
	return "false"
}

// withNext is a path that carries on the path to go on to afterwards.
func withNext(path, next string) templ.SafeURL {
	if next == "" {
		return templ.SafeURL(path)
	}
	return templ.SafeURL(path + "?" + url.Values{"next": {next}}.Encode())
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func trueOrFalse(b bool) string { return strconv.FormatBool(b) }

func problemTitle(problem string) string {
	if problem == "" {
		return ""
	}
	return "The payment page could not be opened"
}
