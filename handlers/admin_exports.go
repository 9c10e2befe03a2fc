package handlers

// exportsPath is where files of figures are.
const exportsPath = "/admin/billing/export/"

// exportHref leads to a table as a file, all of it, for the same question. The
// names stand in exports.
func exportHref(name string, ask addressed) string { return ask.href(exportsPath + name + ".csv") }
