"use strict";
(() => {
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const page = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const hidden = new Set();

  // ---- charts: drawn one after the other in the pauses of the page, what is in sight first

  const figures = data.figures.map((figure) => ({ ...figure, element: document.getElementById(figure.id), drawn: null, round: 0 }));
  const inSight = new Set();
  let round = 0;

  const style = (name) => getComputedStyle(page).getPropertyValue(name).trim();
  const pause = () => new Promise((go) => (window.requestIdleCallback ? requestIdleCallback(go, { timeout: 100 }) : setTimeout(go)));

  function config() {
    const [ink, soft, line] = [style("--ink"), style("--soft"), style("--line")];
    const size = page.clientWidth < 620 ? 10 : 11.5;
    return {
      background: "transparent",
      font: "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
      padding: { left: 2, top: 8, right: 16, bottom: 2 },
      view: { stroke: null },
      axis: {
        labelColor: soft, titleColor: soft, gridColor: line, domainColor: line, tickColor: line,
        labelFontSize: size, titleFontSize: size, titleFontWeight: 400, titlePadding: 10,
      },
      axisY: { domain: false, ticks: false, labelLimit: 150 },
      legend: { labelColor: soft, titleColor: soft, labelFontSize: size, titleFontSize: size, titleFontWeight: 400 },
      text: { color: ink },
      title: { color: ink },
    };
  }

  function specOf(figure, paper) {
    const spec = structuredClone(figure.spec);
    for (const param of spec.params) {
      if (param.name === "paper") param.value = paper;
      if (param.name === "hidden") param.value = [...hidden];
    }
    return spec;
  }

  async function drawOne(figure) {
    const before = figure.drawn;
    figure.round = round;
    const drawn = await vegaEmbed(figure.element, specOf(figure, style("--card")), {
      actions: { export: true, source: false, compiled: false, editor: false },
      config: config(),
      downloadFileName: figure.id,
      renderer: "svg",
      tooltip: { theme: dark.matches ? "dark" : "light" },
    });
    if (before) before.finalize();
    figure.drawn = drawn;
    figure.element.dataset.drawn = "true";
    // a curve may have been hidden while this one was drawn
    await drawn.view.signal("hidden", [...hidden]).runAsync();
  }

  async function draw() {
    const mine = ++round;
    delete page.dataset.drawn;
    for (;;) {
      await pause();
      const waiting = figures.filter((one) => one.round !== mine);
      if (mine !== round) return;
      if (!waiting.length) break;
      await drawOne(waiting.find((one) => inSight.has(one.element)) ?? waiting[0]);
    }
    page.dataset.drawn = String(figures.length);
  }

  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) entry.isIntersecting ? inSight.add(entry.target) : inSight.delete(entry.target);
  });
  for (const figure of figures) watcher.observe(figure.element);
  dark.addEventListener("change", draw);

  // printing does not wait: what is not drawn yet is begun at once, and drawn in the promises that are kept before the
  // browser goes on; hollow marks are white
  addEventListener("beforeprint", () => {
    for (const figure of figures) {
      if (!figure.round) drawOne(figure);
      else if (figure.drawn) figure.drawn.view.signal("paper", "#ffffff").runAsync();
    }
    for (const fold of document.querySelectorAll("section > details:not([open])")) fold.dataset.folded = fold.open = true;
  });
  addEventListener("afterprint", () => {
    for (const figure of figures) if (figure.drawn) figure.drawn.view.signal("paper", style("--card")).runAsync();
    for (const fold of document.querySelectorAll("[data-folded]")) {
      fold.open = false;
      delete fold.dataset.folded;
    }
  });

  // ---- curves are shown and hidden in every chart and table

  function show() {
    const isHidden = (number) => hidden.has(data.curves[Number(number)]);
    for (const key of document.querySelectorAll(".key")) key.setAttribute("aria-pressed", String(!isHidden(key.dataset.curve)));
    for (const one of document.querySelectorAll("[data-curves]")) one.hidden = one.dataset.curves.split(" ").some(isHidden);
    for (const figure of figures) if (figure.drawn) figure.drawn.view.signal("hidden", [...hidden]).runAsync();
  }

  function toggle(key) {
    const curve = data.curves[Number(key.dataset.curve)];
    if (!hidden.delete(curve)) hidden.add(curve);
    show();
    remember();
  }

  // ---- tables are sorted by the head of a column: rising, falling, as they were

  const original = new Map();

  function sort(button) {
    const head = button.closest("th");
    const body = head.closest("table").tBodies[0];
    const column = [...head.parentNode.children].indexOf(head);
    const next = { null: "ascending", ascending: "descending", descending: null }[head.getAttribute("aria-sort")];
    if (!original.has(body)) original.set(body, [...body.rows]);
    for (const one of head.parentNode.children) one.removeAttribute("aria-sort");
    const rows = [...original.get(body)];
    if (next) {
      head.setAttribute("aria-sort", next);
      const keys = new Map(rows.map((row) => [row, keyOf(row.cells[column])]));
      rows.sort((a, b) => compare(keys.get(a), keys.get(b), next === "ascending" ? 1 : -1));
    }
    body.append(...rows);
  }

  function keyOf(cell) {
    const text = cell.querySelector(".value").textContent;
    if (cell.dataset.value !== undefined) return parseFloat(cell.dataset.value);
    return text === "" || text === "–" ? NaN : text;
  }

  // what is not known comes last, rising or falling
  function compare(a, b, sign) {
    const [unknownA, unknownB] = [Number.isNaN(a), Number.isNaN(b)];
    if (unknownA || unknownB) return unknownA - unknownB;
    if (typeof a === "number" && typeof b === "number") return sign * (a - b);
    return sign * String(a).localeCompare(String(b), undefined, { numeric: true });
  }

  // ---- tables are copied as tab-separated values: what is shown, in the order shown, numbers in full

  function textOf(cell) {
    if (cell.dataset.value !== undefined) return cell.dataset.value;
    const parts = [cell.querySelector(".value, .sort").textContent];
    const detail = cell.querySelector(".detail");
    if (detail) parts.push(detail.textContent);
    return parts.join(", ").replace(/\s+/g, " ");
  }

  async function copy(button) {
    const table = button.closest(".titled").nextElementSibling.querySelector("table");
    const rows = [...table.rows].filter((row) => !row.hidden);
    const text = rows.map((row) => [...row.cells].filter((cell) => !cell.hidden).map(textOf).join("\t")).join("\n");
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.body.appendChild(document.createElement("textarea"));
      area.value = text;
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest(".key, .sort, .copy");
    if (button) ({ key: toggle, sort, copy })[button.classList[0]](button);
  });

  // ---- the page of a running sweep loads itself again, and stays as it was

  const memory = "prunesweep " + location.pathname;

  function remember() {
    try {
      sessionStorage.setItem(memory, JSON.stringify({ hidden: [...hidden], scroll: scrollY }));
    } catch { /* a browser without storage forgets */ }
  }

  function recall() {
    try {
      const state = JSON.parse(sessionStorage.getItem(memory)) ?? {};
      for (const curve of state.hidden ?? []) if (data.curves.includes(curve)) hidden.add(curve);
      if (state.scroll && !location.hash) scrollTo({ top: state.scroll, behavior: "instant" });
    } catch { /* nothing is remembered */ }
  }

  // a heading that is jumped to is not hidden below the bar of curves
  const keys = document.querySelector(".keys");
  if (keys) page.style.scrollPaddingTop = `${keys.offsetHeight + 16}px`;

  recall();
  show();
  draw();
  if (data.reload_seconds) {
    setTimeout(() => {
      remember();
      location.reload();
    }, 1000 * data.reload_seconds);
  }
})();
