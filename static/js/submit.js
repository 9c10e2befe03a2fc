// Says at once that a form is on its way, and takes no second press meanwhile.
// The server does not rely on it.
addEventListener("submit", (event) => {
  const { target: form, submitter } = event;
  if (event.defaultPrevented || !(form instanceof HTMLFormElement)) return;
  if (form.hasAttribute("data-sent")) {
    event.preventDefault();
    return;
  }
  form.setAttribute("data-sent", "");
  submitter?.setAttribute("aria-disabled", "true");
});

// A page that comes back from the browser's memory can be sent again.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) {
    form.removeAttribute("data-sent");
    form.querySelector("[aria-disabled]")?.removeAttribute("aria-disabled");
  }
});
