package stripesim

// draftAtOnce makes the draft of an invoice that is due now.
func (t *tx) draftAtOnce(_ object, _ bool) (object, error) {
	return nil, invalidRequest("", "", "This stand-in does not make an invoice at once yet.")
}

// collectAtOnce finalizes a draft and collects it.
func (t *tx) collectAtOnce(_ object) error { return nil }
