// One row of a log as an element. All text gets in by textContent.
"use strict";
(() => {
  const { tokens } = window.tallyman.log;
  const MOST_CHARACTERS = 2000;
  const MOST_MARKS = 200;
  const STREAMS = ["docker", "stdout", "stderr"];
  const make = (name, className, text) => {
    const element = document.createElement(name);
    element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };

  const clock = new Intl.DateTimeFormat(undefined, { month: "short", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23" });
  const time = (at, options) => {
    if (options.times === "absolute") return clock.format(at);
    return `+${((at - options.began) / 1000).toFixed(3)}`;
  };

  // Where the text is to be marked: [[from, to]], in order.
  const places = (text, pattern) => {
    const found = [];
    if (!pattern) return found;
    for (const match of text.matchAll(pattern)) {
      if (match[0]) found.push([match.index, match.index + match[0].length]);
      if (found.length >= MOST_MARKS) break;
    }
    return found;
  };

  const piece = ({ text, style }, marked) => {
    if (!style.classes && !style.colour && !style.ground && !marked) return document.createTextNode(text);
    const element = make(marked ? "mark" : "span", style.classes, text);
    if (style.colour) element.style.color = style.colour;
    if (style.ground) element.style.backgroundColor = style.ground;
    return element;
  };

  const fill = (element, text, pattern) => {
    const all = tokens(text);
    const marks = places(all.map((one) => one.text).join(""), pattern);
    let at = 0;
    for (const token of all) {
      const end = at + token.text.length;
      const cuts = new Set([at, end]);
      for (const [from, to] of marks) {
        if (from > at && from < end) cuts.add(from);
        if (to > at && to < end) cuts.add(to);
      }
      const edges = [...cuts].sort((a, b) => a - b);
      for (let one = 0; one + 1 < edges.length; one += 1) {
        const marked = marks.some(([from, to]) => from <= edges[one] && edges[one] < to);
        element.append(piece({ text: token.text.slice(edges[one] - at, edges[one + 1] - at), style: token.style }, marked));
      }
      at = end;
    }
  };

  const size = (bytes) => (bytes < 1024 * 1024 ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / 1024 / 1024).toFixed(1)} MiB`);

  const text = (line, options) => {
    const element = make("span", "log-text");
    const whole = options.long.get(line[0]) || line;
    const cut = whole.length > 4 || (whole === line && line[3].length > MOST_CHARACTERS);
    fill(element, whole === line ? line[3].slice(0, MOST_CHARACTERS) : whole[3], options.pattern);
    if (cut && whole === line) {
      const label = options.texts.more.replace("{size}", size(line[4] || line[3].length));
      const button = make("button", "btn btn-link btn-sm log-more", label);
      button.type = "button";
      button.dataset.long = line[0];
      element.append(button);
    } else if (cut) {
      element.append(make("span", "log-cut", options.texts.cut));
    }
    return element;
  };

  const ofMark = (mark, options) => {
    if (mark.gap) {
      const [first, end, bytes] = mark.gap;
      const words = options.texts.gap.replace("{lines}", (end - first).toLocaleString()).replace("{size}", size(bytes));
      return make("div", "log-row log-gap", words);
    }
    const element = make("div", "log-row log-event");
    element.append(make("span", "log-number", "•"));
    if (options.times !== "off") element.append(make("span", "log-time", mark.event.at ? time(mark.event.at, options) : ""));
    element.append(make("span", "log-text", mark.event.text));
    return element;
  };

  // `entry`: see Model.at. `options`: times, began, pattern, target, current, long, texts.
  window.tallyman.log.row = (entry, options) => {
    if (entry.mark) return ofMark(entry.mark, options);
    const { number, line } = entry;
    const element = make("div", "log-row");
    const link = make("a", "log-number", number + 1);
    link.href = `#L${number + 1}`;
    link.dataset.line = number;
    link.title = options.filtered ? options.texts.context : options.texts.link;
    link.tabIndex = -1;
    element.append(link);
    if (number === options.target) element.classList.add("is-target");
    if (number === options.current) element.classList.add("is-current");
    if (!line) {
      element.append(make("span", "log-text log-pending", "…"));
      return element;
    }
    element.classList.add(`log-${STREAMS[line[1]]}`);
    if (options.times !== "off") {
      const at = make("span", "log-time", line[2] ? time(line[2], options) : "");
      if (line[2]) at.title = new Date(line[2]).toISOString();
      element.append(at);
    }
    element.append(text(line, options));
    return element;
  };
})();
