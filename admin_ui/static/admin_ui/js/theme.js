// Light, dark or as the machine has it: the same choice as on Django's own admin pages.
"use strict";
(() => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const order = ["auto", "light", "dark"];
  const chosen = () => localStorage.getItem("theme") || "auto";
  const apply = () => {
    const mode = chosen();
    const shown = mode === "auto" ? (dark.matches ? "dark" : "light") : mode;
    document.documentElement.dataset.bsTheme = shown;
    document.documentElement.dataset.theme = mode;
    document.dispatchEvent(new CustomEvent("themechange"));
  };
  apply(); // before the first paint
  dark.addEventListener("change", apply);
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    if (!button) return;
    const tell = () => { button.title = `Theme: ${chosen()}`; };
    tell();
    button.addEventListener("click", () => {
      localStorage.setItem("theme", order[(order.indexOf(chosen()) + 1) % order.length]);
      apply();
      tell();
    });
  });
})();
