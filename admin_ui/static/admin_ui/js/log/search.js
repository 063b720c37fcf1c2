// Searching a log: the server looks through it part by part, so that it can be followed, and be ended.
"use strict";
(() => {
  const MOST_HITS = 100000;

  class Search {
    // `ask(parameters, signal)` promises a part; `changed()` is called with each.
    constructor({ ask, changed }) {
      Object.assign(this, { ask, changed });
      this.clear();
    }

    clear() {
      if (this.controller) this.controller.abort();
      Object.assign(this, { query: null, hits: [], next: null, total: 0, scanned: 0, busy: false, error: "", at: -1, controller: null });
    }

    get isFull() { return this.hits.length >= MOST_HITS; }

    // Look for something else; `query` has q, regex, case, inverse.
    begin(query) {
      this.clear();
      if (query.q) {
        Object.assign(this, { query, next: 0 });
        this.go();
      }
      this.changed();
    }

    // The log has grown: look through what is new.
    more(total) {
      if (!this.query || this.busy || this.error || total <= this.scanned) return;
      this.next = this.scanned;
      this.go();
    }

    async go() {
      const controller = new AbortController();
      Object.assign(this, { busy: true, controller });
      while (this.next !== null && !this.isFull) {
        let part;
        try {
          part = await this.ask({ ...this.query, from_line: this.next }, controller.signal);
        } catch (error) {
          if (controller.signal.aborted) return;
          part = { error: error.message };
        }
        if (controller.signal.aborted) return;
        if (part.error) {
          Object.assign(this, { error: part.error, next: null });
        } else {
          for (const hit of part.hits) this.hits.push(hit);
          this.total = part.total;
          this.scanned = part.next === null ? part.total : part.next;
          this.next = part.next;
        }
        this.changed();
      }
      this.busy = false;
      this.changed();
    }

    stop() {
      if (this.controller) this.controller.abort();
      this.busy = false;
      this.changed();
    }

    // The line of the next hit (`step` 1) or the one before (-1), seen from a line; null: there is none.
    toHit(step, line) {
      if (!this.hits.length) return null;
      if (this.at < 0) {
        const after = this.hits.findIndex((one) => one >= line);
        this.at = step > 0 ? (after < 0 ? 0 : after) : (after < 0 ? this.hits.length : after) - 1;
      } else {
        this.at += step;
      }
      this.at = (this.at + this.hits.length) % this.hits.length;
      return this.hits[this.at];
    }

    // What to mark in a line; null where a browser reads the expression otherwise than the server, or not at all.
    get pattern() {
      if (!this.query || this.query.inverse) return null;
      const source = this.query.regex ? this.query.q : this.query.q.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
      try {
        return new RegExp(source, this.query.case ? "gu" : "giu");
      } catch {
        return null;
      }
    }
  }
  window.tallyman.log.Search = Search;
})();
