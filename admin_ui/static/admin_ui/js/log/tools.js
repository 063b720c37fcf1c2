// What can be done with a log beside reading it: copy, download, full screen.
"use strict";
(() => {
  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch { // on plain HTTP there is no clipboard to be had in this way
      const box = document.createElement("textarea");
      box.value = text;
      box.className = "visually-hidden";
      document.body.append(box);
      box.select();
      document.execCommand("copy");
      box.remove();
    }
  };

  // What is selected, or else all the lines that are to be seen.
  const text = (root, layer) => {
    const selection = window.getSelection();
    if (!selection.isCollapsed && root.contains(selection.anchorNode)) return selection.toString();
    return [...layer.querySelectorAll(".log-row .log-text")].map((one) => one.textContent).join("\n");
  };

  const fullScreen = (root) => {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (root.requestFullscreen) root.requestFullscreen().catch(() => root.classList.toggle("is-full"));
    else root.classList.toggle("is-full");
  };

  window.tallyman.log.tools = { copy, text, fullScreen };
})();
