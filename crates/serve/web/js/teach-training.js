// Room for the head that is trained anew: the form, the training as the server tells of it, and what came of it beside the model
// before.

import { Problem, ask, json } from "./api.js";
import { curves } from "./curves.js";
import { $, el, english, name, scroller, shown } from "./dom.js";
import { stream } from "./stream.js";
import { alert, plain, whole, why } from "./teach-said.js";
import { number, parts, signed, t } from "./texts.js";
import { warning } from "./viewer.js";

let page = null;

/** `models()`, `known(name)`, `reload()` and `choose(name)` are of the models of the page. */
export function startTraining(of) {
  page = of;
  addEventListener("resize", soonTraining);
}

/** What goes into the view, before it is drawn. */
export function trainingFrame() {
  const epochs = $("epochs")?.value ?? "10";
  return el("section", { class: "retrain", "aria-labelledby": "retrain-title" },
    el("h3", { id: "retrain-title" }, t("retrain")),
    el("p", {}, t("retrain_how")),
    el("p", { class: "note" }, warning(), el("span", {}, t("retrain_caution"))),
    el("form", { class: "row", novalidate: true, onsubmit: event => { event.preventDefault(); begin(); } },
      el("label", {}, `${t("retrain_epochs")} `, el("input", { type: "number", id: "epochs", min: 1, max: 100, step: 1, value: epochs })),
      el("button", { id: "retrain", class: "strong" }, t("retrain")),
      el("button", { type: "button", id: "retrain-stop", hidden: true, onclick: end }, t("stop"))),
    el("p", { id: "retrain-alert", class: "alert", role: "alert", hidden: true }),
    el("p", { id: "retrain-state", role: "status" }),
    el("progress", { id: "retrain-bar", max: 1, value: 0, hidden: true, "aria-label": t("retrain_bar") }),
    el("p", { id: "retrain-task", class: "quiet", hidden: true }),
    el("div", { id: "retrain-result" }),
    el("div", { id: "retrain-curves" }));
}

/** Draws it into a new frame. */
export function drawTraining() {
  [spoken, resultNow] = ["", ""];
  draw();
}

/** Nobody looks any more. A training is listened to even so: its model is for the whole page. */
export function leaveTraining() {
  if (isRunning()) return;
  talk?.abort(new DOMException("stopped", "AbortError"));
  talk = null;
}

const back = () => ($("retrain").hidden ? $("retrain-stop") : $("retrain")).focus();

let talk = null;
let connected = false;
let training = nothing();
let fresh = null;
let lost = false;
let stopping = false;
let problem = null;
let drawn = null;

function nothing() {
  return { state: null, epochs: [], progress: null, done: null, failed: null };
}

/** Listens for as long as somebody looks or something is trained. */
export function listen() {
  if (talk) return;
  talk = new AbortController();
  const { signal } = talk;
  stream("/api/teach", {
    query: {},
    signal,
    begun() {
      // The server tells all from the start: what is on the page stays until the first of it is there.
      fresh = nothing();
      [connected, problem] = [true, null];
      soonTraining();
    },
    heard(event, value) {
      if (signal.aborted) return;
      const before = training.state;
      training = fresh;
      if (event === "state") {
        if (value.running && value.name !== training.state?.name) Object.assign(training, nothing());
        // It ended, and unless the next event has a model or a reason nothing came of it.
        lost = !value.running && (lost || Boolean(before?.running));
        if (!value.running) stopping = false;
        training.state = value;
      }
      if (event === "progress") training.progress = value;
      if (event === "epoch") training.epochs.push(value);
      if (event === "done") {
        [training.done, stopping, lost] = [value, false, false];
        learnt(value.model);
      }
      if (event === "failed") [training.failed, stopping, lost] = [value, false, false];
      soonTraining();
    },
    ended() {
      connected = false;
      soonTraining();
    },
  }).catch(error => {
    if (signal.aborted) return;
    problem = error instanceof Problem ? error : new Problem(0, String(error));
    [connected, talk] = [false, null];
    soonTraining();
  });
}

/** The page has the new model, too. */
async function learnt(model) {
  if (!model || page.known(model)) return;
  try {
    await page.reload();
  } catch (error) {
    alert("retrain-alert", why(error), back);
  }
  soonTraining();
}

const isRunning = () => Boolean(training.state?.running);

async function begin() {
  const epochs = $("epochs").valueAsNumber;
  if (!Number.isInteger(epochs) || epochs < 1 || epochs > 100) {
    $("epochs").setAttribute("aria-invalid", "true");
    $("epochs").setAttribute("aria-describedby", "retrain-alert");
    alert("retrain-alert", t("epochs_wrong"), back);
    $("epochs").focus();
    return;
  }
  $("epochs").removeAttribute("aria-invalid");
  $("epochs").removeAttribute("aria-describedby");
  alert("retrain-alert", null);
  try {
    const { name: its } = await json("/api/teach", { method: "POST", body: JSON.stringify({ epochs }), headers: { "Content-Type": "application/json" } });
    [lost, stopping] = [false, false];
    if (training.state?.name !== its || !isRunning()) {
      training = fresh = { ...nothing(), state: { running: true, name: its } };
    }
    draw();
    $("retrain-stop").focus();
  } catch (error) {
    alert("retrain-alert", why(error), back);
  }
  listen();
}

async function end() {
  stopping = true;
  alert("retrain-alert", null);
  soonTraining();
  try {
    await ask("/api/teach", { method: "DELETE" });
  } catch (error) {
    stopping = false;
    alert("retrain-alert", why(error), back);
    soonTraining();
  }
}

/** Many events that come at once are drawn once. */
export function soonTraining() {
  drawn ??= setTimeout(() => {
    drawn = null;
    draw();
  }, 60);
}

let spoken = "";
let resultNow = "";
function draw() {
  if (!$("retrain-state")) return;
  const running = isRunning();
  const focused = document.activeElement;
  $("retrain").hidden = running;
  $("retrain").disabled = !page.models().length;
  $("retrain-stop").hidden = !running;
  if (focused === $("retrain-stop") && !running) $("retrain").focus();
  const told = state();
  const text = plain(told);
  if (text !== spoken) $("retrain-state").replaceChildren(...told);
  spoken = text;
  const { progress } = training;
  const shows = running && progress;
  $("retrain-bar").hidden = !shows;
  $("retrain-task").hidden = !shows;
  if (shows) {
    if (progress.total > 0) $("retrain-bar").value = Math.min(progress.done / progress.total, 1);
    else $("retrain-bar").removeAttribute("value");
    $("retrain-task").replaceChildren(english(progress.task), progress.total > 0 ? `: ${t("part_of", { part: progress.done, all: progress.total })}` : "");
  }
  curves($("retrain-curves"), training.epochs);
  result();
}

function state() {
  if (problem) return [why(problem)];
  const { state: now, epochs, done, failed } = training;
  const its = now?.name ?? done?.name;
  const sentences = [];
  if (!page.models().length) sentences.push(t("no_model_yet"));
  else if (!now) sentences.push(t("retrain_waits"));
  else if (now.running) {
    sentences.push(parts("retrain_running", { name: name(its ?? "") }), t("epochs_over", { n: epochs.length }));
    if (stopping) sentences.push(t("retrain_stopping"));
  } else if (failed) sentences.push([t("retrain_failed"), " ", whole(failed.detail)]);
  else if (done) sentences.push(parts("retrain_done", { name: name(done.model ?? done.name), n: epochs.length }));
  else sentences.push(t(lost ? "retrain_lost" : "retrain_never"));
  if (!connected && now?.running) sentences.push(t("watch_cut"));
  return sentences.flatMap((part, at) => (at ? [" ", part] : [part])).flat();
}

function result() {
  const { done } = training;
  const place = $("retrain-result");
  const there = done?.model && page.known(done.model);
  const now = done && !isRunning() ? JSON.stringify([document.documentElement.lang, done, there]) : "";
  if (now === resultNow) return;
  resultNow = now;
  if (!now) return place.replaceChildren();
  const { comparison } = done;
  const use = there && el("button", { type: "button", onclick: () => {
    page.choose(done.model);
    chosen.textContent = "";
    requestAnimationFrame(() => chosen.replaceChildren(...parts("model_used", { name: name(done.model) })));
  } }, parts("use_model", { name: name(done.model) }));
  const chosen = el("span", { role: "status" });
  place.replaceChildren(...[
    use && el("div", { class: "row" }, use, chosen),
    ...(comparison ? compared(comparison) : [el("p", { class: "note" }, el("span", {}, t("no_comparison")))]),
  ].filter(Boolean));
}

/** Three places, or as many as it takes to see that something is not zero. */
const fine = (value, write) => write(value, value && Math.abs(value) < 0.0005 ? 5 : 3);

function cell(of, write = number) {
  if (!of || !Number.isFinite(of.value)) return el("td", { class: "number" }, t("none"));
  const [low, high] = of.interval ?? [];
  return el("td", { class: "number" }, fine(of.value, write),
    of.interval && el("span", { class: "quiet explain" }, t("to", { low: fine(low, write), high: fine(high, write) })));
}

function compared({ films, split, measures, changed }) {
  const told = measures.map(({ name: of, difference }) => {
    const what = english(of);
    if (!difference?.interval) return parts("difference_unknown", { name: what });
    const [low, high] = difference.interval;
    return parts(low > 0 ? "difference_up" : high < 0 ? "difference_down" : "difference_none", { name: what });
  });
  return [
    el("h4", {}, t("compared", { n: films, split: split === "val" || split === "train" ? t(`split_${split}`) : shown(split) })),
    scroller(t("compared_table"), el("table", { class: "measures" },
      el("caption", { class: "hidden" }, t("compared_table")),
      el("thead", {}, el("tr", {}, ["measure", "before", "after", "difference"].map(key => el("th", { scope: "col", class: key === "measure" ? null : "number" },
        t(key), measures.some(of => of[key]?.interval) && el("span", { class: "quiet explain" }, t("interval")))))),
      el("tbody", {}, measures.map(({ name: of, before, after, difference }) => el("tr", {}, el("th", { scope: "row" }, english(of)), cell(before), cell(after), cell(difference, signed)))))),
    el("ul", {}, told.map(text => el("li", {}, text))),
    Number.isFinite(changed) && el("p", {}, t("changed", { n: changed, films })),
  ].filter(Boolean);
}
