package handlers

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/views"
	"github.com/promptforge/payments/views/ui"
)

// mailsOnPage is how many mails a page of the mailbox shows.
const mailsOnPage = 50

// mailbox lists the mails of a demo, where nobody else's are. A server that
// sends them has no such page.
func (s *server) mailbox(c echo.Context) error {
	if s.SimulatorURL == "" {
		return errNoSuchPage
	}
	ctx, q := c.Request().Context(), db.New(s.Pool)
	to := storable(c.QueryParam("to"))
	total, err := q.MailboxSize(ctx, to)
	if err != nil {
		return err
	}
	pages := max(1, int((total+mailsOnPage-1)/mailsOnPage))
	page, err := strconv.Atoi(c.QueryParam("page"))
	if err != nil || page < 1 {
		page = 1
	}
	page = min(page, pages)
	rows, err := q.Mailbox(ctx, db.MailboxParams{Address: to, PageSize: mailsOnPage, Skipped: int32((page - 1) * mailsOnPage)}) //nolint:gosec // a page that is there
	if err != nil {
		return err
	}
	m := views.Mailbox{
		Frame:  s.frame(c),
		Search: ui.Search{Name: "to", Label: "Recipient", Placeholder: "Whole address", Value: to, MaxLength: maxAddress},
		Count:  count(total) + " mails",
		List:   ui.List{Caption: "Mails", Columns: mailColumns},
		Pager:  ui.Pager{Label: "Pages of mails", Page: page, Pages: pages},
	}
	if total == 1 {
		m.Count = "1 mail"
	}
	if to != "" {
		m.ClearHref = "/demo/mailbox"
	}
	if page > 1 {
		m.Pager.Previous = mailboxHref(to, page-1)
	}
	if page < pages {
		m.Pager.Next = mailboxHref(to, page+1)
	}
	for _, row := range rows {
		m.List.Rows = append(m.List.Rows, ui.ListRow{Href: "/demo/mailbox/" + strconv.FormatInt(row.ID, 10), Cells: []ui.Cell{
			{Text: mailTitle(row.Subject, row.Kind)}, {Text: row.ToAddress}, {Badge: mailState(row.State)}, {Instant: instant(row.CreatedAt, "2 Jan 2006")},
		}})
	}
	return s.render(c, views.MailboxPage(m), views.MailboxReport(m))
}

// maxAddress is how long an address may be, RFC 5321.
const maxAddress = 254

// storable is a text that can be looked up: what holds bytes that no text has
// finds nothing.
func storable(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > maxAddress {
		s = s[:maxAddress]
	}
	return strings.ToLower(strings.ReplaceAll(strings.ToValidUTF8(s, "�"), "\x00", "�"))
}

func mailboxHref(to string, page int) string {
	query := url.Values{}
	if to != "" {
		query.Set("to", to)
	}
	if page > 1 {
		query.Set("page", strconv.Itoa(page))
	}
	if len(query) == 0 {
		return "/demo/mailbox"
	}
	return "/demo/mailbox?" + query.Encode()
}

var mailColumns = []ui.ListColumn{
	{Column: ui.Column{Label: "Subject"}},
	{Column: ui.Column{Label: "To"}},
	{Column: ui.Column{Label: "State"}},
	{Column: ui.Column{Label: "Date", Short: true}},
}

// mailTitle is a mail's subject, or what it will be about.
func mailTitle(subject, kind string) string {
	if subject != "" {
		return subject
	}
	if kind == "payment_failed" {
		return "Payment failed"
	}
	return "Receipt"
}

func mailState(state string) ui.Badge {
	switch state {
	case "kept":
		return ui.Badge{Text: "Kept", Title: "No mail server is configured"}
	case "sent":
		return ui.Badge{Text: "Sent", Tone: ui.Good}
	case "failed":
		return ui.Badge{Text: "Failed", Tone: ui.Bad}
	default:
		return ui.Badge{Text: "Waiting", Tone: ui.Warn}
	}
}

// mailboxMail shows one mail of a demo.
func (s *server) mailboxMail(c echo.Context) error {
	id, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if s.SimulatorURL == "" || err != nil {
		return errNoSuchPage
	}
	row, err := db.New(s.Pool).Mail(c.Request().Context(), id)
	if db.IsNotFound(err) {
		return errNoSuchPage
	}
	if err != nil {
		return err
	}
	subject, text := "", ""
	if row.Subject != nil && row.BodyText != nil {
		subject, text = *row.Subject, *row.BodyText
	}
	m := views.Mail{
		Frame: s.frame(c), Subject: mailTitle(subject, row.Kind), BackHref: "/demo/mailbox",
		Facts: []ui.Definition{
			{Term: "To", Text: row.ToAddress, Link: ui.Link{Text: "All to this address", Href: mailboxHref(row.ToAddress, 1)}},
			{Term: "Date", Text: row.CreatedAt.UTC().Format("2 Jan 2006, 15:04") + " UTC"},
			{Term: "State", Text: mailState(row.State).Text, Note: mailState(row.State).Title},
		},
	}
	if row.LastError != nil {
		m.Facts = append(m.Facts, ui.Definition{Term: "Last error", Text: *row.LastError})
	}
	for line := range strings.Lines(text) {
		m.Lines = append(m.Lines, mailLine(strings.TrimRight(line, "\r\n")))
	}
	return s.page(c, http.StatusOK, views.MailPage(m))
}

// mailLine makes the address that a line ends in a link. The mail's own words
// put nothing but our pages and Stripe's there.
func mailLine(line string) views.MailLine {
	i := strings.LastIndexByte(line, ' ')
	if last := line[i+1:]; strings.HasPrefix(last, "http://") || strings.HasPrefix(last, "https://") {
		return views.MailLine{Text: line[:i+1], Href: last}
	}
	return views.MailLine{Text: line}
}
