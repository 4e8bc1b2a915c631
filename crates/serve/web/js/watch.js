// Room for a training that is watched: which one, and the lines of its log as curves and as a table, as they are written. A
// training need not have a model yet.

import { Problem } from "./api.js";
import { curves, phase } from "./curves.js";
import { $, el, name, shown } from "./dom.js";
import { stream } from "./stream.js";
import { said } from "./table.js";
import { parts, t, words } from "./texts.js";

let page = null;
/** The model of the page. */
let model = null;
/** What somebody chose to watch, by its key. */
let picked = null;
/** What is watched: `{ key, name, run, model }`, of which `run` is whether it is asked for as a training. */
let source = null;
let epochs = [];
let training = null;
let connected = false;
let problem = null;
let talk = null;
let visible = false;
let drawn = null;

/** `models()` and `runs()` are what there is to watch, `ended(name)` hears of the end of a training. */
export function start(of) {
  page = of;
  words.addEventListener("change", draw);
  addEventListener("resize", soon);
}

export function useModel(now) {
  // Whoever chooses another model to read films with means its training, too.
  if (model && now?.name !== model.name && picked?.startsWith("model ")) picked = null;
  model = now;
  choose();
}

/** The trainings that are watched, and the logs of models that are none of theirs. */
function choices() {
  const runs = page.runs().map(({ name, model }) => ({ key: `run ${name}`, name, run: true, model }));
  const models = page.models().filter(of => of.log && !runs.some(run => run.model === of.name));
  return [...runs, ...models.map(({ name }) => ({ key: `model ${name}`, name, run: false, model: name }))];
}

/** Watches what was picked, or else a training, or else that of the model of the page. */
function choose() {
  const there = choices();
  const now = there.find(({ key }) => key === picked) ?? there.find(({ run }) => run) ?? there.find(({ name }) => name === model?.name) ?? null;
  const other = now?.key !== source?.key;
  source = now;
  if (!other) return draw();
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
  if (!visible || !source) return;
  talk = new AbortController();
  const { signal } = talk;
  stream("/api/watch", {
    query: { [source.run ? "run" : "model"]: source.name },
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
      if (event === "state") {
        const ran = training?.running;
        training = data;
        if (!data.running && (ran || !source.model)) page.ended(source.name);
      }
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
let offered = "";
function draw() {
  const place = $("watch");
  if (!$("watch-state")) {
    place.replaceChildren(el("div", { id: "watch-choice", class: "row" }), el("p", { id: "watch-none", class: "note" }),
      el("p", { id: "watch-state", class: "lead", role: "status" }), el("div", { id: "watch-model", class: "row" }), el("div", { id: "watch-body" }));
    [spoken, offered] = ["", ""];
  }
  offer();
  $("watch-none").hidden = Boolean(source);
  if (!source) $("watch-none").replaceChildren(el("span", {}, model ? t("no_log", { name: shown(model.name) }) : t("no_models")));
  const state = source ? sentence() : "";
  if (state !== spoken) $("watch-state").textContent = state;
  $("watch-state").hidden = !state;
  spoken = state;
  curves($("watch-body"), epochs, isBest);
}

/** What else can be watched, and the model that a training has made. */
function offer() {
  const there = choices();
  const now = JSON.stringify([document.documentElement.lang, there, source?.key]);
  if (now === offered) return;
  offered = now;
  const focused = document.activeElement?.id;
  const select = el("select", { id: "watched", onchange: () => { picked = select.value; choose(); } },
    !source && el("option", { value: "" }, t("none")),
    there.map(({ key, name }) => el("option", { value: key }, shown(name))));
  select.value = source?.key ?? "";
  $("watch-choice").replaceChildren(...(there.length > (source ? 1 : 0) ? [el("label", {}, `${t("watched")} `, select)] : []));
  $("watch-model").replaceChildren(...(source?.run && source.model ? [
    el("button", { type: "button", id: "watch-use", onclick: () => { page.choose(source.model); page.open("look", true); } }, parts("use_model", { name: name(source.model) })),
  ] : []));
  if (["watched", "watch-use"].includes(focused)) $(focused)?.focus();
}

function sentence() {
  if (problem) return said(problem);
  const told = [];
  if (epochs.length) {
    const last = epochs[epochs.length - 1];
    told.push(t(training?.running ? "watch_running" : "watch_over", { n: epochs.length, phase: phase(last), epoch: last.epoch }));
  } else {
    told.push(t(training ? (training.running ? "watch_first" : "watch_empty") : "watch_waits"));
  }
  if (training?.best) told.push(t("watch_best", { phase: phase(training.best), epoch: training.best.epoch }));
  if (source.run && training?.failed) told.push(t("watch_failed", { reason: shown(training.failed) }));
  if (source.run && source.model) told.push(t("watch_model", { name: shown(source.model) }));
  if (!connected && visible && epochs.length) told.push(t("watch_cut"));
  return told.join(" ");
}
