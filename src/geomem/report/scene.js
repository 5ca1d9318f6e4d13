/* A graph in three dimensions, drawn on a 2-D canvas.
 *
 * Browsers hold some sixteen WebGL contexts per page and a report may hold more views than that, so
 * the views are projected and painted here: any number of them, sharp in print, the same on every machine.
 */
"use strict";

const EYE_DISTANCE = 4.2;
const FLOOR = -1.02;
const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)").matches;

function mixColours(from, to, share) {
  return [0, 1, 2].map((i) => Math.round(from[i] + (to[i] - from[i]) * share));
}

function cssColour([red, green, blue], alpha = 1) {
  return `rgba(${red},${green},${blue},${alpha})`;
}

class Scene {
  /* graph: {labels, edges: Int32Array of pairs, root, neighbours}; palette(): {nodes: rgb[], card, ink, edge, floor}. */
  constructor(canvas, graph, palette) {
    Object.assign(this, { canvas, graph, palette, yaw: 0.55, pitch: 0.28, zoom: 1, labels: false, hovered: -1 });
    canvas.scene = this;
    this.context = canvas.getContext("2d");
    this.positions = new Float32Array(graph.labels.length * 3);
    this.screen = new Float32Array(graph.labels.length * 4);
    this.peers = [this];
    this.visible = false;
    this.turning = false;
    this.pending = 0;
    this.tooltip = canvas.parentElement.querySelector(".tooltip");
    new ResizeObserver(() => this.invalidate()).observe(canvas);
    new IntersectionObserver(([entry]) => {
      this.visible = entry.isIntersecting;
      this.invalidate();
    }).observe(canvas);
    this.listen();
  }

  /* Show these positions; glide there unless the reader prefers stillness. */
  moveTo(target, duration = 260) {
    if (reducedMotion || !this.visible || !duration) {
      this.flight = null;
      this.positions = Float32Array.from(target);
    } else {
      this.flight = { from: Float32Array.from(this.positions), target, start: performance.now(), duration };
    }
    this.invalidate();
  }

  invalidate() {
    if (this.pending || !this.visible) return;
    this.pending = requestAnimationFrame((time) => {
      this.pending = 0;
      this.advance(time);
      this.paint();
      if (this.flight || this.turning) this.invalidate();
    });
  }

  advance(time) {
    if (this.turning) this.yaw += Math.min(50, time - (this.lastTime ?? time)) * 0.00018;
    this.lastTime = time;
    if (!this.flight) return;
    const { from, target, start, duration } = this.flight;
    const share = Math.min(1, Math.max(0, (time - start) / duration));
    const eased = share * share * (3 - 2 * share);
    for (let i = 0; i < target.length; i++) this.positions[i] = from[i] + (target[i] - from[i]) * eased;
    if (share === 1) this.flight = null;
  }

  project(x, y, z) {
    const { width, height, scale } = this;
    const [cosYaw, sinYaw, cosPitch, sinPitch] = this.turn;
    const side = cosYaw * x + sinYaw * z;
    const forward = cosYaw * z - sinYaw * x;
    const up = cosPitch * y - sinPitch * forward;
    const depth = cosPitch * forward + sinPitch * y;
    const magnified = EYE_DISTANCE / (EYE_DISTANCE - depth);
    return [width / 2 + side * scale * magnified, height * 0.455 - up * scale * magnified, depth, magnified];
  }

  paint() {
    const ratio = Math.min(devicePixelRatio || 1, 2.5);
    this.width = this.canvas.clientWidth;
    this.height = this.canvas.clientHeight;
    if (!this.width) return;
    const pixels = [Math.round(this.width * ratio), Math.round(this.height * ratio)];
    if (this.canvas.width !== pixels[0] || this.canvas.height !== pixels[1]) {
      [this.canvas.width, this.canvas.height] = pixels;
    }
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.context.clearRect(0, 0, this.width, this.height);
    this.scale = Math.min(this.width, this.height * 1.08) * 0.41 * this.zoom;
    this.turn = [Math.cos(this.yaw), Math.sin(this.yaw), Math.cos(this.pitch), Math.sin(this.pitch)];
    const count = this.graph.labels.length;
    for (let i = 0; i < count; i++) {
      const at = this.project(this.positions[3 * i], this.positions[3 * i + 1], this.positions[3 * i + 2]);
      this.screen.set(at, 4 * i);
    }
    const palette = this.palette();
    const size = Math.max(1.6, Math.min(7, 36 / Math.sqrt(count))) * Math.min(1.15, Math.max(0.8, this.width / 440));
    this.paintFloor(palette, size);
    this.paintEdges(palette, size);
    this.paintNodes(palette, size);
    if (this.labels || this.hovered >= 0) this.paintLabels(palette, size);
  }

  paintFloor(palette, size) {
    if (this.pitch < 0.02) return;
    const { context } = this;
    context.lineWidth = 1;
    context.strokeStyle = cssColour(palette.floor, 0.75);
    context.beginPath();
    for (let i = -4; i <= 4; i++) {
      for (const [a, b] of [[[i / 5, -0.8], [i / 5, 0.8]], [[-0.8, i / 5], [0.8, i / 5]]]) {
        const [x, y] = this.project(a[0], FLOOR, a[1]);
        const [u, v] = this.project(b[0], FLOOR, b[1]);
        context.moveTo(x, y);
        context.lineTo(u, v);
      }
    }
    context.stroke();
    if (this.graph.labels.length > 400) return;
    context.fillStyle = cssColour(palette.shadow, palette.shadow[0] ? 0.11 : 0.4);
    for (let i = 0; i < this.graph.labels.length; i++) {
      const [x, y, , magnified] = this.project(this.positions[3 * i], FLOOR, this.positions[3 * i + 2]);
      const radius = size * magnified * 1.15;
      context.beginPath();
      context.ellipse(x, y, radius, Math.max(0.5, radius * Math.sin(this.pitch)), 0, 0, 2 * Math.PI);
      context.fill();
    }
  }

  paintEdges(palette, size) {
    const { context, screen } = this;
    const { edges } = this.graph;
    const order = Array.from({ length: edges.length / 2 }, (_, i) => i);
    const depth = (i) => screen[4 * edges[2 * i] + 2] + screen[4 * edges[2 * i + 1] + 2];
    order.sort((a, b) => depth(a) - depth(b));
    context.lineCap = "round";
    // Many edges would paint over everything; together they stay as dark as a few.
    const opacity = Math.min(0.95, Math.max(0.14, 400 / order.length));
    for (const i of order) {
      const [a, b] = [4 * edges[2 * i], 4 * edges[2 * i + 1]];
      const lit = this.hovered >= 0 && (edges[2 * i] === this.hovered || edges[2 * i + 1] === this.hovered);
      const near = Math.min(1, Math.max(0, (depth(i) / 2 + 1) / 2));
      context.strokeStyle = lit
        ? cssColour(palette.ink)
        : cssColour(mixColours(palette.card, palette.edge, 0.35 + 0.65 * near), opacity);
      context.lineWidth = Math.max(0.7, size * (0.16 + 0.2 * near)) + (lit ? 0.8 : 0);
      context.beginPath();
      context.moveTo(screen[a], screen[a + 1]);
      context.lineTo(screen[b], screen[b + 1]);
      context.stroke();
    }
  }

  paintNodes(palette, size) {
    const { context, screen, graph } = this;
    const order = Array.from(graph.labels.keys()).sort((a, b) => screen[4 * a + 2] - screen[4 * b + 2]);
    for (const i of order) {
      const [x, y, depth, magnified] = screen.subarray(4 * i, 4 * i + 4);
      const near = Math.min(1, Math.max(0, (depth + 1) / 2));
      const colour = mixColours(palette.card, palette.nodes[i], 0.55 + 0.45 * near);
      const radius = size * magnified * (i === graph.root ? 1.45 : 1) * (i === this.hovered ? 1.35 : 1);
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.fillStyle = cssColour(colour);
      context.fill();
      if (size > 2.4) {
        context.lineWidth = i === this.hovered || i === graph.root ? 2 : 1.2;
        context.strokeStyle = i === this.hovered || i === graph.root ? cssColour(palette.ink) : cssColour(palette.card);
        context.stroke();
      }
    }
  }

  /* Labels from front to back, each left out where one in front already stands. */
  paintLabels(palette, size) {
    const { context, screen, graph } = this;
    context.font = `${this.width < 420 ? 10 : 11.5}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    context.lineJoin = "round";
    const boxes = [];
    let order = Array.from(graph.labels.keys()).sort((a, b) => screen[4 * b + 2] - screen[4 * a + 2]);
    if (this.hovered >= 0) {
      const near = [this.hovered, ...graph.neighbours[this.hovered]];
      order = this.labels ? [...near, ...order] : near;
    }
    for (const i of order.slice(0, 400)) {
      const full = graph.labels[i];
      const text = full.length > 22 ? `${full.slice(0, 21)}…` : full;
      const x = screen[4 * i] + size * screen[4 * i + 3] * (i === graph.root ? 1.45 : 1) + 4;
      const y = screen[4 * i + 1] - size * 0.5;
      const width = context.measureText(text).width;
      const box = [x, y - 7, Math.min(x, this.width - width - 3) + width, y + 7];
      if (boxes.some((b) => box[0] < b[2] && box[2] > b[0] && box[1] < b[3] && box[3] > b[1])) continue;
      boxes.push(box);
      context.lineWidth = 3.5;
      context.strokeStyle = cssColour(palette.card, 0.92);
      context.strokeText(text, box[2] - width, y);
      context.fillStyle = cssColour(palette.ink);
      context.fillText(text, box[2] - width, y);
    }
  }

  rotate(yaw, pitch) {
    const turned = { yaw: this.yaw + yaw, pitch: Math.min(1.45, Math.max(-1.45, this.pitch + pitch)), turning: false };
    for (const scene of this.peers) {
      Object.assign(scene, turned);
      scene.invalidate();
    }
  }

  hover(event) {
    const [x, y] = [event.offsetX, event.offsetY];
    let [best, nearest] = [-1, 18 * 18];
    for (let i = 0; i < this.graph.labels.length; i++) {
      const gap = (this.screen[4 * i] - x) ** 2 + (this.screen[4 * i + 1] - y) ** 2;
      if (gap < nearest) [best, nearest] = [i, gap];
    }
    if (best === this.hovered) return;
    this.hovered = best;
    if (this.tooltip) {
      this.tooltip.hidden = best < 0;
      if (best >= 0) {
        const degree = this.graph.neighbours[best].length;
        this.tooltip.textContent = `${this.graph.labels[best]} · ${degree} ${degree === 1 ? "neighbour" : "neighbours"}`;
      }
    }
    this.invalidate();
  }

  listen() {
    const { canvas } = this;
    let last = null;
    canvas.addEventListener("pointerdown", (event) => {
      last = [event.clientX, event.clientY];
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!last) return this.hover(event);
      this.rotate((event.clientX - last[0]) * 0.009, (event.clientY - last[1]) * 0.009);
      last = [event.clientX, event.clientY];
    });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => (last = null));
    canvas.addEventListener("pointerleave", () => this.hover({ offsetX: -1e6, offsetY: -1e6 }));
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-0.12, 0], ArrowRight: [0.12, 0], ArrowUp: [0, -0.12], ArrowDown: [0, 0.12] }[event.key];
      if (step) {
        event.preventDefault();
        this.rotate(...step);
      } else if (event.key === "+" || event.key === "-") {
        this.zoom = Math.min(3, Math.max(0.5, this.zoom * (event.key === "+" ? 1.15 : 1 / 1.15)));
        this.invalidate();
      }
    });
  }
}
