"use strict";
// Parts of a page that follow what happens: <div data-live="URL">. Each event "show" has the
// part anew; "beat" comes each second, so that a silent connection is noticed; "over" says
// that the session has ended.
(() => {
  const lost = document.querySelector(".lost");
  const silentAfter = 1750, patience = 1500;
  for (const part of document.querySelectorAll("[data-live]")) {
    let source, heard = Date.now(), opened = 0, waiting, pressed = false;
    const hear = () => { heard = Date.now(); lost.hidden = true; };
    const marked = () => String(getSelection()) && part.contains(getSelection().anchorNode);
    // What somebody presses or marks must not go away under their hand.
    const show = () => {
      if (waiting === undefined || pressed || marked()) return;
      const active = part.contains(document.activeElement) && document.activeElement.id;
      const regions = [...part.querySelectorAll(".scroll")], at = regions.indexOf(document.activeElement);
      const places = regions.map((e) => e.scrollLeft);
      part.innerHTML = waiting;
      waiting = undefined;
      part.querySelectorAll(".scroll").forEach((e, i) => {
        e.scrollLeft = places[i] || 0;
        if (i === at) e.focus();
      });
      if (active) document.getElementById(active)?.focus();
    };
    const open = () => {
      if (source) source.close();
      opened = Date.now();
      source = new EventSource(part.dataset.live);
      source.addEventListener("beat", hear);
      source.addEventListener("over", () => location.reload());
      source.addEventListener("show", (e) => { hear(); waiting = e.data; show(); });
    };
    part.addEventListener("pointerdown", () => { pressed = true; });
    for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => setTimeout(() => { pressed = false; }, 300));
    setInterval(() => {
      show();
      if (document.hidden || Date.now() - heard < silentAfter) return;
      lost.hidden = false;
      if (Date.now() - opened > patience) open();
    }, 250);
    // A browser has few connections to a host: pages that nobody sees keep none.
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) source.close();
      else { heard = Date.now(); open(); }
    });
    addEventListener("pagehide", () => source.close());
    addEventListener("pageshow", (e) => { if (e.persisted) open(); });
    open();
  }
})();
// A form that was sent is not sent again.
(() => {
  document.addEventListener("submit", (e) => {
    if (e.target.dataset.sent) e.preventDefault();
    e.target.dataset.sent = "1";
  });
  addEventListener("pageshow", () => { for (const f of document.forms) delete f.dataset.sent; });
})();
