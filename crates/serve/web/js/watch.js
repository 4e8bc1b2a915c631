// Room for a training that is watched: the lines of its log as curves and as a table, as they are written.

import { Problem, watch } from "./api.js";
import { chart, line, marks, sample } from "./charts.js";
import { $, el, scroller, shown, svg } from "./dom.js";
import { said } from "./table.js";
import { number, percent, small, t, words } from "./texts.js";

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

let model = null;
let epochs = [];
let training = null;
let connected = false;
let problem = null;
let talk = null;
let visible = false;
let drawn = null;

export function start() {
  words.addEventListener("change", draw);
  addEventListener("resize", soon);
}

export function useModel(now) {
  if (now?.name === model?.name && now?.log === model?.log) {
    model = now;
    return;
  }
  model = now;
  [epochs, training, problem] = [[], null, null];
  open();
}

/** Whether it is in sight: nothing is streamed to a view that nobody sees. */
export function inSight(now) {
  visible = now;
  open();
}

function open() {
  talk?.abort(new DOMException("stopped", "AbortError"));
  talk = null;
  draw();
  if (!visible || !model?.log) return;
  talk = new AbortController();
  const { signal } = talk;
  watch(model.name, {
    signal,
    begun() {
      // The server tells all from the start: what is on the page stays until the first of it is there.
      fresh = [];
      [connected, problem] = [true, null];
      soon();
    },
    heard(event, data) {
      if (signal.aborted) return;
      if (event === "epoch") fresh.push(data);
      if (event === "state") training = data;
      epochs = fresh;
      soon();
    },
    ended() {
      connected = false;
      soon();
    },
  }).catch(error => {
    if (signal.aborted) return;
    problem = error instanceof Problem ? error : new Problem(0, String(error));
    connected = false;
    soon();
  });
}

let fresh = [];
/** Many lines that come at once are drawn once. */
function soon() {
  drawn ??= setTimeout(() => {
    drawn = null;
    draw();
  }, 60);
}

const phase = at => (["frozen", "unfrozen"].includes(at.phase) ? t(at.phase) : shown(at.phase));
const isBest = at => training?.best && at.phase === training.best.phase && at.epoch === training.best.epoch;

let spoken = "";
let shownNow = "";
function draw() {
  const place = $("watch");
  if (!model || !model.log) {
    place.replaceChildren(el("p", { class: "note" }, model ? t("no_log", { name: shown(model.name) }) : t("no_models")));
    spoken = "";
    return;
  }
  if (!place.querySelector("#watch-state")) {
    place.replaceChildren(el("p", { id: "watch-state", class: "lead", role: "status" }), el("div", { id: "watch-body" }));
    spoken = "";
  }
  const state = sentence();
  if (state !== spoken) $("watch-state").textContent = state;
  spoken = state;
  // A word of the server that changes nothing redraws nothing.
  const now = JSON.stringify([document.documentElement.lang, document.documentElement.clientWidth, training?.best, epochs]);
  if (now === shownNow && $("watch-body").hasChildNodes()) return;
  shownNow = now;
  const before = $("watch-body").querySelector(".scroll");
  const [scrolled, focused] = [before?.scrollLeft ?? 0, before && before === document.activeElement];
  $("watch-body").replaceChildren(...(epochs.length ? [el("div", { class: "charts" }, figure("loss"), figure("auc")), table()] : []));
  const box = $("watch-body").querySelector(".scroll");
  if (box) box.scrollLeft = scrolled;
  if (focused) {
    box.tabIndex = 0;
    box.focus({ preventScroll: true });
  }
}

function sentence() {
  if (problem) return said(problem);
  const parts = [];
  if (epochs.length) {
    const last = epochs[epochs.length - 1];
    parts.push(t(training?.running ? "watch_running" : "watch_over", { n: epochs.length, phase: phase(last), epoch: last.epoch }));
  } else {
    parts.push(t(training ? (training.running ? "watch_first" : "watch_empty") : "watch_waits"));
  }
  if (training?.best) parts.push(t("watch_best", { phase: phase(training.best), epoch: training.best.epoch }));
  if (!connected && visible && epochs.length) parts.push(t("watch_cut"));
  return parts.join(" ");
}

function figure(of) {
  const curves = CURVES[of].map(curve => ({ ...curve, points: epochs.map((at, i) => [i + 1, curve.of(at)]) }))
    .filter(({ points }) => points.some(([, y]) => Number.isFinite(y)));
  if (!curves.length) return el("p", { class: "quiet" }, t(`no_${of}`));
  const values = curves.flatMap(({ points }) => points.map(([, y]) => y)).filter(Number.isFinite);
  let [low, high] = [Math.min(...values), Math.max(...values)];
  const room = (high - low) * 0.08 || Math.abs(high) * 0.1 || 0.1;
  [low, high] = of === "auc" ? [Math.max(0, low - room), Math.min(1, high + room)] : [Math.max(0, low - room), high + room];
  const now = curves.map(({ key, points }) => `${t(key)} ${number(points.findLast(([, y]) => Number.isFinite(y))[1], 3)}`).join(", ");
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
        svg("text", { x: x + (i > epochs.length / 2 ? -4 : 4), y: py(low) - 5, "text-anchor": i > epochs.length / 2 ? "end" : "start" }, t("best")));
    }
  });
  for (const { class: name, points, shape } of curves) {
    element.append(line(drawing, points, { class: name }));
    if (epochs.length <= 60) element.append(marks(drawing, points, shape, { class: name }));
  }
  return el("figure", {}, el("figcaption", {}, t(`curves_${of}`)), element,
    el("ul", { class: "key" }, curves.map(({ key, class: name, shape }) => el("li", {}, sample({ class: name }, shape), t(key)))));
}

function table() {
  const robust = epochs.some(at => at.robust);
  const columns = [
    ["phase", at => phase(at)], ["epoch", at => number(at.epoch)],
    ["train_loss", at => number(at.train_loss, 4)], ["train_accuracy", at => percent(at.train_accuracy)],
    ["val_loss", at => number(at.val_loss, 4)], ["val_accuracy", at => percent(at.val_accuracy)], ["val_auc", at => number(at.val_auc, 4)],
    ...(robust ? [["robust_loss", at => number(at.robust?.loss, 4)], ["robust_auc", at => number(at.robust?.auc, 4)]] : []),
    ["lr", at => small(at.lr)], ["seconds", at => number(at.seconds, 1)], ["films_per_s", at => number(at.films_per_s, 1)],
  ];
  // The newest first: it is what one looks for.
  return scroller(t("epochs"), el("table", { class: "epochs" }, el("caption", {}, t("epochs")),
    el("thead", {}, el("tr", {}, columns.map(([key], at) => el("th", { scope: "col", class: at > 1 ? "number" : null }, t(key))), el("th", { scope: "col" }, t("best")))),
    el("tbody", {}, [...epochs].reverse().map(at => el("tr", { class: isBest(at) ? "current" : null },
      columns.map(([key, of], i) => el(key === "epoch" ? "th" : "td", { scope: key === "epoch" ? "row" : null, class: i > 1 ? "number" : null }, of(at))),
      el("td", {}, isBest(at) ? t("best") : ""))))));
}
