// SPDX-License-Identifier: Apache-2.0

function (scheme, print) {
  const bad = [];
  const shown = (e) => e.getClientRects().length > 0;
  const show = (e) => JSON.stringify(e.textContent.trim().slice(0, 40));
  if (!print) {
    document.querySelectorAll("details").forEach((d) => { d.open = true; });
  }

  // Charts: laid out, their text apart, within them, and large enough.
  const charts = [...document.querySelectorAll("svg")].filter(shown);
  let dots = 0;
  for (const chart of charts) {
    const name = chart.getAttribute("aria-label");
    const box = chart.getBoundingClientRect();
    if (box.width < 200 || box.height < 150) {
      bad.push(`${name}: ${box.width} x ${box.height}`);
    }
    const size = 12 * box.width / chart.viewBox.baseVal.width;
    if (size < 8.5) {
      bad.push(`${name}: text is ${size} pixels high`);
    }
    const texts = [...chart.querySelectorAll("text")].map((e) => ({ e, r: e.getBoundingClientRect() }));
    if (texts.filter((t) => t.e.classList.contains("tick")).length < 4) {
      bad.push(`${name}: hardly any ticks`);
    }
    texts.forEach((a, i) => {
      const out = a.r.left < box.left - 0.5 || a.r.right > box.right + 0.5 || a.r.top < box.top - 0.5 || a.r.bottom > box.bottom + 0.5;
      if (out || a.r.width === 0) {
        bad.push(`${name}: ${show(a.e)} lies outside`);
      }
      for (const b of texts.slice(i + 1)) {
        if (Math.min(a.r.right, b.r.right) - Math.max(a.r.left, b.r.left) > 1 && Math.min(a.r.bottom, b.r.bottom) - Math.max(a.r.top, b.r.top) > 1) {
          bad.push(`${name}: ${show(a.e)} and ${show(b.e)} lie on each other`);
        }
      }
    });
    for (const axis of ["middle", "end"]) {
      const labels = texts.filter((t) => t.e.classList.contains("tick") && t.e.getAttribute("text-anchor") === axis).map((t) => t.e.textContent);
      if (new Set(labels).size !== labels.length) {
        bad.push(`${name}: ticks ${labels}`);
      }
    }
    for (const dot of chart.querySelectorAll(".dot")) {
      dots++;
      const r = dot.getBoundingClientRect();
      const title = dot.querySelector("title");
      if (!title || title.textContent.trim() === "") {
        bad.push(`${name}: a dot says nothing`);
      }
      if (r.left < box.left - 1 || r.right > box.right + 1 || r.top < box.top - 1 || r.bottom > box.bottom + 1) {
        bad.push(`${name}: the dot ${title && title.textContent} lies outside`);
      }
    }
  }

  // Nothing is wider than the screen; what is has a box in which it scrolls.
  const page = document.scrollingElement;
  if (page.scrollWidth > window.innerWidth) {
    bad.push(`the page is ${page.scrollWidth} wide on ${window.innerWidth}`);
  }
  if (!print) {
    for (const table of document.querySelectorAll("table")) {
      const r = table.getBoundingClientRect();
      const box = table.closest(".wide");
      if (r.right > window.innerWidth && !(box && getComputedStyle(box).overflowX === "auto")) {
        bad.push(`a table ends at ${r.right} of ${window.innerWidth}`);
      }
    }
  }

  const verdict = document.querySelector(".verdict");
  const place = verdict && verdict.getBoundingClientRect();
  if (!place || verdict.textContent.trim() === "" || place.height === 0 || place.top < 0 || place.bottom > window.innerHeight) {
    bad.push(`the verdict is not at the top: ${place && place.top}`);
  }

  // Contrast (WCAG 2.1, success criterion 1.4.3).
  const parse = (text) => {
    const n = text.match(/[\d.]+/g).map(Number);
    return { rgb: n.slice(0, 3), alpha: n.length > 3 ? n[3] : 1 };
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.alpha === 1) {
        return c.rgb;
      }
    }
    return [255, 255, 255];
  };
  const dark = luminance(behind(document.body)) < 0.2;
  if (dark !== (scheme === "dark")) {
    bad.push(`the page is ${dark ? "dark" : "light"}`);
  }
  const seen = new Set();
  for (const e of document.querySelectorAll("body, body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.textContent.trim() !== "");
    if (!own || !shown(e)) {
      continue;
    }
    const style = getComputedStyle(e);
    const color = e.tagName === "text" ? style.fill : style.color;
    const front = luminance(parse(color).rgb);
    const back = luminance(behind(e));
    const contrast = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    if ((contrast < 4.5 || parse(color).alpha < 1) && !seen.has(color)) {
      seen.add(color);
      bad.push(`${show(e)} has a contrast of ${contrast.toFixed(2)}`);
    }
  }
  return { Charts: charts.length, Dots: dots, Bad: bad };
}
