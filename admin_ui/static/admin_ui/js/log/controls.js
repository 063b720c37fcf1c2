// The buttons and keys of a log.
"use strict";
(() => {
  const { tools } = window.tallyman.log;
  const TIMES = ["off", "relative", "absolute"];
  const TYPING_MS = 250;

  const press = (button, on) => button.setAttribute("aria-pressed", String(on));
  const isOn = (button) => button.getAttribute("aria-pressed") === "true";

  // What the search box and the buttons beside it ask for.
  const query = (viewer) => ({
    q: viewer.find("query").value,
    ...Object.fromEntries(["regex", "case", "inverse"].map((name) => [name, isOn(viewer.find(name))])),
  });

  const searching = (viewer) => {
    let waiting = 0;
    const begin = () => {
      if (viewer.model.hits) viewer.filter(false);
      viewer.search.begin(query(viewer));
      viewer.view.redraw();
    };
    viewer.find("query").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(begin, TYPING_MS); });
    viewer.find("query").addEventListener("keydown", (event) => {
      if (event.key === "Enter") { event.preventDefault(); viewer.next(event.shiftKey ? -1 : 1); }
      if (event.key === "Escape") { viewer.find("query").value = ""; begin(); viewer.view.scroller.focus(); }
    });
    for (const name of ["regex", "case", "inverse"]) {
      const button = viewer.find(name);
      button.addEventListener("click", () => { press(button, !isOn(button)); begin(); });
    }
    viewer.find("next").addEventListener("click", () => viewer.next(1));
    viewer.find("previous").addEventListener("click", () => viewer.next(-1));
    viewer.find("cancel").addEventListener("click", () => viewer.search.stop());
    viewer.find("filter").addEventListener("click", () => viewer.filter(!viewer.model.hits));
  };

  const looks = (viewer) => {
    const scroller = viewer.view.scroller;
    const wrap = (on) => {
      scroller.classList.toggle("is-wrapped", on);
      press(viewer.find("wrap"), on);
      localStorage.setItem("log-wrap", on ? "on" : "off");
      viewer.view.redraw();
    };
    wrap(localStorage.getItem("log-wrap") !== "off");
    viewer.find("wrap").addEventListener("click", () => wrap(!scroller.classList.contains("is-wrapped")));
    const times = viewer.find("times");
    times.value = viewer.times;
    times.addEventListener("change", () => {
      viewer.times = times.value;
      localStorage.setItem("log-times", times.value);
      viewer.view.redraw();
    });
    viewer.toggleWrap = () => wrap(!scroller.classList.contains("is-wrapped"));
    viewer.nextTimes = () => {
      times.value = TIMES[(TIMES.indexOf(times.value) + 1) % TIMES.length];
      times.dispatchEvent(new Event("change"));
    };
  };

  const streams = (viewer) => {
    const buttons = [...viewer.root.querySelectorAll("[data-log-stream]")];
    const choose = (stream) => {
      viewer.stream = stream;
      for (const button of buttons) press(button, button.dataset.logStream === stream);
      if (viewer.data.page) {
        const url = new URL(window.location.href);
        url.searchParams.set("stream", stream);
        url.hash = "";
        history.replaceState(null, "", url);
      }
      viewer.begin();
    };
    for (const button of buttons) button.addEventListener("click", () => choose(button.dataset.logStream));
    const attempts = viewer.find("attempt");
    if (attempts) {
      attempts.addEventListener("change", () => {
        viewer.attempt = attempts.value;
        viewer.begin();
      });
    }
  };

  const downloads = (viewer) => {
    for (const link of viewer.root.querySelectorAll("[data-log-form]")) {
      link.addEventListener("click", (event) => {
        const form = link.dataset.logForm;
        const wanted = form === "filtered" ? query(viewer) : {};
        if (form === "filtered" && !wanted.q) {
          event.preventDefault();
          window.tallyman.toast(viewer.texts.searchFirst, "info");
          return;
        }
        const flags = Object.fromEntries(Object.entries(wanted).filter(([, value]) => value).map(([name, value]) => [name, value === true ? 1 : value]));
        link.href = viewer.address(viewer.data.download, { form, ...flags });
      });
    }
  };

  const keys = (viewer) => {
    const acts = {
      f: () => viewer.view.toEnd(),
      w: () => viewer.toggleWrap(),
      t: () => viewer.nextTimes(),
      End: () => viewer.view.toEnd(),
      Home: () => viewer.view.show(0, 0),
      n: () => viewer.next(1),
      N: () => viewer.next(-1),
    };
    viewer.view.scroller.addEventListener("keydown", (event) => {
      const act = acts[event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation();
      act();
    });
  };

  window.tallyman.log.controls = (viewer) => {
    searching(viewer);
    looks(viewer);
    streams(viewer);
    downloads(viewer);
    keys(viewer);
    viewer.find("end").addEventListener("click", () => viewer.view.toEnd());
    viewer.find("older").addEventListener("click", () => viewer.view.show(0, 0));
    viewer.find("copy").addEventListener("click", async () => {
      await tools.copy(tools.text(viewer.root, viewer.view.layer));
      window.tallyman.toast(viewer.texts.copied, "success");
    });
    viewer.find("full").addEventListener("click", () => tools.fullScreen(viewer.root));
    viewer.view.layer.addEventListener("click", (event) => {
      const number = event.target.closest("a[data-line]");
      const more = event.target.closest("[data-long]");
      if (number && !event.ctrlKey && !event.metaKey) {
        event.preventDefault();
        viewer.context(Number(number.dataset.line));
      } else if (more) {
        viewer.showAll(Number(more.dataset.long));
      }
    });
    window.addEventListener("hashchange", () => {
      const named = viewer.named();
      if (named >= 0) viewer.context(named);
    });
  };
})();
