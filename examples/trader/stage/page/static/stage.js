"use strict";
// The page follows the stage: each event "show" has the fragments that have changed, and the
// document is brought in line with them element by element; "beat" comes twice a second.
(() => {
  const lost = document.querySelector(".lost"), silentAfter = 1400;
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let source, heard = 0;

  // morph makes an element like another one, and keeps what somebody has opened or moved.
  const morph = (from, to) => {
    if (from.nodeName === "svg" && !from.checkVisibility()) return; // the picture for other widths
    for (const { name } of [...from.attributes])
      if (!to.hasAttribute(name) && name !== "open" && name !== "aria-busy") from.removeAttribute(name);
    for (const { name, value } of to.attributes) {
      if (from.getAttribute(name) === value) continue;
      from.setAttribute(name, value);
      if (name === "value" && from.type === "range" && from !== document.activeElement) from.value = value;
    }
    const old = [...from.childNodes], now = [...to.childNodes];
    now.forEach((node, i) => {
      const had = old[i];
      if (had?.isEqualNode(node)) return;
      if (!had) from.append(node);
      else if (had.nodeName !== node.nodeName) had.replaceWith(node);
      else if (node.nodeType !== Node.ELEMENT_NODE) { if (had.data !== node.data) had.data = node.data; }
      else if (node.nodeName !== "OUTPUT" || document.activeElement?.id !== node.htmlFor.value) morph(had, node);
    });
    old.slice(now.length).forEach((node) => node.remove());
  };

  // pace has dots pass as often as the machine does what they stand for.
  const moving = new WeakMap();
  const pace = () => {
    for (const line of document.querySelectorAll(".flow")) {
      const rate = lost.hidden && !calm.matches ? Number(line.dataset.rate) : 0;
      let dots = moving.get(line);
      if (!dots && !rate) continue;
      if (!dots) moving.set(line, dots = line.animate([{ strokeDashoffset: 0 }, { strokeDashoffset: -14 }], { duration: 1000, iterations: Infinity }));
      if (!rate) { dots.pause(); continue; }
      dots.updatePlaybackRate(rate);
      if (dots.playState !== "running") dots.play();
    }
  };
  calm.addEventListener("change", pace);

  const hear = () => { heard = Date.now(); if (!lost.hidden) { lost.hidden = true; pace(); } };
  const open = () => {
    if (source) source.close();
    heard = Date.now();
    source = new EventSource(document.body.dataset.live);
    source.addEventListener("beat", hear);
    source.addEventListener("show", (e) => {
      hear();
      const part = document.createElement("template");
      part.innerHTML = e.data;
      for (const now of [...part.content.children]) {
        const had = document.getElementById(now.id);
        if (had) morph(had, now);
      }
      pace();
    });
  };
  setInterval(() => {
    if (document.hidden || Date.now() - heard < silentAfter) return;
    lost.hidden = false;
    pace();
    open();
  }, 200);
  document.addEventListener("visibilitychange", () => document.hidden ? source.close() : open());
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (e) => { if (e.persisted) open(); });
  open();

  // Forms are sent behind the page, and say what has become of them.
  const say = (what, text) => {
    const outcome = document.getElementById("outcome");
    outcome.className = "outcome " + what;
    outcome.textContent = text;
  };
  document.addEventListener("submit", async (e) => {
    const form = e.target, by = e.submitter;
    e.preventDefault();
    if (form.ariaBusy === "true") return;
    form.ariaBusy = "true";
    try {
      const answer = await fetch(by?.getAttribute("formaction") ?? form.action, {
        method: "POST", headers: { Accept: "application/json" }, body: new URLSearchParams(new FormData(form, by)),
      });
      const json = answer.headers.get("Content-Type")?.startsWith("application/json");
      if (json) { const it = await answer.json(); say(it.done ? "done" : "refused", it.text); } else say("refused", await answer.text());
    } catch {
      say("unknown", "The stage does not answer. Whether anything was done is not known: see what happened, and try again.");
    }
    form.ariaBusy = "false";
  });
  // Sliders say what they are at. One that has an effect takes it when it is let go.
  document.addEventListener("input", (e) => {
    const at = e.target.form?.querySelector(`output[for="${e.target.id}"]`);
    if (at) at.value = e.target.value + at.dataset.unit;
  });
  document.addEventListener("change", (e) => { if ("auto" in e.target.dataset) e.target.form.requestSubmit(); });
})();
