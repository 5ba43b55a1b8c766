// Draws a report's charts with Chart.js from the data in the page. Names come from strangers: they only
// ever become text.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const place = document.getElementById("charts");
  const drawn = [];
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const series = (i) => colour(`--c${i % 6}`);

  // Intervals as whiskers, which Chart.js does not have.
  const whiskers = {
    id: "whiskers",
    afterDatasetsDraw(chart) {
      const {ctx, scales} = chart;
      chart.data.datasets.forEach((set, i) => {
        if (!chart.isDatasetVisible(i)) return;
        ctx.strokeStyle = set.borderColor;
        ctx.lineWidth = 1.5;
        for (const p of set.data) {
          const x = scales.x.getPixelForValue(p.x), y = scales.y.getPixelForValue(p.y);
          ctx.beginPath();
          if (p.y_low != null) {
            const low = scales.y.getPixelForValue(p.y_low), high = scales.y.getPixelForValue(p.y_high);
            ctx.moveTo(x, low); ctx.lineTo(x, high);
            ctx.moveTo(x - 4, low); ctx.lineTo(x + 4, low);
            ctx.moveTo(x - 4, high); ctx.lineTo(x + 4, high);
          }
          if (p.x_low != null) {
            const low = scales.x.getPixelForValue(p.x_low), high = scales.x.getPixelForValue(p.x_high);
            ctx.moveTo(low, y); ctx.lineTo(high, y);
            ctx.moveTo(low, y - 4); ctx.lineTo(low, y + 4);
            ctx.moveTo(high, y - 4); ctx.lineTo(high, y + 4);
          }
          ctx.stroke();
        }
      });
    },
  };

  const axis = (title, more = {}) => ({
    title: {display: true, text: title, color: colour("--dim")},
    ticks: {color: colour("--dim")},
    grid: {color: colour("--line")},
    ...more,
  });

  function draw(title, caption, config) {
    const figure = document.createElement("figure"), heading = document.createElement("h3");
    const box = document.createElement("div"), canvas = document.createElement("canvas");
    const words = document.createElement("figcaption");
    heading.textContent = title;
    words.textContent = caption;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${title}. ${caption}`);
    box.append(canvas);
    figure.append(heading, box, words);
    place.append(figure);
    config.options = {
      animation: false, responsive: true, maintainAspectRatio: false,
      plugins: {legend: {position: "bottom", labels: {color: colour("--text"), boxWidth: 12}}},
      ...config.options,
    };
    drawn.push(new Chart(canvas, config));
  }

  // An axis that has room for the whiskers, too.
  const room = (sets, key) => {
    const values = sets.flatMap((s) => s.data.flatMap((p) => [p[key], p[`${key}_low`], p[`${key}_high`]]))
      .filter((v) => v != null);
    return {suggestedMin: Math.min(...values), suggestedMax: Math.max(...values)};
  };

  const scatter = (sets, x, y, more = {}) => ({
    type: "scatter", data: {datasets: sets}, plugins: [whiskers],
    options: {scales: {x: axis(x, {...room(sets, "x"), ...more.x}), y: axis(y, {...room(sets, "y"), ...more.y})}},
  });

  const short = (text) => (text.length > 44 ? `${text.slice(0, 43)}…` : text);

  const set = (label, i, points, more = {}) => ({
    label: short(label), data: points, borderColor: series(i), backgroundColor: series(i), pointRadius: 4, ...more,
  });

  function speedAgainstQuality() {
    const groups = new Map();
    for (const p of data.charts.speed_quality) {
      const name = p.condition ? `${p.quality}, ${p.condition}` : p.quality;
      if (!groups.has(name)) groups.set(name, []);
      groups.get(name).push(p);
    }
    for (const [name, points] of groups) {
      const better = points[0].better > 0 ? "more is better" : "less is better";
      draw(`Speed against quality: ${name}`, "Whiskers: 95 % intervals.",
        scatter(points.map((p, i) => set(p.label, i, [{...p}])), "decode, tokens/s",
          `${points[0].quality}${points[0].unit ? ` (${points[0].unit})` : ""}, ${better}`));
    }
  }

  function memory() {
    const bars = data.charts.memory;
    if (!bars.length) return;
    const mib = (value) => (value == null ? null : value / 1048576);
    draw("Memory", "Resident: the most while it ran, and when everything had run.", {
      type: "bar",
      data: {
        labels: bars.map((b) => short(`${b.label} #${b.id}`)),
        datasets: [
          {label: "peak", data: bars.map((b) => mib(b.peak)), backgroundColor: series(0)},
          {label: "steady", data: bars.map((b) => mib(b.steady)), backgroundColor: series(2)},
        ],
      },
      options: {indexAxis: "y", scales: {x: axis("MiB", {beginAtZero: true}), y: axis("")}},
    });
  }

  function depth(kind) {
    const sets = [];
    for (const curve of data.charts.depth) {
      const lines = new Map();
      for (const p of curve[kind]) {
        const name = [kind === "decode" && p.parallel > 1 ? `${p.parallel} together` : "",
          kind === "prefill" ? `${p.tokens} tokens` : "", p.batch ? `by ${p.batch}` : ""]
          .filter(Boolean).join(", ");
        const label = `${curve.label} #${curve.id}${name ? `, ${name}` : ""}`;
        if (!lines.has(label)) lines.set(label, []);
        lines.get(label).push({x: p.depth, y: p.value, y_low: p.low, y_high: p.high});
      }
      for (const [label, points] of lines) {
        if (points.length > 1) sets.push(set(label, sets.length, points, {showLine: true}));
      }
    }
    if (sets.length) {
      draw(`${kind === "decode" ? "Decode" : "Prefill"} by depth`,
        "Tokens in the cache before the run. Whiskers: the interval of the median.",
        scatter(sets, "depth, tokens", "tokens/s", {y: {beginAtZero: true}}));
    }
  }

  function roofline() {
    const newest = new Map();
    for (const roof of data.charts.roofline) newest.set(roof.machine, roof);
    for (const roof of newest.values()) {
      const points = roof.points.filter((p) => p.x > 0 && p.y > 0).map((p) => ({...p, y: p.y / 1e9}));
      if (!points.length) continue;
      const ridge = roof.ops_per_s / roof.bytes_per_s;
      const from = Math.min(ridge / 10, ...points.map((p) => p.x / 2));
      const to = Math.max(ridge * 10, ...points.map((p) => p.x * 2));
      const line = [from, ridge, to]
        .map((x) => ({x, y: Math.min(x * roof.bytes_per_s, roof.ops_per_s) / 1e9}));
      const log = {type: "logarithmic"};
      draw(`Roofline: ${roof.label} #${roof.id}`,
        "What this machine can do at most, measured: the slope is memory, the flat part arithmetic.",
        scatter([
          set("limit", 4, line, {showLine: true, pointRadius: 0}),
          set("prefill", 0, points.filter((p) => p.what === "prefill")),
          set("decode", 1, points.filter((p) => p.what === "decode")),
        ], "operations for each byte of memory", "GOP/s", {x: log, y: log}));
    }
  }

  function all() {
    for (const chart of drawn.splice(0)) chart.destroy();
    place.replaceChildren();
    speedAgainstQuality();
    memory();
    depth("decode");
    depth("prefill");
    roofline();
    if (!drawn.length) place.textContent = "No result here has something to draw.";
  }

  if (typeof Chart === "undefined") return;
  all();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
})();
