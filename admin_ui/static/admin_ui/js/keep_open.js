// What the viewer has unfolded stays unfolded when a part of the page is made anew.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, element) =>
    !(name === "open" && element instanceof HTMLDetailsElement);
});
