package payments

// WriteOneByOne gives each subject a transaction of its own, as many at once as
// there are workers.
func (p *Payments) WriteOneByOne() { p.writes.maxItems, p.writes.flushers = 1, workers }
