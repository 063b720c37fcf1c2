// The list of hosts: what is selected stays so while the rows change, and acts on it open in the dialog.
"use strict";
(() => {
  const selected = new Set();
  const boxes = () => [...document.querySelectorAll('input[name="id"][form="bulk"]')];
  const bulk = document.getElementById("bulk");
  const count = bulk && bulk.querySelector("[data-selected]");
  const idle = count && count.textContent;

  const show = () => {
    const all = boxes();
    for (const box of all) box.checked = selected.has(box.value);
    for (const id of selected) if (!all.some((box) => box.value === id)) selected.delete(id);
    const every = document.querySelector("[data-select-all]");
    if (every) {
      every.checked = all.length > 0 && selected.size === all.length;
      every.indeterminate = selected.size > 0 && selected.size < all.length;
    }
    if (!count) return;
    const text = selected.size ? `${selected.size} ${count.dataset.selected}` : idle;
    if (count.textContent !== text) count.textContent = text;
    for (const button of bulk.querySelectorAll("button")) button.disabled = !selected.size;
  };
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-select-all]")) {
      for (const box of boxes()) event.target.checked ? selected.add(box.value) : selected.delete(box.value);
    } else if (event.target.matches('input[name="id"][form="bulk"]')) {
      event.target.checked ? selected.add(event.target.value) : selected.delete(event.target.value);
    } else if (event.target.matches("[data-filters] select")) {
      event.target.form.requestSubmit();
      return;
    } else {
      return;
    }
    show();
  });
  if (bulk) {
    bulk.addEventListener("submit", (event) => {
      event.preventDefault();
      const query = [...selected].map((id) => `id=${encodeURIComponent(id)}`).join("&");
      if (selected.size) window.tallyman.dialog(`${event.submitter.formAction}?${query}`);
    });
  }
  // What is being typed, or a menu that is open, is not taken away by an answer that comes just then.
  const HELD_FOR_MS = 15000;
  let heldUntil = 0;
  const hold = (event) => {
    if (event.target.closest("[data-hold], [data-live] .dropdown")) heldUntil = Date.now() + HELD_FOR_MS;
  };
  for (const kind of ["focusin", "input", "shown.bs.dropdown"]) document.addEventListener(kind, hold);
  const isHeld = () => Date.now() < heldUntil && (document.activeElement.matches("[data-hold]")
    || document.querySelector("[data-live] .dropdown-menu.show"));
  document.addEventListener("htmx:afterRequest", (event) => {
    const { elt, xhr, successful } = event.detail;
    const refused = !successful || (xhr.getResponseHeader("HX-Trigger") || "").includes('"danger"');
    if (elt.matches("[data-hold]") && refused) elt.value = elt.defaultValue;
  });
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.elt.hasAttribute("data-live") && isHeld()) event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches("[data-hold]")) event.target.blur();
  });
  document.addEventListener("htmx:afterSwap", show);
  show();
})();
