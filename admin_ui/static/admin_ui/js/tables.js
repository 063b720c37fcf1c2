// Django's tables of inline rows head their columns, but do not label their fields.
"use strict";
(() => {
  const label = (root) => {
    for (const field of root.querySelectorAll(".tabular td input:not([type=hidden]), .tabular td select, .tabular td textarea")) {
      const cell = field.closest("td");
      const table = field.closest("table");
      const head = table && table.tHead && table.tHead.rows[0].cells[cell.cellIndex];
      if (head && !field.getAttribute("aria-label")) field.setAttribute("aria-label", head.textContent.trim());
    }
  };
  document.addEventListener("DOMContentLoaded", () => label(document));
  document.addEventListener("formset:added", (event) => label(event.target.parentNode || document));
})();
