// Everything works without this script; it spares page loads and keeps the
// keyboard where the reader is.
import "htmx.org";
import "./chart.js";
import "./copy.js";
import "./figures.js";
import "./live.js";
import "./menu.js";
import "./panel.js";
import "./rail.js";
import "./rows.js";
import "./submit.js";
