// Opens explanations of figures in a panel over the page that they are asked
// from. Without this script each is a page of its own, which its address always
// is: the address bar shows it, so that it can be sent to somebody.
import htmx from "htmx.org";

const path = "/admin/billing/explain/";

let panel; // the open <dialog>
let below; // the address and the state of the page underneath

const dialog = () => {
  if (panel?.isConnected) return panel;
  panel = document.createElement("dialog");
  panel.id = "panel";
  panel.className = "panel";
  panel.setAttribute("aria-labelledby", "panel-title");
  panel.addEventListener("close", () => {
    panel.replaceChildren();
    if (!below) return;
    history.replaceState(below.state, "", below.href);
    document.title = below.title;
    below = undefined;
  });
  panel.addEventListener("click", (event) => {
    // A click beside the panel is on the dialog itself.
    if (event.target === panel || event.target.closest("[data-close]")) panel.close();
  });
  document.body.append(panel);
  return panel;
};

const show = async (href) => {
  const answer = await fetch(href, { headers: { "HX-Request": "true", "HX-Target": "dialog#panel", Accept: "text/html" } });
  const html = await answer.text();
  // Anything but an explanation (a session that ended, an error) is a page.
  if (!html.includes('id="panel-title"')) throw new Error(`${answer.status}`);
  const box = dialog();
  box.innerHTML = html;
  htmx.process(box);
  below ??= { href: location.href, state: history.state, title: document.title };
  history.replaceState(below.state, "", href);
  document.title = `${box.querySelector("#panel-title").textContent} · ${below.title}`;
  if (!box.open) box.showModal(); // which gives the focus back when it is closed
  box.scrollTop = 0;
  box.querySelector("#panel-title").focus();
};

addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  if (!link || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  if (link.target || link.hasAttribute("download") || link.hasAttribute("hx-get") || link.origin !== location.origin) return;
  if (!link.pathname.startsWith(path)) return;
  if (!panel?.open && location.pathname.startsWith(path)) return; // on its own page it stays there
  event.preventDefault();
  show(link.href).catch(() => location.assign(link.href));
});

// Back and forward leave the page: what lies over it goes first.
addEventListener("popstate", () => {
  below = undefined;
  if (panel?.open) panel.close();
}, true);
