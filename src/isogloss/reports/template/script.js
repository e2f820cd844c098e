"use strict";
(() => {
  const root = document.documentElement;
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;

  // Charts: drawn anew when the theme changes, so that text and lines stay readable.
  const draw = async () => {
    const ink = dark() ? "#e4e9ee" : "#1c2530", soft = dark() ? "#333d48" : "#e3e7ec";
    const config = {
      background: "transparent", view: { stroke: soft },
      axis: { labelColor: ink, titleColor: ink, gridColor: soft, domainColor: ink, tickColor: ink, titleFontWeight: "normal" },
      legend: { labelFontSize: 11, labelColor: ink, titleColor: ink, layout: { bottom: { direction: "vertical", anchor: "start" } } }, title: { color: ink }, header: { labelColor: ink, titleColor: ink },
      rule: { color: ink }, point: { color: ink }, text: { color: ink }, font: "system-ui, sans-serif",
    };
    for (const holder of document.querySelectorAll("script[data-chart]")) {
      const place = document.getElementById(holder.dataset.chart);
      try {
        // A legend of two columns would be cut on a phone; a map is as high as its width asks for.
        const narrow = place.clientWidth < 480;
        const view = JSON.parse(holder.textContent, (key, value) => key === "legend" && narrow && value ? { ...value, columns: 1 } : value);
        if (view.usermeta?.aspect) view.height = Math.round(place.clientWidth * view.usermeta.aspect);
        await vegaEmbed(place, view, { config, actions: false, renderer: "svg", logLevel: 1 });
      } catch (error) {  // the other charts are drawn all the same
        place.textContent = "This chart could not be drawn.";
        console.error(error);
      }
    }
    root.dataset.drawn = "yes";
  };
  document.getElementById("theme").addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    draw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

  // Tables: a head sorts, missing values come last, the source stays on top.
  const key = (row, column) => row.cells[column].dataset.sort;
  const compare = (a, b) => {
    if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
    const [x, y] = [Number(a), Number(b)];
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
  };
  for (const table of document.querySelectorAll("table")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
      const number = table.tBodies[0].querySelector(`tr :nth-child(${column + 1}).number`) !== null;
      const now = head.getAttribute("aria-sort");
      const next = now === "none" ? (number ? "descending" : "ascending") : now === "ascending" ? "descending" : "ascending";
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", next);
      const sign = next === "ascending" ? 1 : -1;
      const rows = [...table.tBodies[0].rows].sort((one, other) => {
        const top = other.classList.contains("bold") - one.classList.contains("bold");
        const [a, b] = [key(one, column), key(other, column)];
        return top || (a === undefined || b === undefined ? compare(a, b) : sign * compare(a, b));
      });
      table.tBodies[0].append(...rows);
    }));
  }
  for (const sheet of document.querySelectorAll(".filterable")) {
    const fields = [...sheet.querySelectorAll("[data-filter]")], rows = [...sheet.querySelector("tbody").rows];
    const apply = () => {
      const [text, family, script] = fields.map((field) => field.value);
      let shown = 0;
      for (const row of rows) {
        const words = `${row.cells[0].textContent} ${row.cells[1].textContent}`.toLowerCase();
        row.hidden = !(words.includes(text.toLowerCase()) && (!family || row.dataset.family === family) && (!script || row.dataset.script === script));
        shown += !row.hidden;
      }
      sheet.querySelector(".count").textContent = `${shown} of ${rows.length}`;
    };
    fields.forEach((field) => field.addEventListener("input", apply));
    apply();
  }
  // A table that would be cut leaves out what its filters tell, and stands closer.
  const fit = () => document.querySelectorAll(".scroll").forEach((box) => {
    box.classList.remove("tight");
    box.classList.toggle("tight", box.scrollWidth > box.clientWidth + 1);
  });
  addEventListener("resize", fit);
  document.querySelectorAll("details").forEach((own) => own.addEventListener("toggle", fit));
  fit();
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    opened.forEach((own) => { own.open = true; });
  });
  addEventListener("afterprint", () => opened.forEach((own) => { own.open = false; }));
  draw();
})();
