"use strict";
// Elements of a page that follow what happens: <main data-live="URL"> names a stream, each of
// whose events has the element <… data-part="EVENT"> anew. The event beat comes each second,
// so that a silent connection is noticed.
(() => {
  const main = document.querySelector("[data-live]"), lost = document.querySelector(".lost");
  if (!main) return;
  const silentAfter = 1900, patienceMost = 15000, lookEvery = 200; // milliseconds
  let source, heard = 0, failed = false, patience = silentAfter;
  const hear = () => { heard = Date.now(); patience = silentAfter; lost.hidden = true; };
  const replace = (part, text) => {
    const at = part.contains(document.activeElement) && document.activeElement;
    part.innerHTML = text;
    if (at) part.querySelector(at.id ? "#" + at.id : `[href="${CSS.escape(at.getAttribute("href"))}"]`)?.focus({ preventScroll: true });
    document.dispatchEvent(new Event("live"));
  };
  const open = () => {
    if (source) source.close();
    heard = Date.now();
    failed = false;
    source = new EventSource(main.dataset.live);
    source.addEventListener("error", () => { failed = true; });
    source.addEventListener("beat", hear);
    for (const part of document.querySelectorAll("[data-part]"))
      source.addEventListener(part.dataset.part, (e) => { hear(); replace(part, e.data); });
  };
  setInterval(() => {
    if (document.hidden || Date.now() - heard < (failed ? silentAfter : patience)) return;
    lost.hidden = false;
    if (!failed) patience = Math.min(2 * patience, patienceMost); // a slow server is not asked all the time
    open(); // another web server may answer
  }, lookEvery);
  // A browser has few connections to a host: pages that nobody sees keep none.
  document.addEventListener("visibilitychange", () => document.hidden ? source.close() : open());
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (e) => { if (e.persisted) open(); });
  open();
})();
// The order form says what it will reserve, and a form that was sent is not sent again.
(() => {
  const form = document.querySelector("form.order");
  if (form) {
    const total = form.querySelector("output"), button = form.querySelector("button"), what = form.querySelector(".what");
    const short = form.querySelector(".short");
    const say = () => {
      const count = Number(form.count.value.replaceAll(",", "")), price = Math.round(Number(form.price.value.replaceAll(",", "")) * 100);
      const sell = form.side.value === "sell", sure = count >= 1 && price >= 1 && Number.isInteger(count);
      const shares = sure ? count.toLocaleString("en") : "", money = (cents) => "$\u00a0" + (cents / 100).toLocaleString("en", { minimumFractionDigits: 2 });
      what.textContent = sell ? "Shares reserved until they trade" : "Reserved until it trades";
      total.textContent = !sure ? "–" : sell ? shares : money(count * price);
      button.textContent = (sell ? "Sell " : "Buy ") + (shares ? shares + " " : "") + form.dataset.company;
      const yours = document.querySelector("[data-cash]").dataset;
      short.hidden = !sure || (sell ? count <= yours.items : count * price <= yours.cash);
      short.textContent = "That is more than the " + (sell ? Number(yours.items).toLocaleString("en") + " shares" : money(yours.cash)) + " that are free.";
    };
    document.addEventListener("live", say);
    form.addEventListener("input", say);
    say();
  }
  document.addEventListener("submit", (e) => {
    if (Date.now() - (e.target.dataset.sent ?? 0) < 5000) e.preventDefault();
    else e.target.dataset.sent = Date.now();
  });
  addEventListener("pageshow", () => { for (const f of document.forms) delete f.dataset.sent; });
})();
