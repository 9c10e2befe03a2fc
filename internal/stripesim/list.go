package stripesim

// page answers one page of a kind's objects, newest first, as the parameters
// limit, starting_after, ending_before, created and customer ask for it.
// https://stripe.com/docs/api/pagination
func (c *call) page(kind, url string, match func(object) bool) (object, error) {
	if customer := c.params.str("customer"); customer != "" {
		return c.pageOf(c.listed(c.newestFirstOf(kind, customer), match), kind, url)
	}
	return c.pageOf(c.listed(c.newestFirst(kind), match), kind, url)
}

// listed picks what belongs into a list.
func (c *call) listed(records []*record, match func(object) bool) list {
	within := c.params.obj("created")
	var all list
	for _, r := range records {
		if !r.Object.bool("deleted") && inRange(within, r.Object.int("created")) && match(r.Object) {
			all = append(all, r.Object)
		}
	}
	return all
}

// pageOf is page for objects that were found in another way.
func (c *call) pageOf(all list, kind, url string) (object, error) {
	limit := int64(10)
	if given, came := c.params["limit"].(int64); came {
		limit = given
	}
	if limit < 1 || limit > 100 {
		return nil, badParameter("limit", "parameter_invalid_integer",
			"This value must be between 1 and 100 (it currently is '%d').", limit)
	}
	after, before := c.params.str("starting_after"), c.params.str("ending_before")
	switch {
	case after != "" && before != "":
		return nil, badParameter("starting_after", "", "You cannot use both starting_after and ending_before in the same request.")
	case after != "":
		at, err := c.positionIn(all, kind, "starting_after", after)
		if err != nil {
			return nil, err
		}
		all = all[at+1:]
	case before != "":
		at, err := c.positionIn(all, kind, "ending_before", before)
		if err != nil {
			return nil, err
		}
		all = all[:at]
	}
	more := int64(len(all)) > limit
	if more && before != "" {
		all = all[int64(len(all))-limit:]
	} else if more {
		all = all[:limit]
	}
	data := make(list, len(all)) // never null, and never the store's own
	copy(data, all)
	return object{"object": "list", "data": data, "has_more": more, "url": url}, nil
}

func (c *call) positionIn(all list, kind, param, id string) (int, error) {
	for i, o := range all {
		if asObject(o).id() == id {
			return i, nil
		}
	}
	return 0, missingInParams(param, kind, id)
}

// fits says whether the object's field is what the parameter asks for, if the
// parameter came.
func (c *call) fits(o object, param string) bool {
	want, came := c.params[param]
	return !came || want == nil || o[param] == want
}
