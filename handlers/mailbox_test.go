package handlers_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/promptforge/payments/handlers"
)

func inDemo(d *handlers.Deps) { d.SimulatorURL = "http://127.0.0.1:8081/" }

// mails are kept as a demo keeps them; the newest is to ada.
func (b *bundle) mails(n int) {
	b.t.Helper()
	for i := range n {
		to := []string{"ada@example.com", "grace@example.com"}[(n-1-i)%2]
		_, err := b.pool.Exec(b.t.Context(), `INSERT INTO outbox (kind, natural_key, to_address, payload, state, subject, body_text, body_html, created_at, sent_at)
			VALUES ('receipt', $1, $2, '{}', 'kept', 'Receipt ' || $1, E'Hello <b>Ada</b>,\n\nView the invoice: https://invoice.stripe.com/i/1\n', '', now(), now())`,
			fmt.Sprintf("in_%d", i), to)
		if err != nil {
			b.t.Fatal(err)
		}
	}
}

func TestAServerThatSendsMailsShowsNone(t *testing.T) {
	b := setup(t)
	b.mails(1)
	admin := b.admin()
	for _, path := range []string{"/demo/mailbox", "/demo/mailbox/1"} {
		if a := admin.get(path); a.status != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", path, a.status)
		}
	}
}

func TestTheMailboxOfADemoListsItsMails(t *testing.T) {
	b := setup(t, inDemo)
	v := b.visitor()
	if a := v.get("/demo/mailbox"); a.status != http.StatusOK || a.doc().Find(".blank h2").Text() != "No mail yet" {
		t.Errorf("an empty mailbox: %d %q", a.status, a.doc().Find(".blank h2").Text())
	}
	b.mails(120)
	for name, c := range map[string]struct {
		query       string
		rows        int
		first, said string
	}{
		"the newest first":                {"", 50, "Receipt in_119", "120 mails"},
		"the last page":                   {"?page=3", 20, "Receipt in_19", "120 mails"},
		"a page beyond the last":          {"?page=99", 20, "Receipt in_19", "120 mails"},
		"a page that is none":             {"?page=-1", 50, "Receipt in_119", "120 mails"},
		"those to an address":             {"?to=Grace@example.com", 50, "Receipt in_118", "60 mails"},
		"those to nobody":                 {"?to=nobody@example.com", 0, "", "0 mails"},
		"an address that nobody can have": {"?to=" + url.QueryEscape("a\x00\xff"), 0, "", "0 mails"},
	} {
		for kind, asker := range map[string]*visitor{"plain": v, "htmx": v.with("HX-Request", "true")} {
			a := asker.get("/demo/mailbox" + c.query)
			rows := a.doc().Find("tbody tr")
			if a.status != http.StatusOK || rows.Length() != c.rows || rows.First().Find(".row-link").Text() != c.first || a.doc().Find(".list-count b").Text() != c.said {
				t.Errorf("%s, %s: %d, %d rows, first %q, %q", name, kind, a.status, rows.Length(), rows.First().Find(".row-link").Text(), a.doc().Find(".list-count b").Text())
			}
			if isWhole := a.doc().Find("h1").Length() == 1; isWhole != (kind == "plain") {
				t.Errorf("%s, %s: the whole page is %v", name, kind, isWhole)
			}
		}
	}
}

func TestAMailIsShownAsItIs(t *testing.T) {
	b := setup(t, inDemo)
	b.mails(1)
	a := b.visitor().get("/demo/mailbox/1")
	if a.status != http.StatusOK || a.doc().Find("h1").Text() != "Receipt in_0" || a.doc().Find(".mail-text b").Length() != 0 {
		t.Errorf("mail: %d %q", a.status, a.doc().Find("h1").Text())
	}
	if href, _ := a.doc().Find(".mail-text a").Attr("href"); href != "https://invoice.stripe.com/i/1" {
		t.Errorf("link = %q", href)
	}
	for _, id := range []string{"2", "x", "-1", "99999999999999999999"} {
		if a := b.visitor().get("/demo/mailbox/" + id); a.status != http.StatusNotFound {
			t.Errorf("mail %s: %d, want 404", id, a.status)
		}
	}
}
