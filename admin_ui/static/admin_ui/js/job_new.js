// A new job's form: rows of variables come and go, secrets are covered, and it is sent once.
"use strict";
(() => {
  const form = document.getElementById("job-form");
  const rows = document.getElementById("variables");
  const blank = document.getElementById("empty-variable");
  const total = form.querySelector("[name='env-TOTAL_FORMS']");

  const cover = (row) => row.classList.toggle("is-secret", row.querySelector("[data-secret]").checked);
  const changed = () => form.dispatchEvent(new Event("change", { bubbles: true }));

  const add = () => {
    const place = Number(total.value);
    const holder = document.createElement("div");
    holder.innerHTML = blank.innerHTML.replaceAll("__prefix__", String(place));
    const row = holder.firstElementChild;
    total.value = String(place + 1);
    rows.append(row);
    row.querySelector("input").focus();
  };
  // Its fields go empty, so that it is no variable; the numbers of the others stay.
  const remove = (row) => {
    for (const field of row.querySelectorAll("input[type=text], textarea")) field.value = "";
    for (const box of row.querySelectorAll("[data-secret], [data-way]")) box.checked = false;
    row.hidden = true;
    row.classList.add("d-none");
    document.getElementById("add-variable").focus();
    changed();
  };

  document.getElementById("add-variable").addEventListener("click", add);
  rows.addEventListener("click", (event) => {
    const button = event.target.closest("[data-remove]");
    if (button) remove(button.closest("[data-variable]"));
  });
  rows.addEventListener("change", (event) => {
    if (event.target.matches("[data-secret]")) cover(event.target.closest("[data-variable]"));
  });
  rows.querySelectorAll("[data-variable]").forEach(cover);

  // Two clicks are not two jobs; who comes back by the browser's history may send it again.
  form.addEventListener("submit", () => { form.querySelector("[data-once]").disabled = true; });
  window.addEventListener("pageshow", () => { form.querySelector("[data-once]").disabled = false; });
})();
