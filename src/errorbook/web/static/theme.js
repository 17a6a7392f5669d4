// The theme that the reader chose: light, dark, or as the system says. Loaded before the page is drawn, so that it
// never flashes in the other theme; kept in this browser only.

(() => {
  const root = document.documentElement;
  const ORDER = ["", "light", "dark"]; // nothing: as the system says

  function kept() {
    try {
      return localStorage.getItem("errorbook-theme") ?? "";
    } catch {
      return ""; // storage is switched off: the system's theme it is
    }
  }

  function keep(theme) {
    try {
      localStorage.setItem("errorbook-theme", theme);
    } catch {
      // the choice lasts as long as the page
    }
  }

  function apply(theme) {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else delete root.dataset.theme;
  }

  apply(kept());
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.querySelector("[data-theme-switch]");
    if (!button) return;
    const name = button.querySelector("[data-theme-name]");
    const show = () => (name.textContent = root.dataset.theme ?? "auto");
    show();
    button.addEventListener("click", () => {
      const next = ORDER[(ORDER.indexOf(root.dataset.theme ?? "") + 1) % ORDER.length];
      apply(next);
      keep(next);
      show();
    });
  });
})();
