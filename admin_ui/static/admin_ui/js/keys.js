// The keyboard: / searches, g and a letter goes, j and k move through rows, ? helps.
"use strict";
(() => {
  let going = 0;
  const typing = (element) => element.closest("input, textarea, select, [contenteditable]");
  const rows = () => [...document.querySelectorAll("[data-row]")].filter((row) => row.offsetParent);
  const move = (step) => {
    const all = rows();
    if (!all.length) return;
    const here = all.indexOf(document.activeElement.closest("[data-row]"));
    const next = all[Math.min(all.length - 1, Math.max(0, here < 0 ? (step > 0 ? 0 : all.length - 1) : here + step))];
    (next.querySelector("a[href]") || next).focus();
  };
  const help = () => window.tallyman.show(document.getElementById("keys-help"));
  const acts = {
    "/": () => { const box = document.querySelector("[data-search]"); if (box) { box.focus(); box.select(); } },
    "?": help,
    j: () => move(1),
    k: () => move(-1),
    n: () => { const link = document.querySelector("[data-new]"); if (link) link.click(); },
    g: () => { going = Date.now(); },
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (Date.now() - going < 1500) {
      going = 0;
      const link = document.querySelector(`[data-go="${CSS.escape(event.key)}"]`);
      if (link) { event.preventDefault(); window.location.assign(link.href); }
      return;
    }
    const act = acts[event.key];
    if (act) { event.preventDefault(); act(); }
  });
  document.getElementById("help").addEventListener("click", help);
})();
