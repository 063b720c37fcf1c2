// The window onto a log: only the rows that can be seen are in the page, however many there are.
//
// The scroll bar belongs to a box as high as all rows would be if each were one line high (up to what browsers
// can do). Where it stands says which row is shown at the same part of the window's height: the first one at
// its top, the last one at its bottom. For rows of one height that is where they would be anyway.
"use strict";
(() => {
  const MOST_PIXELS = 15000000;
  const FEW_ROWS = 300; // so many stand in the page as they are, whatever their height
  const SPARE = 12;

  class View {
    // `render(row)` makes an element, `want(first, last)` is told what is seen, `moved()` that somebody scrolled.
    constructor(scroller, { count, render, want, moved }) {
      Object.assign(this, { scroller, count, render, want, moved });
      this.sizer = scroller.querySelector("[data-log-sizer]");
      this.layer = scroller.querySelector("[data-log-layer]");
      this.shown = new Map();
      this.following = true;
      this.pin = null;
      this.expected = -1;
      this.due = 0;
      scroller.addEventListener("scroll", () => this.scrolled(), { passive: true });
      scroller.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
      new ResizeObserver(() => this.refresh()).observe(scroller);
    }

    get height() { return this.scroller.clientHeight; }

    get rowHeight() {
      if (!this.measured) {
        const probe = document.createElement("div");
        probe.className = "log-row";
        probe.textContent = "x";
        this.layer.append(probe);
        this.measured = probe.getBoundingClientRect().height || 18;
        probe.remove();
      }
      return this.measured;
    }

    get isFew() { return this.count() <= FEW_ROWS; }

    get full() { return this.count() * this.rowHeight; }

    get pixels() { return Math.min(MOST_PIXELS, this.full); }

    get room() { return Math.max(0, this.scroller.scrollHeight - this.height); }

    // Draw again, all of it: rows look different now.
    redraw() {
      this.shown.clear();
      this.layer.replaceChildren();
      this.measured = 0;
      this.refresh();
    }

    refresh() {
      if (this.due) return;
      this.due = requestAnimationFrame(() => { this.due = 0; this.draw(); });
    }

    // ── scrolling ──

    set(top) {
      this.scroller.scrollTop = top;
      this.expected = this.scroller.scrollTop;
    }

    scrolled() {
      if (Math.abs(this.scroller.scrollTop - this.expected) < 1) return;
      this.expected = -1;
      this.pin = null;
      this.following = this.scroller.scrollTop >= this.room - 2;
      this.moved();
      this.draw();
    }

    // Where a pixel of the bar is many rows, a wheel would jump over them.
    wheel(event) {
      if (this.isFew || this.full <= MOST_PIXELS || event.ctrlKey || !event.deltaY) return;
      event.preventDefault();
      const lines = event.deltaMode === 1 ? event.deltaY : event.deltaY / this.rowHeight;
      this.by(lines);
    }

    // Move by so many rows, exactly.
    by(rows) {
      const top = this.top();
      this.show(Math.max(0, Math.min(this.count() - 1, top.row + rows)), 0, top.offset);
    }

    // The first row that can be seen, and how far its top is above the window's.
    top() {
      const edge = this.scroller.getBoundingClientRect().top;
      for (const [row, element] of [...this.shown].sort((a, b) => a[0] - b[0])) {
        const box = element.getBoundingClientRect();
        if (box.bottom > edge + 1) return { row, offset: box.top - edge };
      }
      return { row: 0, offset: 0 };
    }

    toEnd() {
      this.following = true;
      this.pin = null;
      this.draw();
      this.moved();
    }

    // Bring a row to a part of the window's height.
    show(row, part = 0.3, offset = 0) {
      this.following = false;
      this.pin = { row, y: part * this.height + offset };
      this.draw();
      this.moved();
    }

    // ── drawing ──

    draw() {
      const rows = this.count();
      if (this.isFew) this.drawAll(rows); else this.drawPart(rows);
    }

    drawAll(rows) {
      this.sizer.style.height = "0px";
      this.layer.style.transform = "none";
      this.layer.classList.remove("is-virtual");
      this.fill(0, rows - 1);
      if (this.following) this.set(this.room);
      else if (this.pin && this.shown.get(Math.floor(this.pin.row))) {
        this.set(this.shown.get(Math.floor(this.pin.row)).offsetTop - this.pin.y);
        this.pin = null;
      }
      this.want(0, rows - 1);
    }

    drawPart(rows) {
      this.layer.classList.add("is-virtual");
      if (this.pixels !== this.sizerHeight) {
        this.sizerHeight = this.pixels;
        this.sizer.style.height = `${this.pixels}px`;
      }
      const room = Math.max(1, this.pixels - this.height);
      let anchor = this.pin;
      if (this.following) { this.set(room); anchor = { row: rows, y: this.height }; }
      if (!anchor) {
        const part = Math.min(1, this.scroller.scrollTop / room);
        anchor = { row: part * rows, y: part * this.height };
      } else if (!this.following) {
        this.set(this.barFor(anchor, room, rows));
      }
      const row = Math.min(rows - 1, Math.floor(anchor.row));
      const above = Math.ceil(anchor.y / this.rowHeight);
      const below = Math.ceil((this.height - anchor.y) / this.rowHeight);
      const first = Math.max(0, row - Math.max(0, above) - SPARE);
      const last = Math.min(rows - 1, row + Math.max(0, below) + SPARE);
      this.fill(first, last);
      this.place(row, anchor, first, last, rows);
      this.want(Math.max(0, first - 40), Math.min(rows - 1, last + 40));
      // What grows below must not move what somebody reads.
      if (!this.following && !this.pin) this.pin = { row: anchor.row, y: anchor.y };
    }

    // Where the bar has to stand for the row to be where it is wanted.
    barFor(anchor, room, rows) {
      const part = (anchor.row - anchor.y / this.rowHeight) / Math.max(1, rows - this.height / this.rowHeight);
      return Math.max(0, Math.min(1, part)) * room;
    }

    place(row, anchor, first, last, rows) {
      const element = this.shown.get(row);
      if (!element) return;
      let y = anchor.y - element.offsetTop - (anchor.row - row) * element.offsetHeight;
      if (first === 0) y = Math.min(y, 0); // never an empty place above the first row, or below the last one
      if (last === rows - 1) y = Math.max(y, this.height - this.layer.offsetHeight);
      this.layer.style.transform = `translateY(${this.scroller.scrollTop + y}px)`;
    }

    fill(first, last) {
      for (const [row, element] of this.shown) {
        if (row < first || row > last) { element.remove(); this.shown.delete(row); }
      }
      let before = null;
      for (let row = first; row <= last; row += 1) {
        let element = this.shown.get(row);
        if (!element) {
          element = this.render(row);
          this.shown.set(row, element);
          if (before) before.after(element); else this.layer.prepend(element);
        } else if (element.isOpen) { // it was not there yet, or had no end
          const fresh = this.render(row);
          if (!fresh.isOpen || fresh.textContent !== element.textContent) {
            element.replaceWith(fresh);
            this.shown.set(row, fresh);
            element = fresh;
          }
        }
        before = element;
      }
    }
  }
  window.tallyman.log.View = View;
})();
