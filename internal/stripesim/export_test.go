package stripesim

// RouteParams names every parameter of every route of the API in Stripe's
// bracket notation; an element of a list or a map is [].
func RouteParams() map[string][]string {
	all := map[string][]string{}
	for _, rt := range apiRoutes {
		all[rt.pattern] = paramNames("", rt.params)
	}
	return all
}

func paramNames(path string, known fields) []string {
	var names []string
	for _, key := range sortedKeys(known) {
		at := key
		if path != "" {
			at = path + "[" + key + "]"
		}
		names = append(names, at)
		p := known[key]
		if p.element != nil {
			at, p = at+"[]", *p.element
		}
		names = append(names, paramNames(at, p.inner)...)
	}
	return names
}
