// Room for curves as SVG: axes, lines that are told apart by dashes and marks as well as by colour, and a point that is dragged.

import { svg } from "./dom.js";
import { number, small } from "./texts.js";

const LEFT = 46, RIGHT = 12, TOP = 12, BOTTOM = 40;

/** Round numbers between two values. */
function ticks(low, high, about) {
  const raw = (high - low) / about || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map(of => of * power).find(of => of >= raw);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-9; at += 1) found.push(Number((at * step).toPrecision(12)));
  return found;
}

/**
 * A chart: `{ label, x: [low, high], y: [low, high], xName, yName, whole, width, height }`. Gives the element, `px` and `py`
 * from values to places, and `value` from a pointer's event to values.
 */
export function chart({ label, x, y, xName, yName, whole = false, width: wanted = 420, height: high = 380 }) {
  // In the pixels that there are, so that letters stay as large as they are.
  const width = Math.max(260, Math.min(wanted, document.documentElement.clientWidth - 52));
  const height = Math.max(240, Math.round((high * width) / wanted));
  const px = value => LEFT + ((value - x[0]) / (x[1] - x[0] || 1)) * (width - LEFT - RIGHT);
  const py = value => height - BOTTOM - ((value - y[0]) / (y[1] - y[0] || 1)) * (height - TOP - BOTTOM);
  const element = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: "chart" });
  const grid = svg("g", { class: "grid" });
  for (const at of ticks(x[0], x[1], 5)) {
    if (whole && !Number.isInteger(at)) continue;
    grid.append(svg("line", { x1: px(at), x2: px(at), y1: py(y[0]), y2: py(y[1]) }),
      svg("text", { x: px(at), y: height - BOTTOM + 16, "text-anchor": "middle" }, number(at)));
  }
  for (const at of ticks(y[0], y[1], 5)) {
    grid.append(svg("line", { x1: px(x[0]), x2: px(x[1]), y1: py(at), y2: py(at) }),
      svg("text", { x: LEFT - 6, y: py(at) + 4, "text-anchor": "end" }, at >= 0.001 || at === 0 ? number(at) : small(at)));
  }
  element.append(grid,
    svg("text", { class: "axis", x: (LEFT + width - RIGHT) / 2, y: height - 6, "text-anchor": "middle" }, xName),
    svg("text", { class: "axis", x: 12, y: (TOP + height - BOTTOM) / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${(TOP + height - BOTTOM) / 2})` }, yName));
  const value = event => {
    const box = element.getBoundingClientRect();
    const [sx, sy] = [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
    return [x[0] + ((sx - LEFT) / (width - LEFT - RIGHT)) * (x[1] - x[0]), y[0] + ((height - BOTTOM - sy) / (height - TOP - BOTTOM)) * (y[1] - y[0])];
  };
  return { element, px, py, value };
}

/** A line through points, with gaps where there is none. */
export function line({ px, py }, points, properties) {
  let path = "";
  let pen = "M";
  for (const [x, y] of points) {
    if (y === null || y === undefined || !Number.isFinite(y)) {
      pen = "M";
      continue;
    }
    path += `${pen}${px(x).toFixed(2)} ${py(y).toFixed(2)}`;
    pen = "L";
  }
  return svg("path", { d: path, fill: "none", ...properties });
}

/** Marks at points, by shape. */
export function marks({ px, py }, points, shape, properties) {
  const drawn = { round: "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0", square: "M-3-3h6v6h-6z", diamond: "M0-4L4 0L0 4L-4 0z" }[shape];
  return svg("g", properties, points.filter(([, y]) => Number.isFinite(y)).map(([x, y]) =>
    svg("path", { d: drawn, transform: `translate(${px(x).toFixed(2)} ${py(y).toFixed(2)})` })));
}

/** A sample of a line for a legend. */
export const sample = (properties, shape) => svg("svg", { viewBox: "0 0 36 12", width: 36, height: 12, "aria-hidden": "true" },
  svg("path", { d: "M1 6H35", fill: "none", ...properties }), shape && marks({ px: x => x, py: y => y }, [[18, 6]], shape, { class: properties.class }));

/** Lets a point be dragged: `moved([x, y])` hears of every place. */
export function drags(of, moved) {
  const { element } = of;
  element.classList.add("drags");
  let held = false;
  element.addEventListener("pointerdown", event => {
    if (event.button !== 0) return;
    held = true;
    element.setPointerCapture(event.pointerId);
    moved(of.value(event));
  });
  element.addEventListener("pointermove", event => { if (held) moved(of.value(event)); });
  for (const end of ["pointerup", "pointercancel"]) element.addEventListener(end, () => { held = false; });
}
