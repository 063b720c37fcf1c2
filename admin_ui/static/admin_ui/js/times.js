// Moments and durations as the viewer reads them: in the viewer's zone, counted on every second.
"use strict";
window.tallyman = window.tallyman || {};
(() => {
  const absolute = new Intl.DateTimeFormat(undefined, {
    dateStyle: "medium", timeStyle: "long",
  });
  const clock = new Intl.DateTimeFormat(undefined, {
    year: "numeric", month: "short", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit",
  });
  // As admin_ui.presenters.duration says it.
  const duration = (seconds) => {
    if (seconds < 10) return `${seconds.toFixed(1)} s`;
    const whole = Math.round(seconds);
    if (whole < 60) return `${whole} s`;
    if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
    if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
    return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
  };
  const rough = (seconds) => {
    const [away, one] = seconds < 0 ? ["in", -seconds] : ["", seconds];
    const text = one < 60 ? `${Math.round(one)} s` : one < 3600 ? `${Math.round(one / 60)} min`
      : one < 86400 ? `${Math.round(one / 3600)} h` : `${Math.round(one / 86400)} d`;
    return away ? `${away} ${text}` : `${text} ago`;
  };
  const words = {
    ago: (at, now) => rough((now - at) / 1000),
    clock: (at) => clock.format(at),
    since: (at, now) => duration(Math.max(0, (now - at) / 1000)),
  };
  const tell = (element, now) => {
    const at = new Date(element.dateTime);
    const text = (words[element.dataset.time] || words.clock)(at, now);
    if (element.textContent !== text) element.textContent = text;
    if (!element.title) element.title = absolute.format(at);
  };
  const tick = (root) => {
    const now = new Date();
    for (const element of root.querySelectorAll("time[data-time]")) tell(element, now);
  };
  window.tallyman.duration = duration;
  window.tallyman.tick = tick;
  tick(document);
  document.addEventListener("htmx:afterSwap", (event) => tick(event.target.parentNode || document));
  setInterval(() => { if (!document.hidden) tick(document); }, 1000);
})();
