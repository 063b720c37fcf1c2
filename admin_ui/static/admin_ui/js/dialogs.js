// Links with data-dialog open in the page's dialog (without scripts they are pages); acts end in a toast.
"use strict";
(() => {
  const frame = document.getElementById("dialog");
  const body = document.getElementById("dialog-body");
  const words = document.getElementById("words").dataset;
  const modal = () => bootstrap.Modal.getOrCreateInstance(frame);

  const toast = (message, level) => {
    const element = document.createElement("div");
    element.className = `toast text-bg-${level}`;
    element.innerHTML = '<div class="d-flex"><div class="toast-body"></div><button type="button" class="btn-close me-2 m-auto" data-bs-dismiss="toast"></button></div>';
    element.querySelector("button").setAttribute("aria-label", words.close);
    element.querySelector(".toast-body").textContent = message;
    document.getElementById("toasts").append(element);
    element.addEventListener("hidden.bs.toast", () => element.remove());
    new bootstrap.Toast(element, { delay: level === "success" ? 6000 : 15000 }).show();
  };
  window.tallyman.toast = toast;
  window.tallyman.dialog = (url) => htmx.ajax("GET", url, { target: body, swap: "innerHTML" }).then(() => modal().show());
  window.tallyman.show = (template) => {
    body.replaceChildren(template.content.cloneNode(true));
    modal().show();
  };

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-dialog]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    window.tallyman.dialog(link.href);
  });
  frame.addEventListener("shown.bs.modal", () => {
    const first = body.querySelector("[autofocus], input:not([type=hidden]), select, textarea");
    if (first) first.focus();
  });
  frame.addEventListener("hidden.bs.modal", () => body.replaceChildren()); // what it would still ask for
  // A server that refuses says so in plain words; nothing of it is swapped into the page.
  document.addEventListener("htmx:responseError", (event) => {
    if (event.detail.elt.hasAttribute("data-live")) return;
    const { status } = event.detail.xhr;
    toast(words[status] || words.status.replace("#", status), "danger");
  });
  document.addEventListener("htmx:sendError", (event) => {
    if (!event.detail.elt.hasAttribute("data-live")) toast(words.away, "danger");
  });
  document.body.addEventListener("acted", (event) => {
    if (frame.classList.contains("show")) modal().hide();
    toast(event.detail.message, event.detail.level);
    window.tallyman.refresh();
  });
})();
