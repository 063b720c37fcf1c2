// The list of jobs: what is chosen stays chosen while rows come and go, and the filters speak the viewer's time.
"use strict";
(() => {
  const bar = document.getElementById("bulk");
  const list = document.getElementById("jobs");
  const chosen = new Set();
  let last = null;

  const boxes = () => [...list.querySelectorAll('input[name="id"]')];
  const all = bar && document.getElementById("all-matching");

  const tell = () => {
    const count = bar.querySelector(".bulk-count");
    const text = all.checked ? count.dataset.all : chosen.size === 1 ? count.dataset.one : count.dataset.many.replace("#", chosen.size);
    if (count.textContent !== text) count.textContent = text;
    bar.hidden = !chosen.size && !all.checked;
    const clone = document.getElementById("clone");
    clone.hidden = chosen.size !== 1 || all.checked || !bar.dataset.clone;
    if (!clone.hidden) clone.href = bar.dataset.clone + [...chosen][0];
  };
  // The server knows nothing of what is chosen: it is put back after each answer. What left the list goes.
  const restore = () => {
    const here = boxes();
    const ids = new Set(here.map((box) => box.value));
    for (const id of [...chosen]) if (!ids.has(id)) chosen.delete(id);
    for (const box of here) box.checked = chosen.has(box.value);
    const head = document.getElementById("choose-page");
    if (head) {
      head.checked = here.length > 0 && chosen.size === here.length;
      head.indeterminate = chosen.size > 0 && !head.checked;
    }
    tell();
  };
  const set = (box, on) => { if (on) chosen.add(box.value); else chosen.delete(box.value); };
  const none = () => { chosen.clear(); all.checked = false; restore(); };

  const address = (action) => {
    if (all.checked) {
      const query = new URLSearchParams(new FormData(bar));
      query.delete("id");
      return `${action}?${query}`;
    }
    return `${action}?${new URLSearchParams([...chosen].map((id) => ["id", id]))}`;
  };

  if (bar) {
    bar.hidden = true;
    document.getElementById("choose-none").hidden = false;
    document.getElementById("choose-none").addEventListener("click", none);
    all.addEventListener("change", tell);
    list.addEventListener("click", (event) => {
      const box = event.target;
      if (box.id === "choose-page") {
        for (const one of boxes()) set(one, box.checked);
        restore();
      } else if (box.name === "id") {
        const here = boxes();
        const from = event.shiftKey && last ? here.findIndex((one) => one.value === last) : -1;
        const to = here.indexOf(box);
        const range = from < 0 ? [box] : here.slice(Math.min(from, to), Math.max(from, to) + 1);
        for (const one of range) set(one, box.checked);
        last = box.value;
        restore();
      }
    });
    bar.addEventListener("submit", (event) => {
      event.preventDefault();
      window.tallyman.dialog(address(event.submitter.getAttribute("formaction")));
    });
    document.body.addEventListener("acted", none);
    document.addEventListener("htmx:afterSwap", (event) => { if (event.detail.target === list) restore(); });
    document.addEventListener("keydown", (event) => {
      if (event.key !== "x" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
      const row = document.activeElement.closest("[data-row]");
      const box = row && row.querySelector('input[name="id"]');
      if (box) box.click();
    });
    restore();
  }

  const filters = document.getElementById("filters");
  const two = (number) => String(number).padStart(2, "0");
  const local = (at) => `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  for (const field of filters.querySelectorAll("[data-moment]")) {
    const label = filters.querySelector(`label[for="${field.id}"]`);
    if (label) label.textContent = label.textContent.replace(" (UTC)", "");
    const at = new Date(`${field.value}Z`);
    if (field.value && !Number.isNaN(at.getTime())) field.value = local(at);
  }
  // What is empty is left out of the address, and moments stand in it in UTC.
  filters.addEventListener("formdata", (event) => {
    for (const [name, value] of [...event.formData.entries()]) {
      const field = filters.elements.namedItem(name);
      if (!value) event.formData.delete(name);
      else if (field.dataset && "moment" in field.dataset) event.formData.set(name, new Date(value).toISOString().slice(0, 19));
    }
  });
})();
