// Keeps a page of figures in one piece while its bar replaces the report: the
// tables that are open stay open, fields show what the figures are of, the rail
// carries the range along, and a reader is told that there are other figures.
const report = () => document.getElementById("figures");

addEventListener("htmx:before:swap", (event) => {
  const { ctx, tasks } = event.detail;
  if (ctx.target?.id !== "figures") return;
  const open = new Set([...ctx.target.querySelectorAll("details[open][id]")].map((d) => d.id));
  for (const { fragment } of tasks) {
    fragment?.querySelectorAll?.("details[id]").forEach((details) => {
      if (open.has(details.id)) details.open = true;
    });
  }
});

// A field that somebody has touched keeps what they chose, whatever the answer
// says; but what goes without saying depends on the other fields.
const agree = () => {
  for (const field of report().querySelectorAll(".filters select, .filters input:not([type=hidden])")) {
    if (field.getAttribute("aria-invalid") === "true") continue;
    if (field.localName === "select") {
      const said = [...field.options].findIndex((o) => o.defaultSelected);
      if (said >= 0) field.selectedIndex = said;
    } else if (document.activeElement !== field) {
      field.value = field.defaultValue;
    }
  }
};

addEventListener("htmx:after:swap", (event) => {
  if (event.detail.ctx?.target?.id !== "figures" || !report()) return;
  // A refresh is of the same address: it changes no field, and is no news by itself.
  if (event.detail.ctx.live !== undefined) return;
  agree();
  for (const link of document.querySelectorAll("a[data-figures]")) link.search = report().dataset.query;
  const status = document.querySelector("[data-figures-status]");
  const now = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  if (status) status.textContent = `Updated ${now}`;
});
