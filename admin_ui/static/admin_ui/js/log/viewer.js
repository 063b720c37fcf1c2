// A log on a page: puts model, view, link and search together. What it says: says.js; its buttons: controls.js.
"use strict";
(() => {
  const { Model, View, Link, Search, row } = window.tallyman.log;
  const kept = (name, otherwise) => localStorage.getItem(`log-${name}`) || otherwise;

  class Viewer {
    constructor(root) {
      this.root = root;
      this.data = root.dataset;
      this.stream = this.data.stream;
      this.attempt = this.data.attempt;
      this.find = (name) => root.querySelector(`[data-log="${name}"]`);
      this.texts = { ...this.find("texts").dataset };
      this.long = new Map();
      this.target = -1;
      this.times = kept("times", "off");
      this.announced = { at: 0, total: 0 };
      this.model = new Model((parameters) => this.address(this.data.lines, parameters), () => this.view.refresh());
      this.search = new Search({ ask: (parameters, signal) => this.ask(parameters, signal), changed: () => this.searched() });
      this.view = new View(this.find("scroll"), {
        count: () => this.model.rows,
        render: (at) => this.render(at),
        want: (first, last) => this.model.want(first, last),
        moved: () => this.moved(),
      });
      this.link = new Link({
        address: () => this.socketAddress(),
        poll: () => this.poll(),
        heard: (message) => this.heard(message),
        tell: (state) => this.tell(state),
      });
      window.tallyman.log.controls(this);
      this.begin();
    }

    // ── addresses ──

    address(url, parameters) {
      const query = new URLSearchParams({ stream: this.stream, ...parameters });
      if (this.attempt) query.set("attempt", this.attempt);
      return `${url}?${query}`;
    }

    socketAddress() {
      const url = new URL(this.address(this.data.socket, { after: this.model.total }), window.location.href);
      url.protocol = url.protocol.replace("http", "ws");
      return url.href;
    }

    async ask(parameters, signal) {
      const query = Object.fromEntries(Object.entries(parameters).map(([name, value]) => [name, value === true ? 1 : value]));
      for (const name of ["regex", "case", "inverse"]) if (!query[name]) delete query[name];
      const response = await fetch(this.address(this.data.find, query), { signal });
      if (response.status === 400 || response.ok) return response.json();
      throw new Error(`${this.texts.failed} (${response.status})`);
    }

    // ── the log ──

    // Open a stream of an attempt, at a line if one is named.
    async begin() {
      this.link.stop();
      clearTimeout(this.retry);
      this.model.reset();
      this.search.clear();
      this.searched();
      this.long.clear();
      const { generation } = this.model;
      const named = this.named();
      this.target = named;
      let answer;
      try {
        answer = await this.model.ask({ about: 1, count: 200, ...(named >= 0 ? { around: named } : {}) });
      } catch {
        this.tell("away");
        this.retry = setTimeout(() => this.begin(), 2000);
        return;
      }
      if (generation !== this.model.generation) return;
      this.took(answer);
      this.view.following = named < 0;
      this.view.pin = null;
      this.view.redraw();
      if (named >= 0) this.jump(named);
      if (answer.final) this.tell("ended"); else this.follow();
    }

    follow() {
      if (this.stream === "docker") this.link.startPollingOnly(); else this.link.start();
    }

    took(answer) {
      if (answer.attempt === null) { this.empty(this.texts.waiting); return; }
      this.model.take(answer);
      if ("notice" in answer) {
        const notice = this.find("notice");
        notice.textContent = answer.notice;
        notice.hidden = !answer.notice;
      }
      this.model.final = Boolean(answer.final);
      if (answer.gap_bytes !== this.model.gapBytes) this.model.gapBytes = answer.gap_bytes || 0;
      this.empty(this.model.rows ? "" : (answer.final ? this.texts.nothing : this.texts.nothingYet));
    }

    empty(text) {
      this.find("empty").textContent = text;
      this.find("empty").hidden = !text;
    }

    heard(message) {
      if (message.t === "end") { this.again(); return; }
      if (message.t !== "lines") return;
      const grown = this.model.take(message);
      if (message.gap_bytes !== this.model.gapBytes) {
        this.model.gapBytes = message.gap_bytes;
        this.again();
      }
      if (this.model.rows) this.empty("");
      if (grown) {
        this.search.more(this.model.total);
        this.announce();
      }
      this.view.refresh();
      this.moved();
    }

    // What there is to know beside the lines has changed: events after the end, the place of a gap.
    async again() {
      if (this.asking) return;
      this.asking = true;
      const { generation } = this.model;
      const answer = await this.model.ask({ about: 1, count: 200 }).catch(() => null);
      this.asking = false;
      if (!answer || generation !== this.model.generation) return;
      this.took(answer);
      this.view.redraw();
    }

    async poll() {
      const { generation } = this.model;
      const answer = await this.model.ask({ from_line: this.model.total, count: 1000, follow: 1 });
      if (generation !== this.model.generation) return false;
      if (answer.attempt === null) { this.took(answer); return false; }
      const before = this.model.total;
      this.took(answer);
      if (this.model.total > before) { this.search.more(this.model.total); this.announce(); }
      this.view.refresh();
      if (answer.final) this.again();
      return Boolean(answer.final);
    }

    render(at) {
      const entry = this.model.at(at);
      const current = this.search.at >= 0 ? this.search.hits[this.search.at] : -1;
      const element = row(entry, {
        times: this.times,
        began: this.model.began,
        pattern: this.search.pattern,
        target: this.target,
        current,
        long: this.long,
        texts: this.texts,
        filtered: Boolean(this.model.hits),
      });
      element.isOpen = !entry.mark && (!entry.line || entry.number >= this.model.total);
      return element;
    }

    // ── places ──

    named() {
      const found = /^#L(\d{1,9})$/.exec(this.data.page ? window.location.hash : "");
      return found ? Math.max(0, Number(found[1]) - 1) : -1;
    }

    // Show a line; out of a filtered log, in its context.
    jump(number) {
      this.view.show(this.model.rowOf(number));
    }

    context(number) {
      this.target = number;
      if (this.model.hits) this.filter(false);
      if (this.data.page) history.replaceState(null, "", `${window.location.pathname}${window.location.search}#L${number + 1}`);
      this.view.redraw();
      this.jump(number);
    }

    filter(on) {
      this.model.hits = on ? this.search.hits : null;
      this.find("filter").setAttribute("aria-pressed", String(on));
      this.view.following = false;
      this.view.pin = null;
      this.view.redraw();
    }

    // The line at the top of the window.
    here() {
      const { number } = this.model.at(this.view.top().row);
      return number || 0;
    }

    next(step) {
      const line = this.search.toHit(step, this.here());
      if (line === null) return;
      this.jump(line);
      this.view.redraw();
      this.searched();
    }

    async showAll(number) {
      const answer = await this.model.ask({ from_line: number, count: 1, long: 1 }).catch(() => null);
      if (!answer || !answer.rows.length) return;
      if (this.long.size > 20) this.long.clear();
      this.long.set(number, answer.rows[0]);
      this.view.redraw();
    }
  }
  Object.assign(Viewer.prototype, window.tallyman.log.says);

  window.tallyman.log.Viewer = Viewer;
  const start = () => {
    for (const root of document.querySelectorAll("[data-log-viewer]")) if (!root.viewer) root.viewer = new Viewer(root);
  };
  document.addEventListener("DOMContentLoaded", start);
  document.addEventListener("htmx:afterSwap", start);
})();
