// Moves the focus to what a new part wants read first: the summary of a form's
// errors. On a whole page the attribute autofocus does it without a script.
addEventListener("htmx:after:swap", (event) => {
  const target = event.detail?.ctx?.target;
  if (target instanceof Element && target.isConnected) target.querySelector("[data-focus]")?.focus();
});
