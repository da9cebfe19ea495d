"use strict";
(() => {
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const hidden = new Set();
  let drawn = [];
  let turn = Promise.resolve();

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function config() {
    const [ink, soft, line] = [style("--ink"), style("--soft"), style("--line")];
    const size = document.documentElement.clientWidth < 620 ? 10 : 11.5;
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
      text: { color: ink },
      title: { color: ink },
    };
  }

  // one drawing after the other: a theme that changes while charts are drawn must not leave half of them behind
  function draw() {
    turn = turn.then(async () => {
      drawn.forEach((one) => one.finalize());
      drawn = [];
      for (const figure of data.figures) {
        const spec = structuredClone(figure.spec);
        for (const param of spec.params) {
          if (param.name === "paper") param.value = style("--card");
          if (param.name === "hidden") param.value = [...hidden];
        }
        drawn.push(await vegaEmbed(document.getElementById(figure.id), spec, {
          actions: { export: true, source: false, compiled: false, editor: false },
          config: config(),
          downloadFileName: figure.id,
          renderer: "svg",
          tooltip: { theme: dark.matches ? "dark" : "light" },
        }));
      }
      document.documentElement.dataset.drawn = String(drawn.length);
    });
    return turn;
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest(".key");
    if (!button) return;
    const curve = data.curves[Number(button.dataset.curve)];
    if (!hidden.delete(curve)) hidden.add(curve);
    for (const twin of document.querySelectorAll(`.key[data-curve="${button.dataset.curve}"]`)) {
      twin.setAttribute("aria-pressed", String(!hidden.has(curve)));
    }
    for (const element of document.querySelectorAll("[data-curves]")) {
      element.hidden = element.dataset.curves.split(" ").some((number) => hidden.has(data.curves[Number(number)]));
    }
    for (const one of drawn) one.view.signal("hidden", [...hidden]).runAsync();
  });
  dark.addEventListener("change", draw);
  draw();
})();
