// What is known of a log: how many lines it has, where something is left out, and the few pages of lines that
// were looked at last. Rows are what is shown one below the other: lines, and marks between them.
"use strict";
(() => {
  const PAGE = 200;
  const MOST_PAGES = 60;
  const MOST_ASKED = 4;

  class Model {
    // `address(parameters)` is where to ask for lines; `changed()` is called when there is more to show.
    constructor(address, changed) {
      Object.assign(this, { address, changed });
      this.reset();
    }

    reset() {
      this.total = 0;
      this.gap = null;
      this.gapBytes = 0;
      this.events = [];
      this.rest = [];
      this.hits = null; // numbers of lines, if only those are to be shown
      this.began = 0;
      this.final = false;
      this.attempt = null;
      this.showsEvents = true;
      if (this.asked) for (const one of this.asked.values()) one.abort();
      this.asked = new Map();
      this.pages = new Map();
      this.single = new Map();
      this.generation = (this.generation || 0) + 1;
      this.arrange();
    }

    // ── rows ──

    // Runs of lines and marks, in order: [{row, line, count} or {row, mark}].
    arrange() {
      const marks = this.showsEvents ? this.events.map(([line, at, text]) => ({ line, event: { at, text } })) : [];
      if (this.gap) marks.push({ line: this.gap[0], gap: this.gap });
      marks.sort((a, b) => a.line - b.line || (a.gap ? -1 : 0));
      this.parts = [];
      let line = 0;
      let row = 0;
      for (const mark of marks) {
        if (mark.line > line) {
          this.parts.push({ row, line, count: mark.line - line });
          row += mark.line - line;
          line = mark.line;
        }
        this.parts.push({ row, mark });
        row += 1;
        if (mark.gap) line = Math.max(line, mark.gap[1]);
      }
      this.parts.push({ row, line, count: Infinity });
    }

    get rows() {
      if (this.hits) return this.hits.length;
      const last = this.parts[this.parts.length - 1];
      return last.row + Math.max(0, this.total - last.line) + this.rest.length;
    }

    // What stands in a row: {number, line (or undefined: not there yet)} or {mark}.
    at(row) {
      if (this.hits) return { number: this.hits[row], line: this.line(this.hits[row]) };
      let low = 0;
      let high = this.parts.length - 1;
      while (low < high) {
        const middle = Math.ceil((low + high) / 2);
        if (this.parts[middle].row <= row) low = middle; else high = middle - 1;
      }
      const part = this.parts[low];
      if (part.mark) return { mark: part.mark };
      const number = part.line + row - part.row;
      return { number, line: number < this.total ? this.line(number) : this.rest[number - this.total] };
    }

    rowOf(number) {
      if (this.hits) {
        const at = this.hits.findIndex((one) => one >= number);
        return at < 0 ? this.hits.length - 1 : at;
      }
      for (let at = this.parts.length - 1; at >= 0; at -= 1) {
        const part = this.parts[at];
        if (!part.mark && number >= part.line) return part.row + Math.min(number - part.line, part.count - 1);
      }
      return 0;
    }

    line(number) {
      const page = this.pages.get(Math.floor(number / PAGE));
      return (page && page.lines[number % PAGE]) || this.single.get(number);
    }

    // ── lines ──

    put(rows) {
      for (const row of rows) {
        const at = Math.floor(row[0] / PAGE);
        if (!this.pages.has(at)) this.pages.set(at, { lines: [], end: 0 });
        this.pages.get(at).lines[row[0] % PAGE] = row;
      }
      for (const at of this.pages.keys()) {
        if (this.pages.size <= MOST_PAGES) break;
        this.pages.delete(at);
      }
    }

    // Take in an answer of the server, or a message of its socket; whether the log has grown.
    take(answer) {
      const before = this.total;
      this.total = Math.max(this.total, answer.total || 0);
      this.put(answer.rows);
      if (answer.rest && (answer.t || answer.rest.length || this.total > before)) this.rest = answer.rest;
      if ("gap" in answer) Object.assign(this, { gap: answer.gap, events: answer.events, began: answer.began });
      if ("gap" in answer || this.total > before) this.arrange();
      return this.total > before;
    }

    async ask(parameters, signal) {
      const response = await fetch(this.address(parameters), { signal, headers: { Accept: "application/json" } });
      if (!response.ok) throw new Error(`${response.status}`);
      return response.json();
    }

    // See to it that the lines of these rows come; those that nobody looks at any more are not waited for.
    want(first, last) {
      if (this.hits) { this.wantSingle(first, last); return; }
      const wanted = new Map();
      for (let row = first; row <= last; row += 1) {
        const { number, line } = this.at(row);
        if (number === undefined || number >= this.total) continue;
        const at = Math.floor(number / PAGE);
        const page = this.pages.get(at);
        if (page) { this.pages.delete(at); this.pages.set(at, page); } // used last
        if (!line && !(page && page.end > number) && !wanted.has(at)) wanted.set(at, number);
      }
      for (const [key, asked] of this.asked) {
        if (typeof key === "number" && !wanted.has(key)) { asked.abort(); this.asked.delete(key); }
      }
      for (const [at, number] of wanted) {
        if (!this.asked.has(at) && this.asked.size < MOST_ASKED) this.load(at, number);
      }
    }

    load(at, number) {
      const end = Math.min(this.total, (at + 1) * PAGE);
      this.request(at, { from_line: number, count: end - number }, (answer) => {
        this.take(answer);
        const page = this.pages.get(at) || { lines: [] };
        page.end = end; // what is not there now is not stored: it is not asked for again
        this.pages.set(at, page);
      });
    }

    wantSingle(first, last) {
      const missing = this.hits.slice(first, last + 1).filter((number) => !this.line(number));
      if (!missing.length || this.asked.has("single")) return;
      if (this.single.size > 5000) this.single.clear();
      this.request("single", { numbers: missing.slice(0, 100).join(",") }, (answer) => {
        for (const number of missing) this.single.set(number, [number, 1, 0, ""]);
        for (const row of answer.rows) this.single.set(row[0], row);
      });
    }

    request(key, parameters, take) {
      const controller = new AbortController();
      const { generation } = this;
      this.asked.set(key, controller);
      this.ask(parameters, controller.signal).then((answer) => {
        if (generation !== this.generation) return;
        this.asked.delete(key);
        take(answer);
        this.changed();
      }).catch(() => {
        if (controller.signal.aborted || generation !== this.generation) return;
        // The server is away, or busy: again in a while, if it is still looked at.
        setTimeout(() => { this.asked.delete(key); this.changed(); }, 2000);
      });
    }
  }
  window.tallyman.log.Model = Model;
})();
