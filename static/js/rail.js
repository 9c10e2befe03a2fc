// Remembers whether the administrator's rail is folded. Folding itself is style;
// the server reads the cookie, so that the next page is laid out at once.
addEventListener("change", ({ target }) => {
  if (!target.matches(".rail-fold input")) return;
  const kept = target.checked ? "rail=folded; max-age=31536000" : "rail=; max-age=0";
  document.cookie = `${kept}; path=/admin; samesite=lax`;
});
