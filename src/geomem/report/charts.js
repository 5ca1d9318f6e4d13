/* The flat pictures: each chart is a function of (fleet, state, theme) to plotly's data and layout. */
"use strict";

/* Plotly reads text as a kind of HTML, and as TeX between dollars; labels must reach the eye as they are. */
function plain(text) {
  return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/\$/g, "&#36;");
}

function shortened(text, length = 16) {
  return plain(text.length > length ? `${text.slice(0, length - 1)}…` : text);
}

function significant(value, digits = 3) {
  return value === null ? "–" : String(Number(value.toPrecision(digits))).replace("-", "−");
}

function withAlpha(colour, alpha) {
  const [red, green, blue] = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
  return `rgba(${red},${green},${blue},${alpha})`;
}

function baseLayout(theme, width) {
  const axis = () => ({
    gridcolor: withAlpha(theme.line, 0.75), linecolor: theme.line, zerolinecolor: theme.line, tickcolor: theme.line,
    title: { font: { size: 12, color: theme.muted }, standoff: 8 }, automargin: true, fixedrange: width < 700,
  });
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", dragmode: width < 700 ? false : "zoom",
    font: { family: "system-ui, -apple-system, 'Segoe UI', sans-serif", size: 12, color: theme.muted },
    margin: { l: 44, r: 20, t: 12, b: 40 }, showlegend: false, hovermode: "closest",
    hoverlabel: { bgcolor: theme.ink, bordercolor: theme.ink, font: { color: theme.card, size: 12.5 }, align: "left" },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", traceorder: "normal", font: { color: theme.ink, size: 12.5 } },
    xaxis: axis(), yaxis: axis(),
  };
}

function stepAxis(layout, logarithmic, last, width) {
  layout.xaxis.title.text = "training step";
  if (logarithmic) {
    Object.assign(layout.xaxis, { type: "log", dtick: 1, ticklabeloverflow: "allow", exponentformat: "none", range: [0, Math.log10(last + 1) + 0.02] });
    // A logarithmic axis has no 0: step s stands at s + 1, and the ticks are named after s.
    const wide = [0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 30000, 100000, 300000];
    const ticks = (width < 500 ? [0, 1, 10, 100, 1000, 10000, 100000] : wide).filter((s) => s <= last);
    Object.assign(layout.xaxis, { tickvals: ticks.map((s) => s + 1), ticktext: ticks.map((s) => s.toLocaleString("en")) });
  }
}

const onAxis = (steps, logarithmic) => (logarithmic ? steps.map((s) => s + 1) : steps);

function bandTraces(x, rows, colour, name, steps) {
  const invisible = { mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false };
  return [
    { x, y: rows.low, ...invisible },
    { x, y: rows.high, ...invisible, fill: "tonexty", fillcolor: withAlpha(colour, 0.18) },
    {
      x, y: rows.mean, name, mode: "lines", line: { color: colour, width: 2.4 },
      text: rows.mean.map((v, i) => `${name} ${significant(v)}<br>${significant(rows.low[i])} to ${significant(rows.high[i])}, step ${steps[i].toLocaleString("en")}`),
      hoverinfo: "text",
    },
  ];
}

/* A mean alone, unnamed in the legend: it goes with the solid line of its colour. */
function dashedTrace(x, rows, colour, name, steps) {
  return {
    x, y: rows.mean, name, mode: "lines", line: { color: colour, width: 1.4, dash: "dash" }, showlegend: false,
    text: rows.mean.map((v, i) => `${name} ${significant(v)}, step ${steps[i].toLocaleString("en")}`), hoverinfo: "text",
  };
}

/* Distances of held-out paths, of the run that is chosen: dark is near. */
function pathHeatmap(fleet, state, theme, width, values, columns) {
  const { leaves } = fleet.paths;
  const start = state.run * leaves.length * leaves.length;
  const cells = leaves.map((_, i) => leaves.map((_, j) => values[start + i * leaves.length + j] / 100));
  const [near, far] = theme.sequential;
  const largest = Math.max(1, ...cells.flat());
  return heatmap(fleet, theme, width, cells, {
    zmin: 0, zmax: largest, colorscale: [[0, near], [1, far]], named: (v) => `cosine distance ${v.toFixed(2)}`, ticks: [0, 0.5, 1], rows: leaves, columns,
  });
}

const CHARTS = {
  "leaf-first": (fleet, state, theme, width) => pathHeatmap(fleet, state, theme, width, fleet.paths.leafFirst, fleet.paths.first_hops),

  "path-path": (fleet, state, theme, width) => pathHeatmap(fleet, state, theme, width, fleet.paths.pathPath, fleet.paths.leaves),

  cosines(fleet, state, theme, width) {
    const snapshot = fleet.heatmap.moving ? state.snapshot : 0;
    const size = fleet.heatmap.rows.length;
    const start = (state.run * (fleet.heatmap.moving ? fleet.steps.length : 1) + snapshot) * size * size;
    const values = Array.from({ length: size }, (_, i) =>
      Array.from({ length: size }, (_, j) => (i === j ? null : fleet.heatmap.cosineValues[start + i * size + j] / 100)));
    const [low, zero, high] = theme.diverging;
    return heatmap(fleet, theme, width, values, {
      zmin: -1, zmax: 1, colorscale: [[0, low], [0.5, zero], [1, high]], named: (v) => `cosine ${v.toFixed(2)}`, ticks: [-1, 0, 1],
    });
  },

  distances(fleet, state, theme, width) {
    const size = fleet.heatmap.rows.length;
    const cell = (i, j) => fleet.heatmap.distanceValues[i * size + j];
    const values = Array.from({ length: size }, (_, i) =>
      Array.from({ length: size }, (_, j) => (i === j || cell(i, j) < 0 ? null : cell(i, j))));
    const largest = Math.max(2, ...fleet.heatmap.distanceValues);
    const [near, far] = theme.sequential;
    return heatmap(fleet, theme, width, values, {
      zmin: 1, zmax: largest, colorscale: [[0, near], [1, far]], named: (v) => `distance ${v}`, ticks: [1, largest],
    });
  },

  curves(fleet, state, theme, width) {
    const { steps, metrics } = fleet.curves;
    const layout = baseLayout(theme, width);
    const x = onAxis(steps, state.logarithmic);
    stepAxis(layout, state.logarithmic, steps[steps.length - 1], width);
    const shown = fleet.curves.sets[Number(state.curves)];
    const colourOf = (name) => name.split(".").reduce((found, key) => found[key], theme);
    const data = shown.lines.flatMap(({ metric, colour, name, dashed }) =>
      dashed ? [dashedTrace(x, metrics[metric], colourOf(colour), name, steps)] : bandTraces(x, metrics[metric], colourOf(colour), name, steps));
    if (shown.shares) {
      const lows = shown.lines.flatMap(({ metric }) => metrics[metric].low).filter((v) => v !== null);
      layout.yaxis.range = [Math.min(-0.05, ...lows) - 0.03, 1.06];
    }
    const now = onAxis([fleet.steps[state.snapshot]], state.logarithmic)[0];
    layout.shapes = [{ type: "line", x0: now, x1: now, yref: "paper", y0: 0, y1: 1, line: { color: theme.ink, width: 1.2, dash: "dot" } }];
    layout.showlegend = true;
    layout.margin.t = 34;
    return { data, layout };
  },

  spectrum(fleet, state, theme, width) {
    const s = fleet.spectrum;
    const layout = baseLayout(theme, width);
    const x = s.eigenvalue.map((_, i) => i);
    const names = s.eigenvalue.map((v, i) => `${significant(v)}${s.multiplicity[i] > 1 ? ` ×${s.multiplicity[i]}` : ""}`);
    const every = Math.ceil(names.length / (width < 500 ? 9 : 18));
    Object.assign(layout.xaxis, {
      tickvals: x.filter((i) => i % every === 0), ticktext: names.filter((_, i) => i % every === 0), showgrid: false, zeroline: false, tickangle: width / Math.min(names.length, 18) > 72 ? 0 : -50,
    });
    layout.xaxis.title.text = width < 500 ? "eigenvalue × multiplicity" : "Laplacian eigenvalue × multiplicity, smooth → rough";
    layout.yaxis.title.text = "share of energy";
    layout.yaxis.rangemode = "tozero";
    layout.bargap = names.length > 60 ? 0.05 : 0.28;
    layout.showlegend = true;
    layout.margin.t = 34;
    const text = x.map((i) => `eigenvalue ${names[i]}<br>share ${significant(s.mean[i])} (${significant(s.low[i])} to ${significant(s.high[i])})<br>without preference ${significant(s.expected[i])}`);
    return {
      layout,
      data: [
        {
          type: "bar", name: "embedding", x, y: s.mean, marker: { color: theme.accent }, text, hoverinfo: "text", textposition: "none",
          error_y: {
            type: "data", symmetric: false, array: s.high.map((v, i) => v - s.mean[i]), arrayminus: s.mean.map((v, i) => v - s.low[i]),
            color: theme.ink, thickness: 1.2, width: names.length > 40 ? 0 : 3,
          },
        },
        {
          type: "scatter", mode: "markers", name: "no preference", x, y: s.expected, hoverinfo: "skip",
          marker: { symbol: "line-ew", size: names.length > 60 ? 4 : 15, line: { width: 2.2, color: theme.warm }, color: theme.warm },
        },
      ],
    };
  },

  shells(fleet, state, theme, width) {
    const s = fleet.shells;
    const layout = baseLayout(theme, width);
    layout.xaxis.title.text = "graph distance";
    layout.yaxis.title.text = "mean cosine";
    if (s.distance.length < 14) layout.xaxis.dtick = 1;
    layout.showlegend = true;
    layout.margin.t = 34;
    const invisible = { mode: "lines", line: { width: 0 }, hoverinfo: "skip" };
    const text = s.distance.map((d, i) => `distance ${d}: ${significant(s.mean[i])}<br>seeds ${significant(s.low[i])} to ${significant(s.high[i])}<br>permuted ${significant(s.null_low[i])} to ${significant(s.null_high[i])}`);
    const [low, high, mean] = bandTraces(s.distance, s, theme.accent, "mean cosine", s.distance);
    return {
      layout,
      data: [
        { x: s.distance, y: s.null_low, ...invisible, showlegend: false },
        { x: s.distance, y: s.null_high, ...invisible, fill: "tonexty", fillcolor: withAlpha(theme.muted, 0.24), name: "permuted nodes, 95 %" },
        low, high, { ...mean, mode: "lines+markers", marker: { size: 8, color: theme.accent }, text },
      ],
    };
  },

  projections: (fleet, state, theme, width) => dynamics(fleet, state, theme, width, fleet.dynamics.projections),

  gradients: (fleet, state, theme, width) => dynamics(fleet, state, theme, width, fleet.dynamics.gradients),

  "true-map": (fleet, state, theme, width, height) => map(fleet, theme, width, fleet.map.true, height),

  "learned-map": (fleet, state, theme, width, height) => map(fleet, theme, width, fleet.map.learned[state.run], height),
};

function heatmap(fleet, theme, width, values, { named, ticks, rows, columns, ...scale }) {
  const labels = rows ?? fleet.heatmap.rows.map((row) => fleet.labels[row]);
  const across = columns ?? labels;
  const layout = baseLayout(theme, width);
  const every = Math.max(1, Math.ceil((labels.length * 11) / Math.max(150, width - 110)));
  const tickvals = labels.map((_, i) => i).filter((i) => i % every === 0);
  const ticktext = tickvals.map((i) => shortened(labels[i], 12));
  const textAcross = tickvals.map((i) => shortened(across[i], 12));
  const font = { size: Math.max(7.5, Math.min(11, (width * 0.62) / labels.length * every)), color: theme.muted };
  Object.assign(layout.xaxis, { tickvals, ticktext: textAcross, tickfont: font, showgrid: false, zeroline: false, constrain: "domain", tickangle: -90, ticks: "" });
  Object.assign(layout.yaxis, { tickvals, ticktext, tickfont: font, showgrid: false, zeroline: false, constrain: "domain", autorange: "reversed", scaleanchor: "x", ticks: "" });
  layout.margin = { l: 10, r: 4, t: 6, b: 10 };
  const text = values.map((row, i) => row.map((v, j) => (v === null ? "" : `${plain(labels[i])} · ${plain(across[j])}<br>${named(v)}`)));
  const gap = width / labels.length > 11 ? 1 : 0;
  const bar = { thickness: 9, len: 0.7, outlinewidth: 0, tickvals: ticks, tickfont: { size: 11, color: theme.muted }, xpad: 6 };
  return { layout, data: [{ type: "heatmap", z: values, text, hoverinfo: "text", xgap: gap, ygap: gap, hoverongaps: false, colorbar: bar, ...scale }] };
}

function dynamics(fleet, state, theme, width, rows) {
  const { eigenvalues, multiplicities } = fleet.dynamics;
  const layout = baseLayout(theme, width);
  stepAxis(layout, state.logarithmic, fleet.steps[fleet.steps.length - 1], width);
  layout.yaxis.rangemode = "tozero";
  const ramp = theme.ramp.map((colour) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16)));
  const data = rows.map((values, group) => {
    const place = (group / Math.max(1, rows.length - 1)) * (ramp.length - 1);
    const colour = cssColour(mixColours(ramp[Math.floor(place)], ramp[Math.ceil(place)], place % 1));
    const name = `${significant(eigenvalues[group])}${multiplicities[group] > 1 ? ` ×${multiplicities[group]}` : ""}`;
    return {
      x: onAxis(fleet.steps, state.logarithmic), y: values, mode: "lines", line: { color: colour, width: group < 4 ? 2.6 : 1.3 },
      text: values.map((v, i) => `eigenvalue ${name}<br>${significant(v)} at step ${fleet.steps[i].toLocaleString("en")}`), hoverinfo: "text",
    };
  });
  const now = onAxis([fleet.steps[state.snapshot]], state.logarithmic)[0];
  layout.shapes = [{ type: "line", x0: now, x1: now, yref: "paper", y0: 0, y1: 1, line: { color: theme.ink, width: 1.2, dash: "dot" } }];
  return { data, layout };
}

/* Where each label stands beside its dot so that none covers another; null where there is no room. */
function placeLabels(labels, points, fontSize, width) {
  const boxes = points.map(([x, y]) => [x - 4, y - 4, x + 4, y + 4]);
  return labels.map((label, i) => {
    const [x, y] = points[i];
    const [wide, high] = [Math.min(label.length, 20) * fontSize * 0.58, fontSize * 1.15];
    const spots = {
      "middle right": [x + 6, y - high / 2], "middle left": [x - 6 - wide, y - high / 2],
      "top center": [x - wide / 2, y - 6 - high], "bottom center": [x - wide / 2, y + 6],
      "top right": [x + 3, y - 4 - high], "bottom right": [x + 3, y + 4],
      "top left": [x - 3 - wide, y - 4 - high], "bottom left": [x - 3 - wide, y + 4],
    };
    for (const [place, [left, top]] of Object.entries(spots)) {
      const box = [left, top, left + wide, top + high];
      const inside = box[0] >= 0 && box[2] <= width;
      const free = inside && boxes.every((other, j) => j === i || box[0] > other[2] || box[2] < other[0] || box[1] > other[3] || box[3] < other[1]);
      if (free) {
        boxes.push(box);
        return place;
      }
    }
    return null;
  });
}

function map(fleet, theme, width, [x, y], height) {
  const layout = baseLayout(theme, width);
  const bare = { visible: false, showgrid: false, zeroline: false, automargin: false };
  const reach = [...fleet.map.learned, fleet.map.true];
  const span = (axis) => {
    const all = reach.flatMap((places) => places[axis]);
    const [low, high] = [Math.min(...all), Math.max(...all)];
    return [low - (high - low) * 0.07, high + (high - low) * 0.09];
  };
  Object.assign(layout.xaxis, bare, { range: span(0), constrain: "domain" });
  Object.assign(layout.yaxis, bare, { range: span(1), scaleanchor: "x", constrain: "domain" });
  layout.margin = { l: 2, r: 2, t: 2, b: 2 };
  const fontSize = width < 420 ? 8.5 : 10;
  const [[left, right], [bottom, top]] = [span(0), span(1)];
  const scale = Math.min((width - 4) / (right - left), (height - 4) / (top - bottom));
  const offset = (width - (right - left) * scale) / 2;
  const points = x.map((at, i) => [(at - left) * scale + offset, -y[i] * scale]);
  const placed = placeLabels(fleet.labels, points, fontSize, width);
  const lines = { x: [], y: [] };
  for (let i = 0; i < fleet.edgePairs.length; i += 2) {
    for (const axis of [["x", x], ["y", y]]) lines[axis[0]].push(axis[1][fleet.edgePairs[i]], axis[1][fleet.edgePairs[i + 1]], null);
  }
  return {
    layout,
    data: [
      { ...lines, mode: "lines", line: { color: withAlpha(theme.edge, 0.55), width: 1.2 }, hoverinfo: "skip" },
      {
        x, y, mode: "markers+text", text: placed.map((place, i) => (place ? shortened(fleet.labels[i], 20) : "")),
        textposition: placed.map((place) => place || "top center"), textfont: { size: fontSize, color: theme.ink }, hovertext: fleet.labels.map(plain), hoverinfo: "text", cliponaxis: false,
        marker: { size: width < 420 ? 6 : 8, color: fleet.colours[currentTheme()], line: { color: theme.card, width: 1 } },
      },
    ],
  };
}
