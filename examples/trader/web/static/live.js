"use strict";
// Parts of a page that follow what happens: <div data-live="URL">. Each event "show" has the
// part anew; "beat" comes each second, so that a silent connection is noticed.
(() => {
  const lost = document.querySelector(".lost");
  const silentAfter = 2000;
  for (const part of document.querySelectorAll("[data-live]")) {
    let source, heard = 0;
    const hear = () => { heard = Date.now(); lost.hidden = true; };
    const open = () => {
      if (source) source.close();
      heard = Date.now();
      source = new EventSource(part.dataset.live);
      source.addEventListener("beat", hear);
      source.addEventListener("show", (e) => {
        hear();
        const keep = part.contains(document.activeElement) && document.activeElement.id;
        part.innerHTML = e.data;
        if (keep) document.getElementById(keep)?.focus();
      });
    };
    setInterval(() => {
      if (document.hidden || Date.now() - heard < silentAfter) return;
      lost.hidden = false;
      open(); // at once: another web server may answer
    }, 500);
    // A browser has few connections to a host: pages that nobody sees keep none.
    document.addEventListener("visibilitychange", () => document.hidden ? source.close() : open());
    addEventListener("pagehide", () => source.close());
    open();
  }
})();
// The order form says what it will reserve, and a form that was sent is not sent again.
(() => {
  const form = document.querySelector("form.order");
  if (form) {
    const total = form.querySelector("output"), button = form.querySelector("button"), what = form.querySelector(".what");
    const say = () => {
      const count = Number(form.count.value.replaceAll(",", "")), price = Math.round(Number(form.price.value.replaceAll(",", "")) * 100);
      const sell = form.side.value === "sell", sure = count >= 1 && price >= 1 && Number.isInteger(count);
      const shares = sure ? count.toLocaleString("en") : "";
      what.textContent = sell ? "Shares reserved until they trade" : "Reserved until it trades";
      total.textContent = !sure ? "–" : sell ? shares : "$\u00a0" + (count * price / 100).toLocaleString("en", { minimumFractionDigits: 2 });
      button.textContent = (sell ? "Sell " : "Buy ") + (shares ? shares + " " : "") + form.dataset.company;
    };
    form.addEventListener("input", say);
    say();
  }
  document.addEventListener("submit", (e) => {
    if (e.target.dataset.sent) e.preventDefault();
    e.target.dataset.sent = "1";
  });
  addEventListener("pageshow", () => { for (const f of document.forms) delete f.dataset.sent; });
})();
