// A job's page: its bar counts on, texts are copied, and a job that is retried comes alive again.
"use strict";
(() => {
  const LATE = 0.9;
  const ended = new WeakSet();
  let leaving = false;

  const count = () => {
    for (const bar of document.querySelectorAll("progress[data-since]")) {
      const used = Math.min(bar.max, Math.max(0, (Date.now() - new Date(bar.dataset.since)) / 1000));
      bar.value = used;
      bar.classList.toggle("is-late", used > LATE * bar.max);
    }
  };

  // Without https there is no clipboard: then the browser copies what is selected.
  const copy = async (text) => {
    if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "visually-hidden";
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    if (!copied) throw new Error("refused");
    return undefined;
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    try {
      await copy(button.dataset.copy);
      document.getElementById("announce").textContent = "Copied.";
      button.classList.add("is-done");
      setTimeout(() => button.classList.remove("is-done"), 1500);
      button.focus();
    } catch {
      window.tallyman.toast("The browser did not let the text be copied. Select it, and copy it by hand.", "warning");
    }
  });

  // A part that was final asks no more by itself. If it has news all the same, the whole page begins anew.
  document.addEventListener("htmx:afterRequest", (event) => {
    const { elt, xhr } = event.detail;
    if (!xhr || !elt.hasAttribute("data-live")) return;
    if (xhr.status === 286) ended.add(elt);
    else if (xhr.status === 200 && ended.has(elt) && !leaving) {
      leaving = true;
      window.location.reload();
    }
  });

  document.addEventListener("htmx:afterSwap", count);
  setInterval(() => { if (!document.hidden) count(); }, 1000);
  count();
})();
