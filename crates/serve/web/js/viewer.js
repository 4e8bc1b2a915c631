// Room for the film on its canvas: zoom, place, window and level, and the heat map over it. All panes share one look, so
// that films and models beside each other are seen alike; the colours of the map have one scale for the whole session.

import { el, svg } from "./dom.js";
import { signed, t } from "./texts.js";

/** For: vermillion. Against: sky blue. As the pictures of the program have them; both show on black and to those who see fewer colours. */
const FOR = [213, 94, 0];
const AGAINST = [86, 180, 233];
/** Pixels of the drawn map for each cell. */
const FINE = 24;

const START = { zoom: 1, x: 0.5, y: 0.5, level: 128, width: 256, invert: false };

/** How everything is looked at; `look.set({...})` changes it and redraws. */
export const look = {
  ...START, heat: true, opacity: 0.65, full: 0.5,
  listeners: new Set(),
  set(change) {
    Object.assign(this, change);
    this.zoom = clamp(this.zoom, 0.25, 40);
    this.level = clamp(Math.round(this.level), 0, 255);
    this.width = clamp(Math.round(this.width), 2, 510);
    [this.x, this.y] = [clamp(this.x, -0.2, 1.2), clamp(this.y, -0.2, 1.2)];
    for (const told of this.listeners) told();
  },
  fit() { this.set({ zoom: 1, x: 0.5, y: 0.5 }); },
  window() { this.set({ level: START.level, width: START.width, invert: false }); },
};

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** Colour and opacity of a share of full colour. */
function coloured(share) {
  const strength = Number.isFinite(share) ? clamp(Math.abs(share), 0, 1) : 0;
  return [...(share > 0 ? FOR : AGAINST), strength * 255];
}

/** The scale itself, from full against to full for, on the gray of a film. */
export function drawRamp(canvas) {
  const context = canvas.getContext("2d");
  context.fillStyle = "rgb(110, 110, 110)";
  context.fillRect(0, 0, canvas.width, canvas.height);
  for (let x = 0; x < canvas.width; x += 1) {
    const [r, g, b, a] = coloured((x / (canvas.width - 1)) * 2 - 1);
    context.fillStyle = `rgba(${r}, ${g}, ${b}, ${(a / 255) * look.opacity})`;
    context.fillRect(x, 0, 1, canvas.height);
  }
}

/** The two cells between whose middles a place lies, and how far from the first to the second. */
function between(at, of, cells) {
  const place = clamp(((at + 0.5) / of) * cells - 0.5, 0, cells - 1);
  const first = Math.floor(place);
  return [first, Math.min(first + 1, cells - 1), place - first];
}

/** A map as a picture: between the middles of cells values run into each other. */
function mapPicture({ rows, columns, values }) {
  const [width, height] = [columns * FINE, rows * FINE];
  const image = new ImageData(width, height);
  for (let y = 0; y < height; y += 1) {
    const [above, below, down] = between(y, height, rows);
    for (let x = 0; x < width; x += 1) {
      const [left, right, along] = between(x, width, columns);
      const at = row => values[row * columns + left] * (1 - along) + values[row * columns + right] * along;
      image.data.set(coloured((at(above) * (1 - down) + at(below) * down) / look.full), (y * width + x) * 4);
    }
  }
  const canvas = el("canvas", { width, height });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** A film in its stage: `element` goes into the page, `show(picture, map, square, label)` draws. */
export class Viewer {
  constructor({ step }) {
    this.canvas = el("canvas", { "aria-hidden": "true" });
    this.readout = el("span", { class: "readout", "aria-hidden": "true" });
    this.element = el("div", { class: "stage", tabindex: "0", role: "group", "aria-label": t("viewer") }, this.canvas, this.readout);
    this.step = step;
    this.pointers = new Map();
    this.listener = () => this.draw();
    look.listeners.add(this.listener);
    this.size = new ResizeObserver(() => this.draw());
    this.size.observe(this.element);
    for (const [event, act] of Object.entries({
      wheel: this.wheel, pointerdown: this.down, pointermove: this.move, pointerup: this.up, pointercancel: this.up,
      pointerleave: () => { this.readout.textContent = ""; }, contextmenu: event => event.preventDefault(), keydown: this.key,
    })) this.element.addEventListener(event, act.bind(this), { passive: false });
  }

  end() {
    look.listeners.delete(this.listener);
    this.size.disconnect();
  }

  /** Shows a film; resolves once it is drawn. */
  async show(picture, map, square, label) {
    this.canvas.removeAttribute("aria-hidden");
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", label);
    const image = new Image();
    image.src = picture;
    try {
      await image.decode();
    } catch {
      this.element.append(el("p", { class: "alert" }, t("no_picture")));
      return;
    }
    const film = el("canvas", { width: image.naturalWidth, height: image.naturalHeight });
    const context = film.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    Object.assign(this, { film, context, map, square, pixels: context.getImageData(0, 0, film.width, film.height), toned: null, heated: null });
    this.draw();
  }

  draw() {
    if (this.waits) return;
    this.waits = requestAnimationFrame(() => {
      this.waits = null;
      this.paint();
    });
  }

  /** The film as its window has it. */
  tone() {
    const { level, width, invert } = look;
    const key = `${level} ${width} ${invert}`;
    if (this.toned === key) return;
    this.toned = key;
    const table = Uint8ClampedArray.from({ length: 256 }, (_, value) => {
      const seen = level === 128 && width === 256 ? value : ((value - level) / width + 0.5) * 255;
      return invert ? 255 - clamp(seen, 0, 255) : seen;
    });
    const [from, to] = [this.pixels.data, new ImageData(this.film.width, this.film.height)];
    for (let at = 0; at < from.length; at += 4) {
      to.data[at] = table[from[at]];
      to.data[at + 1] = table[from[at + 1]];
      to.data[at + 2] = table[from[at + 2]];
      to.data[at + 3] = 255;
    }
    this.context.putImageData(to, 0, 0);
  }

  /** Where the film lies on the canvas, in its pixels. */
  place() {
    const [w, h] = [this.element.clientWidth, this.element.clientHeight];
    const scale = Math.min(w / this.film.width, h / this.film.height) * look.zoom;
    const [width, height] = [this.film.width * scale, this.film.height * scale];
    return { left: w / 2 - look.x * width, top: h / 2 - look.y * height, width, height, scale };
  }

  paint() {
    if (!this.film || !this.element.isConnected) return;
    const [w, h, dots] = [this.element.clientWidth, this.element.clientHeight, Math.min(devicePixelRatio || 1, 2)];
    if (!w || !h) return;
    [this.canvas.width, this.canvas.height] = [Math.round(w * dots), Math.round(h * dots)];
    this.tone();
    const to = this.canvas.getContext("2d");
    to.scale(dots, dots);
    to.imageSmoothingQuality = "high";
    const { left, top, width, height, scale } = this.place();
    to.imageSmoothingEnabled = scale < 4;
    to.drawImage(this.film, left, top, width, height);
    this.element.classList.toggle("moved", look.zoom > 1);
    if (!this.map || !look.heat) return;
    const key = `${look.full}`;
    if (this.heated?.key !== key) this.heated = { key, canvas: mapPicture(this.map) };
    const [x, y, across, down] = this.square;
    const box = [left + x * width, top + y * height, across * width, down * height];
    to.imageSmoothingEnabled = true;
    to.globalAlpha = look.opacity;
    to.drawImage(this.heated.canvas, ...box);
    to.globalAlpha = 1;
    // The square that the network saw, on dark and on light.
    for (const [style, dash] of [["rgba(0, 0, 0, 0.6)", []], ["rgba(255, 255, 255, 0.6)", [4, 4]]]) {
      to.strokeStyle = style;
      to.setLineDash(dash);
      to.strokeRect(box[0] + 0.5, box[1] + 0.5, box[2] - 1, box[3] - 1);
    }
  }

  /** Keeps what lies under a point where it is while the zoom changes. */
  zoomAt(factor, event) {
    const zoom = clamp(look.zoom * factor, 0.25, 40);
    if (!this.film) return;
    const box = this.element.getBoundingClientRect();
    const { width, height } = this.place();
    const [dx, dy] = event ? [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2] : [0, 0];
    const grown = 1 - look.zoom / zoom;
    look.set({ zoom, x: look.x + (dx / width) * grown, y: look.y + (dy / height) * grown });
  }

  wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 30 : 1;
    this.zoomAt(Math.exp(-clamp(event.deltaY * lines, -300, 300) / 500), event);
  }

  down(event) {
    if (event.button > 2 || event.button === 1) return;
    if (event.pointerType === "touch" && look.zoom <= 1 && this.pointers.size === 0) {
      // One finger scrolls the page unless there is something to move.
      this.pointers.set(event.pointerId, event);
      return;
    }
    this.element.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, event);
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!this.film) return;
    if (!before) return this.tell(event);
    const [dx, dy] = [event.clientX - before.clientX, event.clientY - before.clientY];
    const others = [...this.pointers.values()].filter(other => other.pointerId !== event.pointerId);
    this.pointers.set(event.pointerId, event);
    if (others.length) {
      const distance = of => Math.hypot(of.clientX - others[0].clientX, of.clientY - others[0].clientY);
      const middle = { clientX: (event.clientX + others[0].clientX) / 2, clientY: (event.clientY + others[0].clientY) / 2 };
      this.zoomAt(distance(event) / Math.max(distance(before), 1), middle);
      return;
    }
    if (event.buttons & 2 || event.shiftKey) {
      look.set({ width: look.width + dx * 1.5, level: look.level + dy });
    } else if (event.pointerType !== "touch" || look.zoom > 1) {
      const { width, height } = this.place();
      look.set({ x: look.x - dx / width, y: look.y - dy / height });
    }
  }

  up(event) {
    this.pointers.delete(event.pointerId);
  }

  /** What the cell under the pointer says. */
  tell(event) {
    if (!this.map || !look.heat) return;
    const box = this.element.getBoundingClientRect();
    const { left, top, width, height } = this.place();
    const [x, y, across, down] = this.square;
    const column = Math.floor((((event.clientX - box.left - left) / width - x) / across) * this.map.columns);
    const row = Math.floor((((event.clientY - box.top - top) / height - y) / down) * this.map.rows);
    const inside = column >= 0 && row >= 0 && column < this.map.columns && row < this.map.rows;
    this.readout.textContent = inside ? t("logits", { value: signed(this.map.values[row * this.map.columns + column]) }) : "";
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { width, height } = this.film ? this.place() : { width: 1, height: 1 };
    const [dx, dy] = [60 / width, 60 / height];
    const act = {
      ArrowLeft: () => look.set({ x: look.x - dx }), ArrowRight: () => look.set({ x: look.x + dx }),
      ArrowUp: () => look.set({ y: look.y - dy }), ArrowDown: () => look.set({ y: look.y + dy }),
      PageDown: () => this.step(1), PageUp: () => this.step(-1),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }
}

/** A triangle with a bar and a dot: beside words, never instead of them. */
export const warning = () => svg("svg", { viewBox: "0 0 20 20", width: 20, height: 20, "aria-hidden": "true", class: "sign" },
  svg("path", { d: "M10 2 19 18H1Z", fill: "none", stroke: "currentColor", "stroke-width": 1.8, "stroke-linejoin": "round" }),
  svg("path", { d: "M10 8v4.5M10 15.2v.3", stroke: "currentColor", "stroke-width": 1.8, "stroke-linecap": "round" }));
