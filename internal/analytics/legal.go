package analytics

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Illegal says in what way a customer's movements could not have come about;
// empty: they could. Balances are never negative, each day's movement has the
// kind that its opening and closing balance call for, transfers add up to
// nothing, and the first movement of all, and no other, is new.
func Illegal(movements []Movement) string {
	sorted := slices.Clone(movements)
	slices.SortStableFunc(sorted, func(a, b Movement) int { return cmp.Or(a.Day.Compare(b.Day), cmp.Compare(a.Currency, b.Currency)) })
	balances := map[string]int64{} // by currency
	plans := map[[2]string]int64{} // by currency and plan
	ever := false
	for len(sorted) > 0 {
		n := 1
		for n < len(sorted) && sorted[n].Day.Equal(sorted[0].Day) && sorted[n].Currency == sorted[0].Currency {
			n++
		}
		today, currency := sorted[:n], string(sorted[0].Currency)
		where := fmt.Sprintf("%s on %s", currency, today[0].Day.Format(time.DateOnly))
		opening, closing := balances[currency], balances[currency]
		var transfers int64
		for _, m := range today {
			closing += m.AmountMicro
			plans[[2]string{currency, m.Plan}] += m.AmountMicro
			if m.Kind == TransferIn || m.Kind == TransferOut {
				transfers += m.AmountMicro
			}
		}
		kind := classify(opening, closing, ever)
		for _, m := range today {
			switch {
			case plans[[2]string{currency, m.Plan}] < 0:
				return fmt.Sprintf("the balance of %s in %s is negative", m.Plan, where)
			case m.Kind == TransferIn || m.Kind == TransferOut:
			case m.Kind != kind:
				return fmt.Sprintf("a movement from %d to %d in %s is called %s", opening, closing, where, m.Kind)
			}
		}
		if transfers != 0 {
			return fmt.Sprintf("transfers in %s come to %d", where, transfers)
		}
		balances[currency], ever = closing, ever || closing > 0
		sorted = sorted[n:]
	}
	return ""
}
