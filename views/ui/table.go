package ui

import "strings"

// Table is rows of text.
type Table struct {
	// Caption names the table; it is read out, not drawn, where a heading
	// above already says it.
	Caption string
	Columns []Column
	Rows    []Row
	// Footer is one row of totals; empty: none.
	Footer Row
	// Empty says why there are no rows and what to do.
	Empty string
}

// Column is the head of a column.
type Column struct {
	Label string
	// Numeric aligns the column at its end.
	Numeric bool
	// Short keeps its words on one line: dates, names of plans.
	Short bool
	// Wide is left out on a phone.
	Wide bool
}

// Row is one row; its first cell names it.
type Row []Cell

// Cell is the content of a cell. Only Text is required.
type Cell struct {
	Text  string
	Note  string // beneath, in small
	Title string // on hover
	Href  string // makes the text a link
	Badge Badge  // before the text
	// Code prints the text as an id, in mono.
	Code bool
	// Term is the precise word behind the text, after it in mono: Stripe's own
	// for a status where it is another than the badge's.
	Term string
	// Instant says the text's moment to machines, and the rest on hover.
	Instant Instant
	// Spark is drawn beneath the text.
	Spark Spark
}

func (t Table) class(column int) string {
	var names []string
	if column >= len(t.Columns) {
		return ""
	}
	c := t.Columns[column]
	if c.Numeric {
		names = append(names, "num")
	}
	if c.Short || c.Numeric {
		names = append(names, "short")
	}
	if c.Wide {
		names = append(names, "wide")
	}
	return strings.Join(names, " ")
}

// List is a table of many rows, each of which leads somewhere. Its heads sort
// it, and the arrow keys walk from row to row.
type List struct {
	Caption string
	Columns []ListColumn
	Rows    []ListRow
}

// ListColumn is a column with the link that sorts by it.
type ListColumn struct {
	Column
	// Href sorts by the column, or turns its order round; empty: it cannot be
	// sorted.
	Href string
	// Order is "ascending" or "descending" for the column that the rows are
	// sorted by, else empty.
	Order string
}

// ListRow is one row; its first cell is the link to Href.
type ListRow struct {
	Href  string
	Cells []Cell
}

func (l List) class(column int) string {
	if column >= len(l.Columns) {
		return ""
	}
	return Table{Columns: []Column{l.Columns[column].Column}}.class(0)
}

// label names a cell where rows are drawn as cards, without their heads.
func (l List) label(column int) string {
	if column >= len(l.Columns) {
		return ""
	}
	return l.Columns[column].Label
}

func (c ListColumn) sortTitle() string {
	if c.Order != "" {
		return "Turn the order round"
	}
	return "Sort by " + c.Label
}

// Pager leads from page to page. It draws nothing for one page.
type Pager struct {
	// Label names the pages for who does not see them: "Pages of subscriptions".
	Label       string
	Page, Pages int
	// Previous and Next are empty at the ends.
	Previous, Next string
}
