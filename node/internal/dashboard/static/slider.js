"use strict";
// The state of an aggregate at a version: the slider shows it without a new page.
(() => {
  const form = document.querySelector("[data-slider]");
  const number = form.elements.version, range = form.querySelector("input[type=range]");
  range.closest("label").hidden = false;
  let asked = 0;
  const show = async () => {
    const mine = ++asked, url = form.action + "?" + new URLSearchParams(new FormData(form));
    let fresh;
    try {
      fresh = new DOMParser().parseFromString(await (await fetch(url)).text(), "text/html").getElementById("past");
    } catch { /* the page itself says what is wrong */ }
    if (mine !== asked) return; // it was moved on meanwhile
    if (!fresh) { location.assign(url); return; }
    document.getElementById("past").innerHTML = fresh.innerHTML;
    history.replaceState(null, "", url);
  };
  range.addEventListener("input", () => { number.value = range.value; });
  number.addEventListener("input", () => { range.value = number.value; });
  range.addEventListener("change", show);
  form.addEventListener("submit", (e) => { e.preventDefault(); e.stopPropagation(); if (form.reportValidity()) show(); }, true);
})();
