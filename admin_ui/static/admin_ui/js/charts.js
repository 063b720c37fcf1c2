// Charts: <div data-chart="url" data-every="5"> draws what the address answers, again every so many seconds.
//
// The answer: {"times": [unix seconds], "unit": "count|bytes|percent|seconds", "summary": "one sentence",
// "series": [{"label", "values", "colour": "ok|bad|busy|warn|wait", "kind": "line|bars|area"}],
// "limit": {"label", "value"} or null, "is_final": true if it will not change any more}.
"use strict";
(() => {
  const HEIGHT = 180;
  const POWERS = Array.from({ length: 50 }, (_none, power) => 2 ** power); // so that bytes have round ticks
  const charts = new Map();
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const bytes = (value) => {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let at = 0;
    for (; value >= 1024 && at < units.length - 1; at += 1) value /= 1024;
    return `${at ? value.toFixed(1) : value.toFixed(0)} ${units[at]}`;
  };
  const says = {
    bytes,
    percent: (value) => `${value.toFixed(value < 10 ? 1 : 0)} %`,
    seconds: (value) => window.tallyman.duration(value),
    count: (value) => `${Math.round(value * 100) / 100}`,
  };

  const series = (one, unit) => ({
    label: one.label,
    stroke: colour(one.colour),
    width: 1.5,
    fill: one.kind === "line" ? undefined : colour(one.kind === "bars" ? one.colour : `${one.colour}-bg`),
    paths: one.kind === "bars" ? uPlot.paths.bars({ size: [0.8, 40] }) : undefined,
    points: { show: one.kind !== "bars" && one.values.length < 3 },
    spanGaps: false,
    // What is drawn of stacked ones is a sum; what is said is the value itself.
    value: (_chart, value, _series, at) => {
      const own = at == null || !one.values ? value : one.values[at];
      return own == null || value == null ? "–" : says[unit](own);
    },
  });

  // uPlot's own are American.
  const CLOCK = [
    [86400 * 28, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
    [86400, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
    [60, "{HH}:{mm}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
    [1, "{HH}:{mm}:{ss}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
  ];
  // Half a bar more at each end: a bar stands around its moment.
  const room = (answer) => (_chart, from, to) => {
    const { times, series: all } = answer;
    if (from == null) return [from, to];
    if (times.length < 2) return [times[0] - 60, times[0] + 60]; // else the axis would span years
    if (!all.some((one) => one.kind === "bars")) return [from, to];
    const half = (times[1] - times[0]) / 2;
    return [from - half, to + half];
  };

  const options = (answer, width) => {
    const text = colour("bs-body-color");
    const grid = { stroke: colour("bs-border-color"), width: 1 };
    const axis = { stroke: text, grid, ticks: grid };
    const top = answer.limit ? answer.limit.value : 0;
    return {
      width,
      height: HEIGHT,
      cursor: { drag: { x: true, y: false } },
      scales: { x: { range: room(answer) }, y: { range: (_chart, _low, high) => [0, Math.max(high || 0, top, 1e-9) * 1.05] } },
      axes: [{ ...axis, values: CLOCK }, { ...axis, size: 84, incrs: answer.unit === "bytes" ? POWERS : undefined, values: (_chart, ticks) => ticks.map(says[answer.unit]) }],
      series: [{ value: (_chart, at) => (at == null ? "–" : new Date(at * 1000).toLocaleString()) },
        ...lines(answer).map((one) => series(one, answer.unit))],
    };
  };
  const lines = (answer) => (answer.limit
    ? [...answer.series, { label: answer.limit.label, colour: "bad", kind: "line",
        values: answer.times.map(() => answer.limit.value) }]
    : answer.series);

  const draw = (element, answer) => {
    const old = charts.get(element);
    if (old) old.destroy();
    element.replaceChildren();
    element.setAttribute("role", "img");
    element.setAttribute("aria-label", answer.summary);
    if (!answer.times.length) {
      element.textContent = answer.summary;
      charts.delete(element);
      return;
    }
    const data = [answer.times, ...lines(answer).map((one) => one.drawn || one.values)];
    charts.set(element, new uPlot(options(answer, element.clientWidth || 300), data, element));
  };

  const ask = async (element) => {
    if (document.hidden || !element.isConnected) return;
    const response = await fetch(element.dataset.chart, { headers: { Accept: "application/json" } }).catch(() => null);
    if (!response || !response.ok) return; // the page says by itself that it is stale
    const text = await response.text();
    if (text === element.answer) return;
    element.answer = text;
    const answer = JSON.parse(text);
    draw(element, answer);
    if (answer.is_final) clearInterval(element.timer);
  };

  const begin = (root) => {
    for (const element of root.querySelectorAll("[data-chart]")) {
      if (element.timer) continue;
      element.timer = element.dataset.every ? setInterval(() => ask(element), element.dataset.every * 1000) : 1;
      ask(element);
    }
  };
  // Another range of the same chart: <button data-chart-of="id" data-url="...">
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-chart-of]");
    if (!button) return;
    const element = document.getElementById(button.dataset.chartOf);
    element.dataset.chart = button.dataset.url;
    for (const one of document.querySelectorAll(`[data-chart-of="${CSS.escape(element.id)}"]`)) {
      one.setAttribute("aria-pressed", String(one === button));
      one.classList.toggle("active", one === button);
    }
    ask(element);
  });
  const redraw = () => {
    for (const element of charts.keys()) if (element.isConnected && element.answer) draw(element, JSON.parse(element.answer));
  };
  document.addEventListener("themechange", redraw);
  let waiting = 0;
  window.addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(redraw, 150); });
  begin(document);
  document.addEventListener("htmx:afterSwap", () => begin(document));
})();
