// Room for a training that is watched: the lines of its log as curves and as a table, as they are written.

import { Problem } from "./api.js";
import { curves, phase } from "./curves.js";
import { $, el, shown } from "./dom.js";
import { stream } from "./stream.js";
import { said } from "./table.js";
import { t, words } from "./texts.js";

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
  stream("/api/watch", {
    query: { model: model.name },
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

const isBest = at => training?.best && at.phase === training.best.phase && at.epoch === training.best.epoch;

let spoken = "";
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
  curves($("watch-body"), epochs, isBest);
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
