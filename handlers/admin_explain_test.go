package handlers_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"

	"github.com/promptforge/payments/internal/analytics"
)

const explainURL = "/admin/billing/explain"

func (v *visitor) panel(path string) *answer {
	return v.with("HX-Request", "true").with("HX-Target", "dialog#panel").get(path)
}

func TestAFigureIsExplainedByItsFormulaAndTheRowsBehindIt(t *testing.T) {
	h := withHistory(t)
	admin := h.admin()
	page := admin.get(explainURL+"/netNew?at=2026-05-01").want(200).
		wantText("h1", "Net new MRR").wantText(".explanation-when b", "May 2026").wantText(".explanation .figure", "-$498.00").
		wantText(".explanation", "It was $0.00 in April 2026.").
		wantText(".formula", "new + reactivation + expansion + contraction + churn").
		wantText(".formula-worked", "$0.00 + $0.00 + $0.00 − $99.00 − $399.00 = -$498.00").
		wantText("#evidence tfoot", "-$498.00")
	rows := page.doc().Find("#evidence tbody tr")
	if rows.Length() != 2 {
		t.Fatalf("%d movements are behind it, want 2", rows.Length())
	}
	churn := strings.Join(strings.Fields(rows.First().Text()), " ")
	for _, want := range []string{"12 May 2026", "cus_bare", "Churn · Enterprise · canceled by the customer", "-$399.00", "1 event", "Subscription ended", "evt_sub_2"} {
		if !strings.Contains(churn, want) {
			t.Errorf("the churn reads %q, without %q", churn, want)
		}
	}
	if href := rows.Eq(1).Find("th a").AttrOr("href", ""); href != "/admin/billing/organizations/"+h.org.String() {
		t.Errorf("the customer leads to %q", href)
	}
	only := admin.get(explainURL + "/netNew?at=2026-05-01&kind=churn").want(200)
	if n := only.doc().Find("#evidence tbody tr").Length(); n != 1 || only.text(".evidence-filters [aria-current]") != "Churn" {
		t.Errorf("%d movements are churn, the filter says %q", n, only.text(".evidence-filters [aria-current]"))
	}
	before := page.doc().Find(`.explanation-when a[rel="prev"]`).AttrOr("href", "")
	admin.get(before).want(200).wantText(".explanation-when b", "April 2026").wantText("#evidence", "Nothing moved in April 2026.")
}

func TestARateIsExplainedByTheCustomersOfItsBase(t *testing.T) {
	h := withHistory(t)
	admin := h.admin()
	for metric, want := range map[string]struct {
		value, worked string
		rows          []string
	}{
		"nrr": {"16.6%", "$99.00 ÷ $597.00 = 16.6%", []string{
			"12 May 2026 | cus_bare | Churn · canceled by the customer | $399.00 | $0.00 | -$399.00",
			"7 May 2026 | =Engines | Contraction · another quantity | $198.00 | $99.00 | -$99.00",
		}},
		"grr":                   {"16.6%", "($597.00 − $498.00) ÷ $597.00 = 16.6%", []string{"$399.00 | $0.00 | $399.00", "$198.00 | $99.00 | $99.00"}},
		"logoChurn":             {"50.0%", "1 ÷ 2 = 50.0%", []string{"$399.00 | $0.00 | 1"}},
		"churnOnlyRevenueChurn": {"66.8%", "$399.00 ÷ $597.00 = 66.8%", []string{"$399.00 | $0.00 | $399.00"}},
		"involuntaryLogoChurn":  {"0.0%", "0 ÷ 2 = 0.0%", nil},
	} {
		page := admin.get(explainURL+"/"+metric+"?at=2026-05-01").want(200).wantText(".explanation .figure", want.value).wantText(".formula-worked", want.worked)
		rows := page.doc().Find("#evidence tbody tr")
		if rows.Length() != len(want.rows) {
			t.Errorf("%s: %d customers are behind it, want %d", metric, rows.Length(), len(want.rows))
			continue
		}
		rows.Each(func(i int, row *goquery.Selection) {
			row.Find("details").Remove()
			var cells []string
			row.Find("th, td").Each(func(_ int, cell *goquery.Selection) { cells = append(cells, strings.TrimSpace(cell.Text())) })
			if got := strings.Join(cells, " | "); !strings.HasSuffix(got, want.rows[i]) {
				t.Errorf("%s: row %d reads %q, want %q", metric, i, got, want.rows[i])
			}
		})
	}
	// Rates are for whole months: with days chosen it is the month around them.
	admin.get(explainURL+"/logoChurn?range=30d").want(200).wantText(".explanation-when", "June 2026 so far")
	admin.get(explainURL+"/nrr?plan=pro&at=2026-05-01").want(200).wantText(".explanation .figure", "50.0%").wantText("#evidence tbody", "=Engines").wantText("#evidence tfoot", "-$99.00")
}

func TestTrialsAndLevelsAreExplainedByWhoHasThem(t *testing.T) {
	h := withHistory(t)
	admin := h.admin()
	admin.get(explainURL+"/trialMrr").want(200).wantText(".explanation .figure", "$29.00").wantText("#evidence tbody tr", "cus_late")
	admin.get(explainURL+"/committedMrr").want(200).wantText(".explanation .figure", "$99.00").wantText("#evidence", "Nothing is scheduled to end.")
	admin.get(explainURL+"/ltv?at=2026-06-01").want(200).wantText("#evidence tbody tr td:last-child", "50.0%")
	admin.get(explainURL+"/mrr?from=2026-01&range=custom&to=2026-03").want(200).wantText(".explanation-when b", "End of 31 Mar 2026").
		wantText(".formula-worked", "$0.00 + $597.00 = $597.00")
	admin.get(explainURL+"/mrr").want(200).wantText(".explanation-when b", "Now").wantText(".explanation", "It was $0.00 at the end of 30 Jun 2025.")
}

// TestEveryFigureIsExplained walks the registry, by page and by panel.
func TestEveryFigureIsExplained(t *testing.T) {
	h := withHistory(t)
	admin := h.admin()
	index := admin.get(explainURL).want(200).wantText("h1", "Definitions").wantText("#changes", "definition").wantText("#verification", "Every check of the figures holds.")
	for _, m := range analytics.Metrics {
		if m.Unit == analytics.Ratio && m.WholeMonths {
			admin.panel(explainURL+"/"+m.Key+"?at=2026-05-01").want(200).wantText("#evidence-title", "Customers")
		}
		if index.doc().Find(`a[href="`+explainURL+"/"+m.Key+`"]`).Length() != 1 {
			t.Errorf("%s is not defined", m.Key)
		}
		for _, query := range []string{"", "?at=2026-05-01", "?interval=week&at=2026-05-04", "?range=30d", "?plan=pro", "?range=all&plan=enterprise&at=2026-02-01"} {
			page := admin.get(explainURL + "/" + m.Key + query)
			if page.status == http.StatusSeeOther { // to the one address of it
				page = admin.get(page.location())
			}
			page.want(200).wantText("h1", m.Name).wantText(".explanation", m.Definition)
			part := admin.panel(explainURL + "/" + m.Key + query).want(200)
			if doc := part.doc(); doc.Find("main, h1, .bar").Length() > 0 || part.text("h2#panel-title") != m.Name || doc.Find("button[data-close]").Length() != 1 {
				t.Errorf("%s%s: the panel is %.300s", m.Key, query, part.body)
			}
			if strings.Contains(page.body, "%!") {
				t.Errorf("%s%s is printed wrong", m.Key, query)
			}
		}
	}
}

func TestAnExplanationThatCannotBeSaysSo(t *testing.T) {
	h := withHistory(t)
	admin := h.admin()
	admin.get(explainURL + "/nothing").want(404)
	admin.get(explainURL+"/mrr?at=1999-01-01").want(422).wantText(".explanation [role=alert]", "none of the periods").wantText(".explanation .figure", "$99.00")
	admin.panel(explainURL+"/mrr?at=1999-01-01").want(422).wantText(".explanation [role=alert]", "none of the periods")
	admin.get(explainURL+"/mrr?at=someday").wantText(".explanation [role=alert]", "is no day")
	for _, after := range []string{"~", "~~~", "2026-05-01~\x00~a~b", "9999-99-99~a~b~c", strings.Repeat("x", 5000), "2026-05-10~\xff~a~b"} {
		for _, metric := range []string{"mrr", "nrr", "trialMrr"} {
			admin.get(explainURL + "/" + metric + "?at=2026-05-01&after=" + url.QueryEscape(after)).want(200)
		}
	}
	h.visitor().get(explainURL).want(404)
	h.visitor().get(explainURL + "/mrr").want(404)
}

// TestPagesOfRowsAddUpToTheFigure: more customers than a page has are bought in
// one month, on few days.
func TestPagesOfRowsAddUpToTheFigure(t *testing.T) {
	h := withHistory(t)
	h.exec(`INSERT INTO customer_movement (gen, customer, currency, day, kind, plan, amount_micro, customers, subscribers, reason)
		SELECT 1, 'cus_' || i, 'usd', date '2026-04-01' + i / 60, 'new', 'pro', 9900000000, 1, 1, 'purchase' FROM generate_series(1, 120) i`)
	h.exec(`INSERT INTO customer_movement (gen, customer, currency, day, kind, plan, amount_micro, customers, subscribers, reason)
		SELECT 1, 'cus_' || i, 'usd', date '2026-05-20', 'churn', 'pro', -9900000000, -1, -1, 'cancel_voluntary' FROM generate_series(1, 110) i`)
	h.exec(`INSERT INTO customer_day (gen, customer, currency, day, mrr_micro) SELECT gen, customer, currency, day, greatest(amount_micro, 0) FROM customer_movement WHERE customer ~ '^cus_[0-9]'`)
	h.exec(`UPDATE retention_change SET net_micro = net_micro - 110 * 9900000000, gross_lost_micro = gross_lost_micro + 110 * 9900000000, lost_customers = lost_customers + 110
		WHERE period_end = '2026-06-01' AND horizon = 1 AND plan = ''`)
	admin := h.admin()
	for path, want := range map[string]int{
		explainURL + "/new?at=2026-04-01": 120, explainURL + "/newCustomers?at=2026-04-01": 120, explainURL + "/logoChurn?at=2026-05-01": 111, explainURL + "/nrr?at=2026-05-01": 112,
	} {
		seen, pages := map[string]bool{}, 0
		for href := path; href != "" && pages < 10; pages++ {
			doc := admin.get(href).want(200).doc()
			doc.Find("#evidence tbody tr").Each(func(_ int, row *goquery.Selection) {
				who := row.Find("th a").Text()
				if seen[who] {
					t.Errorf("%s: %s is there twice", path, who)
				}
				seen[who] = true
			})
			href = doc.Find(`#evidence a[rel="next"]`).AttrOr("href", "")
		}
		if len(seen) != want || pages != 3 {
			t.Errorf("%s: %d customers on %d pages, want %d on 3", path, len(seen), pages, want)
		}
	}
}

func TestWhatDoesNotHoldIsSaidAcrossTheTop(t *testing.T) {
	h := withHistory(t)
	admin := h.admin()
	if text := admin.get(explainURL + "/mrr").want(200).text(".banner"); text != "" {
		t.Errorf("all holds, and a banner says %q", text)
	}
	h.exec(`INSERT INTO metric_integrity_issue (check_name, detail, first_day, last_day, found_at, seen_at)
		VALUES ('transfers between plans add up to nothing', '2026-03-05 usd: 1', '2026-03-01', '2026-03-31', now(), now())`)
	admin.get(explainURL+"/mrr").want(200).wantText(".banner", "Figures under verification").wantText(".banner", "The figures from 1 Mar 2026 to 31 Mar 2026").
		wantText(".banner", "transfers between plans add up to nothing")
	admin.get(explainURL).want(200).wantText("#verification li", "transfers between plans").wantText("#verification li", "2026-03-05 usd: 1")
	h.exec(`UPDATE metric_integrity_issue SET resolved_at = now()`)
	if text := admin.get(explainURL + "/mrr").want(200).text(".banner"); text != "" {
		t.Errorf("it holds again, and a banner says %q", text)
	}
}

func TestPaymentsTrialsAndCashAreExplainedByTheirRows(t *testing.T) {
	h := withHistory(t)
	h.exec(`INSERT INTO trial_outcome (gen, customer, subscription_id, currency, plan, started_at, started_day, ended_at, ended_day, fate)
		VALUES (1, 'cus_bare', 'sub_2', 'usd', 'pilot', '2026-01-20', '2026-01-20', '2026-02-03', '2026-02-03', 'converted')`)
	h.exec(`INSERT INTO trial_daily (gen, day, currency, plan, started, started_converted, started_open, ended, converted, provisional) VALUES (1, '2026-02-03', 'usd', 'pilot', 0, 0, 0, 1, 1, 0)`)
	h.exec(`INSERT INTO stripe_objects (object_id, stripe_customer_id) VALUES ('ch_1', 'cus_engines')`)
	for _, row := range []struct {
		id, kind, stripe, source string
		amount, fee              int64
	}{{"txn_1", "gross", "charge", "ch_1", 9900, 317}, {"txn_2", "refund", "refund", "re_1", -4000, 0}, {"txn_3", "other", "stripe_fee", "", -500, 0}} {
		h.exec(`INSERT INTO balance_transactions (id, type, reporting_category, currency, amount_minor, fee_minor, net_minor, source_id, created_at, available_at, livemode)
			VALUES ($1, $2, $2, 'usd', $3::bigint, $4::bigint, $3::bigint - $4::bigint, nullif($5, ''), '2026-02-12', '2026-02-14', false)`, row.id, row.stripe, row.amount, row.fee, row.source)
		h.exec(`INSERT INTO cash_entry (gen, id, day, currency, kind, amount_minor, fee_minor, net_minor) VALUES (1, $1, '2026-02-12', 'usd', $2, $3::bigint, $4::bigint, $3::bigint - $4::bigint)`, row.id, row.kind, row.amount, row.fee)
	}
	admin := h.admin()
	admin.get(explainURL+"/trialConversion?at=2026-02-01").want(200).wantText(".explanation .figure", "100.0%").wantText(".formula-worked", "1 ÷ 1 = 100.0%").
		wantText("#evidence tbody tr", "cus_bare").wantText("#evidence tbody tr", "Pilot · Became a subscription").wantText("#evidence tbody tr", "sub_2")
	admin.get(explainURL+"/paymentFailureRate?at=2026-02-01").want(200).wantText(".explanation .figure", "100.0%").
		wantText("#evidence tbody tr", "=Engines").wantText("#evidence tbody tr", "Pro · Paid later").wantText("#evidence tbody tr", "in_2").
		wantText("#evidence details", "Payment failed").wantText("#evidence tfoot", "$99.00")
	for metric, want := range map[string][]string{
		"grossVolume": {"=Engines", "ch_1", "$99.00"}, "fees": {"=Engines", "txn_1", "$3.17"}, "refunds": {"Nobody's", "re_1", "-$40.00"}, "netVolume": {"txn_3", "Stripe fee", "$50.83"},
	} {
		page := admin.get(explainURL + "/" + metric + "?at=2026-02-01").want(200)
		for _, text := range want {
			page.wantText("#evidence", text)
		}
	}
	admin.get(explainURL+"/netVolume?at=2026-02-01&plan=pro").want(200).wantText(".explanation .figure", "n/a")
	admin.get(explainURL+"/recoveryRate?at=2026-05-01").want(200).wantText("#evidence", "No renewal was declined in May 2026.")
}

func TestTheFunnelIsExplainedByItsVisitors(t *testing.T) {
	h := withHistory(t)
	unit := func(visitor, customer string, reached int) {
		h.exec(`INSERT INTO funnel_unit (gen, visitor, entered_at, day, bucket, plan, customer, reached, started_seconds, completed_seconds, activated_seconds, paid_seconds, settled_on)
			VALUES (1, $1, '2026-05-02', '2026-05-02', 'viewed', '', $2, $3, 0, 0, 0, 0, '2026-07-01')`, visitor, customer, reached)
	}
	unit("7b0f2f8e-54b4-4a3c-9d1f-2d7f0d5d3a10", "", 0)
	unit("8b0f2f8e-54b4-4a3c-9d1f-2d7f0d5d3a10", "org:"+h.org.String(), 4)
	admin := h.admin()
	all := admin.get(explainURL+"/visitors?at=2026-05-01").want(200).wantText("#evidence tbody", "Not known").wantText("#evidence tbody", "=Engines").wantText("#evidence tbody", "Has paid")
	if n := all.doc().Find("#evidence tbody tr").Length(); n != 2 {
		t.Errorf("%d visitors looked, want 2", n)
	}
	paid := admin.get(explainURL + "/visitorConversion?at=2026-05-01").want(200)
	if n := paid.doc().Find("#evidence tbody tr").Length(); n != 1 {
		t.Errorf("%d visitors paid, want 1", n)
	}
}
