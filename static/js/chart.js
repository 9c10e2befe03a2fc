// Makes the points of a chart one stop of the tab key: arrows, Home and End go
// from month to month. Without this script every month is a stop of its own.
const points = (list) => [...list.children];

const prepare = () => {
  for (const list of document.querySelectorAll(".chart-points:not([data-ready])")) {
    list.setAttribute("data-ready", "");
    points(list).forEach((point, i, all) => (point.tabIndex = i === all.length - 1 ? 0 : -1));
  }
};

const next = {
  ArrowLeft: (i) => i - 1,
  ArrowRight: (i) => i + 1,
  Home: () => 0,
  End: (_, last) => last,
};

addEventListener("keydown", (event) => {
  const list = event.target.closest?.(".chart-points");
  if (!list || !next[event.key]) return;
  event.preventDefault();
  const all = points(list);
  const from = all.indexOf(event.target);
  const to = Math.min(Math.max(next[event.key](from, all.length - 1), 0), all.length - 1);
  all[from].tabIndex = -1;
  all[to].tabIndex = 0;
  all[to].focus();
});

prepare();
addEventListener("htmx:after:swap", prepare);
addEventListener("htmx:after:history:update", prepare);
