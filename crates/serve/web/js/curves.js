// Room for the epochs of a training, whether it is watched or begun here: as curves and as a table.

import { chart, line, marks, sample } from "./charts.js";
import { el, scroller, shown, svg } from "./dom.js";
import { number, percent, small, t } from "./texts.js";

const CURVES = {
  loss: [
    { key: "train_loss", class: "c1", shape: "round", of: at => at.train_loss },
    { key: "val_loss", class: "c2", shape: "square", of: at => at.val_loss },
    { key: "robust_loss", class: "c3", shape: "diamond", of: at => at.robust?.loss },
  ],
  auc: [
    { key: "val_auc", class: "c2", shape: "square", of: at => at.val_auc },
    { key: "robust_auc", class: "c3", shape: "diamond", of: at => at.robust?.auc },
  ],
};

/** A phase of a training in words. */
export const phase = at => (["frozen", "unfrozen"].includes(at.phase) ? t(at.phase) : shown(at.phase));

const drawn = new WeakMap();

/** Draws epochs into a place; `isBest` tells the best of them. What changes nothing redraws nothing. */
export function curves(place, epochs, isBest = () => false) {
  const now = JSON.stringify([document.documentElement.lang, document.documentElement.clientWidth, epochs.findIndex(isBest), epochs]);
  if (now === drawn.get(place) && place.hasChildNodes()) return;
  drawn.set(place, now);
  const before = place.querySelector(".scroll");
  const [scrolled, focused] = [before?.scrollLeft ?? 0, before && before === document.activeElement];
  place.replaceChildren(...(epochs.length ? [
    el("div", { class: "charts" }, figure("loss", epochs, isBest), figure("auc", epochs, isBest)),
    table(epochs, isBest),
  ] : []));
  const box = place.querySelector(".scroll");
  if (box) box.scrollLeft = scrolled;
  if (box && focused) {
    box.tabIndex = 0;
    box.focus({ preventScroll: true });
  }
}

function figure(of, epochs, isBest) {
  const lines = CURVES[of].map(curve => ({ ...curve, points: epochs.map((at, i) => [i + 1, curve.of(at)]) }))
    .filter(({ points }) => points.some(([, y]) => Number.isFinite(y)));
  if (!lines.length) return el("p", { class: "quiet" }, t(`no_${of}`));
  const values = lines.flatMap(({ points }) => points.map(([, y]) => y)).filter(Number.isFinite);
  let [low, high] = [Math.min(...values), Math.max(...values)];
  const room = (high - low) * 0.08 || Math.abs(high) * 0.1 || 0.1;
  [low, high] = of === "auc" ? [Math.max(0, low - room), Math.min(1, high + room)] : [Math.max(0, low - room), high + room];
  const now = lines.map(({ key, points }) => `${t(key)} ${number(points.findLast(([, y]) => Number.isFinite(y))[1], 3)}`).join(", ");
  const drawing = chart({ label: t("curves_label", { what: t(`curves_${of}`), now }), x: [1, Math.max(epochs.length, 2)], y: [low, high], xName: t("epochs_x"), yName: t(`curves_${of}`), whole: true, width: 560, height: 320 });
  const { element, px, py } = drawing;
  epochs.forEach((at, i) => {
    if (i > 0 && at.phase !== epochs[i - 1].phase) {
      const x = px(i + 0.5);
      element.append(svg("line", { class: "phase", x1: x, x2: x, y1: py(low), y2: py(high) }), svg("text", { x: x + 4, y: py(high) + 12, class: "phase-name" }, phase(at)));
    }
    if (isBest(at)) {
      const x = px(i + 1);
      element.append(svg("line", { class: "best", x1: x, x2: x, y1: py(low), y2: py(high) }),
        svg("text", { x: x + (i >= epochs.length / 2 ? -4 : 4), y: py(low) - 5, "text-anchor": i >= epochs.length / 2 ? "end" : "start" }, t("best")));
    }
  });
  for (const { class: name, points, shape } of lines) {
    element.append(line(drawing, points, { class: name }));
    if (epochs.length <= 60) element.append(marks(drawing, points, shape, { class: name }));
  }
  return el("figure", {}, el("figcaption", {}, t(`curves_${of}`)), element,
    el("ul", { class: "key" }, lines.map(({ key, class: name, shape }) => el("li", {}, sample({ class: name }, shape), t(key)))));
}

function table(epochs, isBest) {
  const robust = epochs.some(at => at.robust);
  const columns = [
    ["phase", at => phase(at)], ["epoch", at => number(at.epoch)],
    ["train_loss", at => number(at.train_loss, 4)], ["train_accuracy", at => percent(at.train_accuracy)],
    ["val_loss", at => number(at.val_loss, 4)], ["val_accuracy", at => percent(at.val_accuracy)], ["val_auc", at => number(at.val_auc, 4)],
    ...(robust ? [["robust_loss", at => number(at.robust?.loss, 4)], ["robust_auc", at => number(at.robust?.auc, 4)]] : []),
    ["lr", at => small(at.lr)], ["seconds", at => number(at.seconds, 1)], ["films_per_s", at => number(at.films_per_s, 1)],
  ];
  const best = epochs.some(isBest);
  // The newest first: it is what one looks for.
  return scroller(t("epochs"), el("table", { class: "epochs" }, el("caption", {}, t("epochs")),
    el("thead", {}, el("tr", {}, columns.map(([key], at) => el("th", { scope: "col", class: at > 1 ? "number" : null }, t(key))), best && el("th", { scope: "col" }, t("best")))),
    el("tbody", {}, [...epochs].reverse().map(at => el("tr", { class: isBest(at) ? "current" : null },
      columns.map(([key, of], i) => el(key === "epoch" ? "th" : "td", { scope: key === "epoch" ? "row" : null, class: i > 1 ? "number" : null }, of(at))),
      best && el("td", {}, isBest(at) ? t("best") : ""))))));
}
