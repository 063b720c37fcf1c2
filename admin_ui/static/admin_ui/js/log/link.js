// How news of a log come: by a socket; by asking again and again while there is none; and what a badge says.
// Close codes of ours: admin_ui/live_logs/consumer.py.
"use strict";
(() => {
  const FIRST_WAIT_MS = 1000;
  const LONGEST_WAIT_MS = 15000;
  const SILENCE_MS = 25000; // the server beats every ten seconds
  const POLL_MS = 1000;
  const TRIES = 3;
  const REFUSED = { 4400: "refused", 4401: "login", 4403: "refused" };

  class Link {
    // `address()` is the socket's, `poll()` asks once and promises whether nothing more comes,
    // `heard(message)` takes what the socket says, `tell(state)` shows: live, polling, away, ended, login, refused.
    constructor({ address, poll, heard, tell }) {
      Object.assign(this, { address, poll, heard, tell });
      this.tries = 0;
      this.stopped = true;
    }

    start() {
      this.stop();
      Object.assign(this, { stopped: false, tries: 0 });
      this.tell("connecting");
      this.connect();
    }

    // For what has no socket.
    startPollingOnly() {
      this.stop();
      this.stopped = false;
      this.startPolling();
    }

    stop() {
      this.stopped = true;
      clearTimeout(this.again);
      clearTimeout(this.silence);
      this.stopPolling();
      if (this.socket) {
        const { socket } = this;
        this.socket = null;
        socket.close();
      }
    }

    finish(state) {
      this.stop();
      this.tell(state);
    }

    connect() {
      if (this.stopped) return;
      const socket = new WebSocket(this.address());
      this.socket = socket;
      this.listen(socket);
      socket.addEventListener("message", (event) => {
        if (socket !== this.socket) return;
        this.listen(socket);
        this.tries = 0;
        this.stopPolling();
        const message = JSON.parse(event.data);
        if (message.t === "lines") socket.send('{"t": "ack"}');
        this.heard(message);
        if (message.t === "end") this.finish("ended"); else this.tell("live");
      });
      socket.addEventListener("close", (event) => { if (socket === this.socket) this.closed(event.code); });
    }

    listen(socket) {
      clearTimeout(this.silence);
      this.silence = setTimeout(() => { if (socket === this.socket) { socket.close(); this.closed(1006); } }, SILENCE_MS);
    }

    closed(code) {
      this.socket = null;
      clearTimeout(this.silence);
      if (this.stopped) return;
      if (REFUSED[code]) { this.finish(REFUSED[code]); return; }
      this.tries += 1;
      if (this.tries >= TRIES || code === 4404) this.startPolling(); else if (!this.polling) this.tell("away");
      const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (this.tries - 1));
      this.again = setTimeout(() => this.connect(), wait * (0.5 + Math.random() / 2));
    }

    // ── without a socket ──

    startPolling() {
      if (this.polling) return;
      this.polling = setTimeout(() => this.pollOnce(), 0);
    }

    stopPolling() {
      clearTimeout(this.polling);
      this.polling = 0;
    }

    async pollOnce() {
      let state = "polling";
      if (!document.hidden) {
        try {
          if (await this.poll()) state = "ended";
        } catch {
          state = "away";
        }
      }
      if (this.stopped || !this.polling) return;
      if (state === "ended") { this.finish(state); return; }
      this.tell(state);
      this.polling = setTimeout(() => this.pollOnce(), POLL_MS);
    }
  }
  window.tallyman.log.Link = Link;
})();
