// What a log says of itself: whether it is live, how many hits there are, and to whoever listens that it grew.
"use strict";
(() => {
  const ANNOUNCE_MS = 10000;

  window.tallyman.log.says = {
    tell(state) {
      const badge = this.find("state");
      if (badge.dataset.state === state) return;
      badge.dataset.state = state;
      badge.textContent = this.texts[state];
      this.root.dispatchEvent(new CustomEvent("logstate", { detail: state, bubbles: true }));
    },

    announce() {
      const now = Date.now();
      if (now - this.announced.at < ANNOUNCE_MS) return;
      const lines = this.model.total - this.announced.total;
      if (this.announced.at) this.find("announce").textContent = this.texts.newLines.replace("{lines}", lines.toLocaleString());
      this.announced = { at: now, total: this.model.total };
    },

    moved() {
      this.find("end").hidden = this.view.following || !this.model.rows;
      this.find("older").hidden = this.model.rows === 0 || this.view.isFew;
    },

    searched() {
      const { hits, busy, error, at, query, isFull } = this.search;
      const count = this.find("count");
      if (!query) count.textContent = "";
      else if (error) count.textContent = error;
      else count.textContent = `${at >= 0 ? `${(at + 1).toLocaleString()} / ` : ""}${hits.length.toLocaleString()}${isFull ? "+" : ""} ${hits.length === 1 ? this.texts.hit : this.texts.hits}`;
      count.classList.toggle("text-danger", Boolean(error));
      const progress = this.find("progress");
      progress.hidden = !busy;
      progress.max = Math.max(1, this.search.total);
      progress.value = this.search.scanned || 0;
      this.find("cancel").hidden = !busy;
      for (const name of ["next", "previous", "filter"]) this.find(name).disabled = !hits.length;
      if (this.model.hits) this.view.refresh();
    },
  };
})();
