// The text of a line as pieces with styles: SGR colours, all other escape sequences dropped, and what a
// carriage return overwrites overwritten. Its twin in Python is jobs/log_text.py.
"use strict";
window.tallyman.log = {};
(() => {
  const SEQUENCE = /\x1b(?:\[([0-?]*)([ -/]*)([@-~]|$|(?=[^ -~]))|[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\|$|(?=[\x1b\n]))|[ -/]*(?:[0-OQ-WYZ\\`-~]|$|(?=[^ -~])))/g;
  const ON = { 1: "bold", 2: "faint", 3: "italic", 4: "underline", 7: "inverse", 9: "strike" };
  const OFF = { 22: ["bold", "faint"], 23: ["italic"], 24: ["underline"], 27: ["inverse"], 29: ["strike"] };
  const LEVELS = [0, 95, 135, 175, 215, 255];
  const PLAIN = Object.freeze({ classes: "", colour: "", ground: "" });

  // What a sequence of numbers after 38 or 48 means: a class for the 16 colours of the theme, else a colour.
  const extended = (codes) => {
    const kind = codes.shift();
    if (kind === 2) return `rgb(${codes.splice(0, 3).map((one) => Math.min(255, one || 0)).join(",")})`;
    const at = kind === 5 ? codes.shift() : NaN;
    if (!(at >= 0 && at < 256)) return "";
    if (at < 16) return at;
    if (at >= 232) return `rgb(${Array(3).fill(8 + (at - 232) * 10).join(",")})`;
    const cube = at - 16;
    return `rgb(${[Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6].map((one) => LEVELS[one]).join(",")})`;
  };

  const select = (state, parameters) => {
    const codes = parameters.replace(/:/g, ";").split(";").map((one) => parseInt(one, 10) || 0);
    while (codes.length) {
      const code = codes.shift();
      if (code === 0) Object.assign(state, { words: new Set(), colour: "", ground: "" });
      else if (ON[code]) state.words.add(ON[code]);
      else if (OFF[code]) OFF[code].forEach((word) => state.words.delete(word));
      else if (code >= 30 && code <= 37) state.colour = code - 30;
      else if (code >= 90 && code <= 97) state.colour = code - 82;
      else if (code >= 40 && code <= 47) state.ground = code - 40;
      else if (code >= 100 && code <= 107) state.ground = code - 92;
      else if (code === 38) state.colour = extended(codes);
      else if (code === 48) state.ground = extended(codes);
      else if (code === 39) state.colour = "";
      else if (code === 49) state.ground = "";
    }
  };

  const style = (state) => {
    const classes = [...state.words].map((word) => `a-${word}`);
    const one = { classes: "", colour: "", ground: "" };
    if (typeof state.colour === "number") classes.push(`a-fg${state.colour}`); else one.colour = state.colour;
    if (typeof state.ground === "number") classes.push(`a-bg${state.ground}`); else one.ground = state.ground;
    one.classes = classes.join(" ");
    return one;
  };

  // Pieces [{text, style}] as they were written, escapes gone.
  const written = (text) => {
    if (!text.includes("\x1b")) return [{ text, style: PLAIN }];
    const pieces = [];
    const state = { words: new Set(), colour: "", ground: "" };
    let now = PLAIN;
    let at = 0;
    for (const found of text.matchAll(SEQUENCE)) {
      if (found.index > at) pieces.push({ text: text.slice(at, found.index), style: now });
      at = found.index + found[0].length;
      if (found[3] === "m" && !found[2] && !/[<-?]/.test(found[1])) {
        select(state, found[1]);
        now = style(state);
      }
    }
    if (at < text.length) pieces.push({ text: text.slice(at), style: now });
    return pieces;
  };

  const overwrite = (pieces) => {
    const cells = [];
    let at = 0;
    for (const piece of pieces) {
      for (const character of piece.text) {
        if (character === "\r") at = 0;
        else { cells[at] = { text: character, style: piece.style }; at += 1; }
      }
    }
    const joined = [];
    for (const cell of cells) {
      const last = joined[joined.length - 1];
      if (last && last.style === cell.style) last.text += cell.text;
      else joined.push({ ...cell });
    }
    return joined;
  };

  const tokens = (text) => {
    const pieces = written(text);
    return text.includes("\r") ? overwrite(pieces) : pieces;
  };

  window.tallyman.log.tokens = tokens;
  window.tallyman.log.shown = (text) => tokens(text).map((piece) => piece.text).join("");
})();
