/* Unpacks the data, connects sliders, selectors and theme to the views, and draws what is near the window only. */
"use strict";

const DATA = JSON.parse(document.getElementById("geomem-data").textContent);

function currentTheme() {
  const chosen = document.documentElement.dataset.theme;
  return chosen || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

function unpack(text, Kind) {
  const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  return new Kind(bytes.buffer);
}

function colourTriple(colour) {
  return [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
}

for (const fleet of DATA.fleets) {
  fleet.edgePairs = unpack(fleet.edges, Int32Array);
  fleet.placeValues = unpack(fleet.places, Int16Array);
  fleet.modeValues = fleet.modes && unpack(fleet.modes, Int16Array);
  fleet.heatmap.cosineValues = unpack(fleet.heatmap.cosines, Int8Array);
  fleet.heatmap.distanceValues = unpack(fleet.heatmap.distances, Int16Array);
  if (fleet.paths) {
    fleet.paths.leafFirst = unpack(fleet.paths.leaf_first, Int16Array);
    fleet.paths.pathPath = fleet.paths.path_path && unpack(fleet.paths.path_path, Int16Array);
  }
  const neighbours = fleet.labels.map(() => []);
  for (let i = 0; i < fleet.edgePairs.length; i += 2) {
    neighbours[fleet.edgePairs[i]].push(fleet.edgePairs[i + 1]);
    neighbours[fleet.edgePairs[i + 1]].push(fleet.edgePairs[i]);
  }
  fleet.graph = { labels: fleet.labels, edges: fleet.edgePairs, root: fleet.root, neighbours };
}

/* Positions of one run at a snapshot; between two snapshots on the straight line from one to the other. */
function positions(fleet, run, snapshot, view = "places") {
  const values = view === "modes" ? fleet.modeValues : fleet.placeValues;
  const size = fleet.labels.length * 3;
  const [floor, ceiling] = [Math.floor(snapshot), Math.ceil(snapshot)];
  const [from, to] = [floor, ceiling].map((s) => (run * fleet.steps.length + s) * size);
  const share = snapshot - floor;
  return Float32Array.from({ length: size }, (_, i) => (values[from + i] * (1 - share) + values[to + i] * share) / 32767);
}

function scenePalette(fleet) {
  const name = currentTheme();
  fleet.palettes ??= {};
  if (!fleet.palettes[name]) {
    const theme = DATA.themes[name];
    fleet.palettes[name] = {
      nodes: fleet.colours[name].map(colourTriple), card: colourTriple(theme.card), ink: colourTriple(theme.ink),
      edge: colourTriple(theme.edge), floor: colourTriple(theme.line), shadow: name === "dark" ? [0, 0, 0] : colourTriple(theme.ink),
    };
  }
  return fleet.palettes[name];
}

/* Charts are drawn when they come near the window, again when something changed, and given up when far away. */
class Chart {
  constructor(element, fleet, state) {
    Object.assign(this, { element, fleet, state, near: false, dirty: true, drawn: false });
    element.chart = this;
    Chart.all.push(this);
    Chart.nearby.observe(element);
    Chart.distant.observe(element);
  }

  draw() {
    if (!this.near) return;
    this.dirty = false;
    const width = this.element.clientWidth;
    const { data, layout } = CHARTS[this.element.dataset.chart](this.fleet, this.state, DATA.themes[currentTheme()], width, this.element.clientHeight);
    this.drawn = true;
    Plotly.react(this.element, data, { ...layout, autosize: true }, { displayModeBar: false, responsive: true, showTips: false });
  }

  invalidate() {
    this.dirty = true;
    if (this.near && !this.waiting) {
      this.waiting = requestAnimationFrame(() => {
        this.waiting = 0;
        this.draw();
      });
    }
  }

  static all = [];
  static nearby = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      target.chart.near = isIntersecting;
      if (isIntersecting && target.chart.dirty) target.chart.invalidate();
    }
  }, { rootMargin: "300px" });
  static distant = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting && target.chart.drawn && !target.chart.near) {
        Plotly.purge(target);
        Object.assign(target.chart, { drawn: false, dirty: true });
      }
    }
  }, { rootMargin: "4000px" });
}

/* A slider with a play button: plays from the start if it stands at the end. */
function connectPlayer(container, onMove) {
  const slider = container.querySelector("input[type=range]");
  const button = container.querySelector("button.play");
  let timer = 0;
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    button.setAttribute("aria-pressed", "false");
    button.setAttribute("aria-label", "Play training");
  };
  const move = () => onMove(Number(slider.value), Boolean(timer));
  slider.addEventListener("input", () => {
    stop();
    move();
  });
  button.addEventListener("click", () => {
    if (timer) return stop();
    if (slider.value === slider.max) slider.value = slider.min;
    button.setAttribute("aria-pressed", "true");
    button.setAttribute("aria-label", "Pause");
    timer = setInterval(() => {
      if (slider.value === slider.max) return stop();
      slider.stepUp();
      move();
    }, Number(slider.dataset.beat));
    move();
  });
  move();
  return { slider, button };
}

function connectFleet(section) {
  const fleet = DATA.fleets[Number(section.dataset.fleet)];
  const state = { run: 0, snapshot: fleet.steps.length - 1, view: "places", logarithmic: true, curves: "0" };
  const scene = new Scene(section.querySelector("canvas"), fleet.graph, () => scenePalette(fleet));
  const charts = [...section.querySelectorAll("[data-chart]")].map((element) => new Chart(element, fleet, state));
  Object.assign(section, { scene, state, fleet });
  const find = (selector) => section.querySelector(selector);
  const update = (duration = 260) => {
    const step = fleet.steps[state.snapshot].toLocaleString("en");
    find(".step").textContent = `step ${step}`;
    find("input[type=range]").setAttribute("aria-valuetext", `step ${step}`);
    find(".scene-note").textContent = state.view === "modes"
      ? "The graph’s own three smoothest modes, stretched by how much of the embedding lies on them: large where it has adopted them."
      : `These axes show ${Math.round(100 * fleet.explained[state.run][state.snapshot])} % of the variance at this step; scaled to fit, spread ${significant(fleet.spreads[state.run][state.snapshot])}.`;
    if (fleet.map) find(".map-seed").textContent = `Seed ${fleet.seeds[state.run]}: correlation ${fleet.map.correlations[state.run].toFixed(2)}.`;
    scene.moveTo(positions(fleet, state.run, state.snapshot, state.view), duration);
    for (const chart of charts) chart.invalidate();
  };
  connectPlayer(find(".player"), (snapshot, playing) => {
    state.snapshot = snapshot;
    update(playing ? 300 : 160);
  });
  find(".seed")?.addEventListener("change", (event) => {
    state.run = Number(event.target.value);
    update();
  });
  find(".labels").addEventListener("change", (event) => {
    scene.labels = event.target.checked;
    scene.invalidate();
  });
  scene.labels = find(".labels").checked;
  for (const group of section.querySelectorAll("[role=radiogroup]")) {
    group.addEventListener("change", (event) => {
      const { name, value } = event.target.dataset.set ? { name: event.target.dataset.set, value: event.target.value } : {};
      state[name] = value === "true" ? true : value === "false" ? false : value;
      update();
    });
  }
}

function connectHero(hero) {
  const shown = [...hero.querySelectorAll("canvas")].map((canvas) => {
    const fleet = DATA.fleets[Number(canvas.dataset.fleet)];
    const scene = new Scene(canvas, fleet.graph, () => scenePalette(fleet));
    scene.turning = !reducedMotion && fleet.labels.length <= 400;
    return { fleet, scene, note: canvas.closest("figure").querySelector(".step") };
  });
  for (const { scene } of shown) scene.peers = shown.map((item) => item.scene);
  connectPlayer(hero.querySelector(".player"), (thousandths, playing) => {
    for (const { fleet, scene, note } of shown) {
      const snapshot = (thousandths / 1000) * (fleet.steps.length - 1);
      note.textContent = `step ${fleet.steps[Math.round(snapshot)].toLocaleString("en")}`;
      scene.moveTo(positions(fleet, 0, snapshot), playing ? 60 : 120);
    }
  });
}

function restyle() {
  const dark = currentTheme() === "dark";
  const button = document.querySelector(".theme");
  button.setAttribute("aria-pressed", String(dark));
  button.setAttribute("aria-label", dark ? "Switch to light colours" : "Switch to dark colours");
  for (const canvas of document.querySelectorAll("canvas")) canvas.scene?.invalidate();
  for (const chart of Chart.all) chart.invalidate();
}

document.querySelector(".theme").addEventListener("click", () => {
  document.documentElement.dataset.theme = currentTheme() === "dark" ? "light" : "dark";
  restyle();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", restyle);
connectHero(document.querySelector(".hero"));
for (const section of document.querySelectorAll("section.fleet")) connectFleet(section);
restyle();
let lastWidth = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === lastWidth) return;
  lastWidth = innerWidth;
  for (const chart of Chart.all) chart.invalidate();
});
