// A menu is a <details>: the browser opens it. This closes it again, as people
// expect of a menu, on Escape and on a click elsewhere.
const openMenus = () => document.querySelectorAll("details.menu[open]");

addEventListener("click", (event) => {
  for (const menu of openMenus()) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of openMenus()) {
    const inside = menu.contains(document.activeElement);
    menu.open = false;
    if (inside) menu.querySelector("summary").focus();
  }
});
