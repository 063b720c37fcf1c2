// The live parts of a page: they rest while nobody looks, say what they have, and show when they are stale.
"use strict";
(() => {
  const STALE_AFTER_MS = 10000;
  const stamps = new WeakMap();
  const badge = document.getElementById("freshness");
  const announce = document.getElementById("announce");
  let heardAt = Date.now();
  let wasStale = false;

  const isLive = (element) => element instanceof Element && element.hasAttribute("data-live");

  document.addEventListener("htmx:configRequest", (event) => {
    const stamp = stamps.get(event.detail.elt);
    if (stamp) event.detail.headers["X-Part"] = stamp;
  });
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (isLive(event.detail.elt) && document.hidden) event.preventDefault();
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    const { elt, xhr, successful } = event.detail;
    if (!isLive(elt)) return;
    const stamp = xhr && xhr.getResponseHeader("X-Part");
    if (successful && stamp) {
      stamps.set(elt, stamp);
      heardAt = Date.now();
      show();
    }
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) window.tallyman.refresh();
  });

  window.tallyman.refresh = () => {
    for (const element of document.querySelectorAll("[data-live]")) element.dispatchEvent(new Event("refresh"));
  };

  const show = () => {
    if (!badge || !document.querySelector("[data-live]")) return;
    const seconds = Math.round((Date.now() - heardAt) / 1000);
    const stale = !document.hidden && Date.now() - heardAt > STALE_AFTER_MS;
    badge.hidden = false;
    badge.classList.toggle("is-stale", stale);
    const text = stale
      ? `${badge.dataset.stale} ${new Date(heardAt).toLocaleTimeString()}`
      : seconds < 2 ? badge.dataset.now : badge.dataset.fresh.replace("#", seconds);
    if (badge.textContent !== text) badge.textContent = text;
    if (stale !== wasStale) {
      announce.textContent = text;
      wasStale = stale;
    }
  };
  setInterval(show, 1000);
})();
