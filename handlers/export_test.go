package handlers

// Rule is a row of the route table, as tests see it.
type Rule struct{ Method, Path, Audience, Limit, Why string }

// Rules are the rows.
func Rules() []Rule {
	out := make([]Rule, 0, len(routes))
	for _, r := range routes {
		out = append(out, Rule{r.method, r.path, string(r.who), r.limit.kind, r.limit.why})
	}
	return out
}

// LocalPath is localPath.
var LocalPath = localPath
