// Moves the focus to what a new page or part wants read first: the summary of a
// form's errors. The attribute autofocus does it for a page in most browsers;
// this does it in all, and for parts.
const show = (root) => root.querySelector("[data-focus]")?.focus();

addEventListener("DOMContentLoaded", () => show(document));
addEventListener("htmx:after:swap", (event) => {
  const target = event.detail?.ctx?.target;
  if (target instanceof Element && target.isConnected) show(target);
});
