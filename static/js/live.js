// Keeps figures up to date while somebody looks at them. The server says on one
// stream that figures have changed; each part of the page that carries
//
//     data-live="<the address of the part, query included>"
//
// is then fetched again and morphed in place: focus and scrolling stay, and what
// the reader opened does by figures.js. Such an element needs an id, and answers to its own address
// with itself when htmx asks (render's part), the attributes included:
//
//     data-live-version="<Scope.FiguresVersion>"   which figures it shows, so that
//                                                  nothing between the page and the
//                                                  stream is missed
//
// A refresh names the version in X-Live-Version; no address is pushed for it, and
// an answer to an address that the part no longer has (a filter was changed
// meanwhile) is dropped. Where the page has an element
//
//     <span data-live-state role="status" hidden></span>
//
// outside of the parts, it says "Live", "Reconnecting…" or "Refreshed every minute".
// Its text changes only when that has been so for some seconds.
//
// A tab that nobody sees has no stream: browsers open six connections a host. It
// catches up at once when it is looked at again.
import htmx from "htmx.org";

const address = "/admin/billing/stream";
const calm = 3_000; // how long a state lasts before it is said
const retry = 60_000; // how often a stream that was refused is asked for again
const pause = 1_000; // between two refreshes of a part, at least
const patience = 5_000; // before one that failed is tried again

let stream;
let version = 0; // the newest that anybody told us of
let again;
let saying;
let awaited; // the state that is about to be said
const fetched = new WeakMap(); // part -> when it was last asked for

const parts = () => [...document.querySelectorAll("[data-live]")];
const shown = (part) => Number(part.dataset.liveVersion) || 0;

const say = (state, text) => {
  if (awaited === state) return; // every try that fails says so again, sooner than it is told
  clearTimeout(saying);
  awaited = state;
  const tell = () => {
    awaited = undefined;
    for (const place of document.querySelectorAll("[data-live-state]")) {
      if (place.dataset.liveState === state) continue;
      place.dataset.liveState = state;
      place.textContent = text;
      place.hidden = false;
    }
  };
  saying = setTimeout(tell, document.querySelector('[data-live-state=""]') && state === "on" ? 0 : calm);
};

const refresh = (part, force) => {
  if (document.hidden || !part.isConnected || (!force && shown(part) >= version)) return;
  const wait = (fetched.get(part) ?? -pause) + pause - performance.now();
  if (wait > 0) {
    setTimeout(refresh, wait, part, force);
    return;
  }
  fetched.set(part, performance.now());
  const { live } = part.dataset;
  // What the request carries beside htmx's own is read back when the answer comes.
  htmx.ajax("GET", live, {
    source: part,
    target: part,
    swap: "outerMorph",
    live,
    headers: { "X-Live-Version": String(Math.max(version, shown(part))) },
  });
};

const refreshAll = (force) => parts().forEach((part) => refresh(part, force));

// An answer that came too late, or tells of a fault that will pass, leaves what
// is there. One that the visitor is no longer let in by replaces the page.
addEventListener("htmx:after:request", (event) => {
  const { ctx } = event.detail;
  if (ctx.live === undefined) return;
  const passes = ctx.response.status === 429 || ctx.response.status >= 500;
  if (passes) setTimeout(refresh, patience, ctx.target, false);
  if (passes || ctx.target.dataset.live !== ctx.live) event.preventDefault();
});

const close = () => {
  clearTimeout(again);
  stream?.close();
  stream = undefined;
};

// open keeps the stream as long as there is somebody to look at a live part.
const open = () => {
  if (document.hidden || parts().length === 0) {
    close();
    return;
  }
  if (stream && stream.readyState !== EventSource.CLOSED) return;
  close();
  const since = Math.max(version, ...parts().map(shown));
  stream = new EventSource(`${address}?since=${since}`);
  stream.addEventListener("open", () => say("on", "Live"));
  stream.addEventListener("figures", (event) => {
    version = Math.max(version, JSON.parse(event.data).version);
    refreshAll(false);
  });
  stream.addEventListener("error", () => {
    if (stream?.readyState !== EventSource.CLOSED) {
      say("off", "Reconnecting…");
      return;
    }
    // Refused: too many look, or the session is over, which the refresh shows.
    say("slow", "Refreshed every minute");
    close();
    again = setTimeout(() => {
      refreshAll(true);
      open();
    }, retry);
  });
};

addEventListener("visibilitychange", open);
addEventListener("htmx:after:swap", open);
addEventListener("htmx:after:history:update", open);
addEventListener("pagehide", close);
addEventListener("pageshow", open);
open();
