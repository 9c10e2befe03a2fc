package stripesim

import "time"

// periodEnd is the end of the period that begins at start: the same day so many
// intervals later, or the month's last where there is no such day.
func periodEnd(start time.Time, recurring object) time.Time {
	return afterPeriods(start, recurring, 1)
}

// periodEndAfter is the first end of a period after a moment, of those that are
// counted from the anchor. Counting from there and not from the last end keeps a
// subscription of the 31st on the 31st after a shorter month.
// https://stripe.com/docs/billing/subscriptions/billing-cycle
func periodEndAfter(moment, anchor time.Time, recurring object) time.Time {
	// From below: no period is shorter than its name says at the least.
	shortest := map[string]time.Duration{
		"day": 24 * time.Hour, "week": 7 * 24 * time.Hour, "month": 28 * 24 * time.Hour, "year": 365 * 24 * time.Hour,
	}[recurring.str("interval")] * time.Duration(recurring.int("interval_count"))
	n := 0
	if moment.After(anchor) && shortest > 0 {
		n = int(moment.Sub(anchor) / (shortest + shortest/8)) // and none longer than nine eighths of it
	}
	for {
		if end := afterPeriods(anchor, recurring, n); end.After(moment) {
			return end
		}
		n++
	}
}

// afterPeriods is the moment that is so many periods after the anchor.
func afterPeriods(anchor time.Time, recurring object, n int) time.Time {
	n *= int(recurring.int("interval_count"))
	switch recurring.str("interval") {
	case "day":
		return anchor.AddDate(0, 0, n)
	case "week":
		return anchor.AddDate(0, 0, 7*n)
	case "year":
		return addMonths(anchor, 12*n)
	}
	return addMonths(anchor, n)
}

func addMonths(start time.Time, months int) time.Time {
	end := start.AddDate(0, months, 0)
	if end.Day() != start.Day() {
		end = end.AddDate(0, 0, -end.Day()) // AddDate went on into the next month
	}
	return end
}
