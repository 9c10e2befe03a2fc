package handlers

import (
	"net/url"
	"strings"
	"time"

	"github.com/promptforge/payments/internal/analytics"
)

// The addresses of explanations. The first lists every figure.
const (
	explainPath = "/admin/billing/explain"
	// atKey names in an address the period that is explained.
	atKey = "at"
)

// addressed is what an address asks for, and can be asked of other pages too.
type addressed interface {
	// href is the one address of the same question at another path.
	href(path string) string
}

// explainHref leads to the explanation of a figure, by its key in
// analytics.Metrics: of one of the periods that are asked for, or with nil of
// all of them together.
func explainHref(metric string, ask addressed, point *analytics.Period) string {
	href := ask.href(explainPath + "/" + metric)
	if point != nil {
		href = withQuery(href, atKey, point.Start.Format(time.DateOnly))
	}
	return href
}

// withQuery is an address with one more key.
func withQuery(href, key, value string) string {
	separator := "?"
	if strings.Contains(href, "?") {
		separator = "&"
	}
	return href + separator + key + "=" + url.QueryEscape(value)
}
