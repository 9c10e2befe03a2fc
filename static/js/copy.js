// Copies an id, and says so to eyes and to ears.
let announcer;

const announce = (text) => {
  if (!announcer) {
    announcer = document.createElement("p");
    announcer.className = "unseen";
    announcer.setAttribute("role", "status");
    document.body.append(announcer);
  }
  announcer.textContent = text;
};

addEventListener("click", async (event) => {
  const button = event.target.closest?.("button[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
  } catch {
    announce("It could not be copied. Select it instead.");
    return;
  }
  announce(`${button.dataset.copy} is copied.`);
  button.dataset.copied = "";
  setTimeout(() => delete button.dataset.copied, 1500);
});
