// Walks a list by the keyboard: up and down from row to row, Home and End to its
// ends. Enter follows the row's link, as it does of any link.
const step = { ArrowUp: -1, ArrowDown: 1 };

addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const table = event.target.closest?.("table[data-rows]");
  if (!table) return;
  const links = [...table.querySelectorAll("tbody .row-link")];
  const at = links.indexOf(event.target.closest("tbody tr")?.querySelector(".row-link"));
  const to = { Home: 0, End: links.length - 1 }[event.key] ?? (event.key in step ? at + step[event.key] : undefined);
  if (to === undefined) return;
  event.preventDefault();
  links[Math.min(Math.max(to, 0), links.length - 1)]?.focus();
});

// A date tells more on hover, so it lies above the link that covers its row.
// A click on it is one on the row.
addEventListener("click", (event) => {
  const row = event.target.closest?.("table[data-rows] tbody time")?.closest("tr");
  const link = row?.querySelector(".row-link");
  if (!link || event.defaultPrevented) return;
  if (event.ctrlKey || event.metaKey) open(link.href);
  else link.click();
});
