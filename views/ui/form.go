package ui

import "strings"

// Field is one control of a form with its label above, its help below and its
// error beside it.
type Field struct {
	// Name is the name in the form and the id in the page.
	Name  string
	Label string
	// Type is the type of the input: "text" when empty.
	Type  string
	Value string
	Help  string
	Error string
	// Autocomplete is what the browser may fill in: "email".
	Autocomplete string
	// Optional is said in the label; everything else is required.
	Optional bool
	// Autofocus puts the cursor here when the page opens.
	Autofocus bool
}

func (f Field) inputType() string {
	if f.Type == "" {
		return "text"
	}
	return f.Type
}

// describedBy lists the ids of what explains the control: the error first,
// because it is what has to be heard.
func (f Field) describedBy() string {
	var ids []string
	if f.Error != "" {
		ids = append(ids, f.Name+"-error")
	}
	if f.Help != "" {
		ids = append(ids, f.Name+"-help")
	}
	return strings.Join(ids, " ")
}

// FieldError is a line of the summary above a form.
type FieldError struct {
	// Field is the id that the line leads to; empty: the form as a whole.
	Field string
	Text  string
}

// Summary collects what is wrong with a form, in order of its fields; form is
// what is wrong with the form as a whole, or empty.
func Summary(form string, fields []Field) []FieldError {
	var errors []FieldError
	if form != "" {
		errors = append(errors, FieldError{Text: form})
	}
	for _, f := range fields {
		if f.Error != "" {
			errors = append(errors, FieldError{Field: f.Name, Text: f.Error})
		}
	}
	return errors
}
