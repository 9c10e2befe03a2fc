// Shows what a chart has for a period beside the pointer, and for the period that
// the arrow keys choose: the row of the table beneath, so that there is one place
// that says it. The plot is one stop of the tab key and speaks as a slider, which
// readers know how to walk. Escape hides what is shown, and the pointer may go
// over it. Without this script the table itself is there.
const plots = new WeakMap();

const make = (name, className, parent) => {
  const element = document.createElement(name);
  element.className = className;
  parent.append(element);
  return element;
};

const figureOf = (cursor) => cursor.closest(".chart");
const rowsOf = (cursor) => figureOf(cursor)?.querySelectorAll(".chart-table tbody > tr") ?? [];

// words are what a cell says, on one line.
const words = (cell) => cell.textContent.replace(/\s+/g, " ").trim();

const facts = (cursor, i) => {
  const row = rowsOf(cursor)[i];
  if (!row) return null;
  const heads = figureOf(cursor).querySelectorAll(".chart-table thead th");
  const [name, ...cells] = row.cells;
  return {
    name: words(name),
    href: name.querySelector("a")?.getAttribute("href"),
    figures: cells.map((cell, n) => [words(heads[n + 1]), words(cell)]),
  };
};

const hide = (cursor) => {
  const state = plots.get(cursor);
  if (state) state.tip.hidden = state.slot.hidden = true;
};

// show puts the tip beside its slot, on the side where there is more room.
const show = (cursor, i) => {
  const state = plots.get(cursor);
  const all = rowsOf(cursor).length;
  const said = facts(cursor, i);
  if (!state || !said) return;
  state.i = i;
  const { tip, slot } = state;
  const left = (100 * i) / all;
  const width = 100 / all;
  slot.style.left = `${left}%`;
  slot.style.width = `${width}%`;
  tip.replaceChildren();
  make("b", "", tip).textContent = said.name;
  for (const [name, text] of said.figures) {
    const row = make("span", "chart-tip-row", tip);
    make("span", "", row).textContent = name;
    make("span", "", row).textContent = text;
  }
  if (said.href) {
    const link = make("a", "chart-tip-link", tip);
    link.href = said.href;
    link.textContent = "What is behind it";
    link.tabIndex = -1; // the enter key leads there
  }
  const isLate = left + width / 2 > 50;
  tip.style.left = isLate ? "auto" : `${left + width}%`;
  tip.style.right = isLate ? `${100 - left}%` : "auto";
  tip.hidden = slot.hidden = false;
  cursor.setAttribute("aria-valuenow", String(i + 1));
  cursor.setAttribute("aria-valuetext", `${said.name}: ${said.figures.map((f) => f.join(" ")).join(", ")}`);
};

const prepare = () => {
  for (const cursor of document.querySelectorAll(".chart-cursor")) {
    const all = rowsOf(cursor).length;
    if (all === 0) continue;
    let state = plots.get(cursor);
    if (!state) {
      cursor.replaceChildren();
      state = { slot: make("div", "chart-slot", cursor), tip: make("div", "chart-tip", cursor), i: all - 1 };
      state.slot.hidden = state.tip.hidden = true;
      plots.set(cursor, state);
      cursor.tabIndex = 0;
      cursor.setAttribute("role", "slider");
      cursor.setAttribute("aria-valuemin", "1");
    }
    const title = figureOf(cursor).querySelector("svg > title")?.textContent ?? "";
    cursor.setAttribute("aria-label", `${title}, period by period`);
    cursor.setAttribute("aria-valuemax", String(all));
    state.i = Math.min(state.i, all - 1);
    const said = facts(cursor, state.i);
    cursor.setAttribute("aria-valuenow", String(state.i + 1));
    cursor.setAttribute("aria-valuetext", said.name);
    if (!state.tip.hidden) show(cursor, state.i); // other figures, or fewer, under a tip
  }
};

const slotAt = (cursor, x) => {
  const box = cursor.getBoundingClientRect();
  const all = rowsOf(cursor).length;
  return Math.min(Math.max(Math.floor(((x - box.left) / box.width) * all), 0), all - 1);
};

const point = (event) => {
  const cursor = event.target.closest?.(".chart-cursor");
  if (!cursor || event.target.closest(".chart-tip")) return;
  const i = slotAt(cursor, event.clientX);
  const state = plots.get(cursor);
  if (state && (state.i !== i || state.tip.hidden)) show(cursor, i);
};
addEventListener("pointermove", point);
addEventListener("pointerdown", point);

// A finger that lifts leaves what it chose; the next tap elsewhere hides it.
addEventListener("pointerout", (event) => {
  const cursor = event.target.closest?.(".chart-cursor");
  if (!cursor || event.pointerType !== "mouse" || cursor.contains(event.relatedTarget)) return;
  if (cursor.matches(":focus-visible")) return;
  hide(cursor);
});
addEventListener("pointerdown", (event) => {
  for (const cursor of document.querySelectorAll(".chart-cursor")) {
    if (!cursor.contains(event.target)) hide(cursor);
  }
});

addEventListener("focusin", ({ target }) => {
  if (target.matches?.(".chart-cursor:focus-visible")) show(target, plots.get(target)?.i ?? 0);
});
addEventListener("focusout", ({ target, relatedTarget }) => {
  if (target.matches?.(".chart-cursor") && !target.contains(relatedTarget)) hide(target);
});

const next = {
  ArrowLeft: (i) => i - 1,
  ArrowDown: (i) => i - 1,
  ArrowRight: (i) => i + 1,
  ArrowUp: (i) => i + 1,
  PageUp: (i) => i - 10,
  PageDown: (i) => i + 10,
  Home: () => 0,
  End: (_, last) => last,
};

addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    document.querySelectorAll(".chart-cursor").forEach(hide);
    return;
  }
  const cursor = event.target.closest?.(".chart-cursor");
  if (!cursor || event.altKey || event.ctrlKey || event.metaKey) return;
  const state = plots.get(cursor);
  if (event.key === "Enter") {
    // As if the row's own link were pressed: panel.js opens it over the page, and
    // the focus, which stays here, is given back when that is closed.
    event.preventDefault();
    rowsOf(cursor)[state.i]?.cells[0].querySelector("a")?.click();
    return;
  }
  if (!next[event.key]) return;
  event.preventDefault();
  const last = rowsOf(cursor).length - 1;
  show(cursor, Math.min(Math.max(next[event.key](state.i, last), 0), last));
});

prepare();
addEventListener("htmx:after:swap", prepare);
addEventListener("htmx:after:history:update", prepare);
