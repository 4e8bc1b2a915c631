// Room for the view of films: what is shown (the current film, a pinned one, one or two models) and the tools above it.

import { $, el, english, name, sentence, shown, watchWidth } from "./dom.js";
import { add, clear, films, goOn, look as ask, progress, session, stop, useModel } from "./films.js";
import { startIntake } from "./intake.js";
import { keysOf } from "./keys.js";
import { forgetNeighbours, showNeighbours } from "./neighbours.js";
import { mark, ordered, render as renderTable, said, startTable, tableOf } from "./table.js";
import { number, parts, t, words } from "./texts.js";
import { Viewer, drawRamp, look, warning } from "./viewer.js";

let model = null;
let second = null;
let waits = false;
let current = null;
let pinned = null;
let viewers = [];
let showing = new AbortController();

export function startLook() {
  startIntake((taken, hidden) => {
    if (!taken.length) return say(hidden ? t("only_hidden", { n: hidden }) : t("no_films"));
    say([t("taken", { n: taken.length }), hidden ? t("hidden", { n: hidden }) : ""].filter(Boolean).join(" "));
    const [first] = add(taken);
    if (model && (!current || taken.length === 1)) show(first);
  });
  startTable(film => show(film, true));
  watchWidth($("films").parentElement);
  tools();
  session.addEventListener("progress", tellProgress);
  session.addEventListener("added", () => { $("films-part").hidden = false; });
  session.addEventListener("cleared", empty);
  words.addEventListener("change", () => {
    about();
    legend();
    renderTable();
    if (current) show(current);
    tellProgress();
  });
  about();
  legend();
}

/** The models that read films from now on; `waiting` is whether the first one is still being trained. */
export function lookWith(first, beside, waiting) {
  const changed = first?.name !== model?.name;
  [model, second, waits] = [first, beside, waiting];
  about();
  tableOf(model);
  if (changed && model) useModel(model.name);
  if (!model) return;
  const film = current ?? films[0];
  if (film) show(film);
}

function say(text) {
  $("said").textContent = "";
  // Said anew even where it is what was said last.
  requestAnimationFrame(() => { $("said").textContent = text; });
}

/** What must be known of the models before any film. */
function about() {
  $("where").textContent = t("where", { host: location.host });
  const models = [model, second].filter(Boolean);
  if (waits) return $("about").replaceChildren(el("p", { class: "note" }, el("span", {}, t("no_model_look"))));
  $("about").replaceChildren(...models.map(of => aboutModel(of, models.length > 1)).filter(Boolean));
}

function aboutModel(of, named) {
  const told = [...(of.caveats ?? [])];
  const lines = [];
  if (!of.test) lines.push(el("li", {}, t("untested")));
  if (of.synthetic && !told.some(caveat => caveat.kind === "synthetic")) lines.push(el("li", {}, t("synthetic")));
  lines.push(...told.map(caveat => el("li", {}, sentence(caveat.text))));
  if (!lines.length) return null;
  return el("details", { class: "caveats", open: lines.length <= 3 },
    el("summary", {}, warning(), el("span", {}, named ? [...parts("caveats_of", { n: lines.length, name: name(of.name) })] : t("caveats", { n: lines.length }))),
    el("ul", {}, lines));
}

function empty() {
  showing.abort();
  [current, pinned] = [null, null];
  for (const viewer of viewers) viewer.end();
  viewers = [];
  $("panes").replaceChildren();
  $("shown").hidden = true;
  $("films-part").hidden = true;
  $("drop").classList.remove("small");
  mark(null);
  $("choose").focus();
}

/** Shows a film as each model has it, and the pinned film beside it. */
async function show(film, told = false) {
  if (!model) return;
  const another = film !== current;
  current = film;
  showing.abort(new DOMException("stopped", "AbortError"));
  showing = new AbortController();
  const { signal } = showing;
  mark(film);
  $("shown").hidden = false;
  $("drop").classList.add("small");
  if (another) look.fit();
  for (const viewer of viewers) viewer.end();
  viewers = [];
  const shownFilms = pinned && pinned !== film ? [film, pinned] : [film];
  const models = [model, second].filter(Boolean);
  const panes = shownFilms.flatMap(which => models.map(of => [which, of]));
  const hadFocus = document.activeElement?.closest(".stage");
  $("panes").dataset.count = panes.length;
  const made = panes.map(([which, of]) => pane(which, of, panes.length > 1));
  $("panes").replaceChildren(...made.map(({ element }) => element));
  viewers = made.map(({ viewer }) => viewer);
  $("pin").setAttribute("aria-pressed", String(pinned === film));
  const of = model;
  forgetNeighbours(of.neighbours);
  if (hadFocus) viewers[0].element.focus();
  if (told) $("panes").scrollIntoView({ block: "nearest" });
  const [answered] = await Promise.all(made.map(({ load }, at) => load(signal, at === 0)));
  // What is like it comes after what is said of it, and of a film that cannot be read there is nothing like it.
  if (signal.aborted) return;
  if (answered && of.neighbours) showNeighbours(film, of, signal);
  else forgetNeighbours(false);
}

function pane(film, of, named) {
  const viewer = new Viewer({ step });
  const body = el("div", { class: "result" }, el("p", { class: "quiet" }, t("reading")));
  const head = el("h3", {}, name(film.path));
  const titles = [pinned === film && named ? t("pinned") : null, second ? name(of.name) : null].filter(Boolean);
  const element = el("article", { class: "pane", "aria-busy": "true" },
    el("div", { class: "film" }, el("div", { class: "title" }, head, titles.length > 0 && el("p", { class: "quiet" }, titles.flatMap((title, at) => (at ? [" \u00b7 ", title] : [title])))), viewer.element), body);
  return {
    element, viewer,
    /** Gives whether there is an answer. */
    async load(signal, first) {
      let result;
      try {
        result = await ask(film, of.name, signal);
      } catch (error) {
        if (error.name === "AbortError") return false;
        result = { problem: error };
      }
      const { inShort, told } = await import("./told.js");
      if (signal.aborted) return false;
      element.removeAttribute("aria-busy");
      if (result.problem) {
        viewer.element.append(el("p", { class: "none" }, t("no_film_here")));
        body.replaceChildren(el("p", { class: "alert" }, warning(), el("span", {}, `${t("cannot_read")} `, result.problem.key ? said(result.problem) : english(said(result.problem)))));
        if (first) say(`${shown(film.path)}: ${t("cannot_read")} ${said(result.problem)}`);
        return false;
      }
      body.replaceChildren(...told(result, of));
      if (first) say(inShort(film, result, of));
      if (result.picture) await viewer.show(result.picture, result.map, result.square ?? [0, 0, 1, 1], t("film_label", { name: shown(film.path) }));
      else viewer.element.append(el("p", { class: "none" }, t("no_picture")));
      return true;
    },
  };
}

function step(by) {
  const order = ordered();
  if (!order.length) return;
  const at = order.indexOf(current);
  show(order[(at + by + order.length) % order.length]);
}

function legend() {
  $("legend").classList.toggle("off", !look.heat);
  drawRamp($("ramp"));
  const full = number(look.full);
  $("legend-numbers").replaceChildren(...[`\u2212${full}`, "0", `+${full}`].map(text => el("span", {}, text)));
  $("legend-text").textContent = t("legend");
}

function tools() {
  const press = (id, act) => $(id).addEventListener("click", act);
  const heat = () => { look.set({ heat: !look.heat }); say(t(look.heat ? "heat_on" : "heat_off")); };
  const invert = () => look.set({ invert: !look.invert });
  const zoom = factor => (viewers[0] ? viewers[0].zoomAt(factor) : null);
  const pin = () => {
    if (!current) return;
    const [was, off] = [pinned, pinned === current];
    pinned = off ? null : current;
    say(t(off ? "unpinned" : "pinned_now"));
    if (off || was) show(current);
    else $("pin").setAttribute("aria-pressed", "true");
  };
  press("heat", heat);
  press("invert", invert);
  press("zoom-in", () => zoom(1.25));
  press("zoom-out", () => zoom(0.8));
  press("fit", () => look.fit());
  press("window-reset", () => look.window());
  press("prev", () => step(-1));
  press("next", () => step(1));
  press("pin", pin);
  press("stop", () => { stop(); $("again").focus(); });
  press("again", () => { goOn(); $("stop").focus(); });
  press("clear", clear);
  $("opacity").addEventListener("input", () => look.set({ opacity: $("opacity").valueAsNumber / 100 }));
  $("level").addEventListener("input", () => look.set({ level: $("level").valueAsNumber }));
  $("width").addEventListener("input", () => look.set({ width: $("width").valueAsNumber }));
  $("full").addEventListener("change", () => {
    const full = $("full").valueAsNumber;
    if (full > 0) look.set({ full: Math.min(Math.max(full, 0.01), 20) });
    $("full").value = look.full;
  });
  // Where there is little room, window and level are folded away until somebody opens them.
  const narrow = matchMedia("(max-width: 40rem)");
  const fold = () => { $("windowing").open = !narrow.matches; };
  narrow.addEventListener("change", fold);
  fold();
  look.listeners.add(() => {
    $("heat").setAttribute("aria-pressed", String(look.heat));
    $("invert").setAttribute("aria-pressed", String(look.invert));
    $("opacity").value = Math.round(look.opacity * 100);
    $("level").value = look.level;
    $("width").value = look.width;
    $("zoom-now").textContent = percentZoom();
    legend();
  });
  $("zoom-now").textContent = percentZoom();
  const more = by => look.set({ opacity: Math.min(Math.max(look.opacity + by, 0.05), 1) });
  keysOf("look", {
    n: () => step(1), p: () => step(-1), h: heat, i: invert, "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), 0: () => look.fit(),
    "[": () => look.set({ level: look.level - 8 }), "]": () => look.set({ level: look.level + 8 }),
    "{": () => look.set({ width: look.width - 16 }), "}": () => look.set({ width: look.width + 16 }),
    r: () => look.window(), c: pin, o: () => more(-0.1), O: () => more(0.1),
  });
}

const percentZoom = () => `${number(Math.round(look.zoom * 100))}\u00a0%`;

let last = "";
function tellProgress() {
  const now = progress();
  if (!now.works && document.activeElement === $("stop") && !now.stopped) $("csv").focus();
  $("stop").hidden = !now.works || now.of < 2;
  $("again").hidden = !(now.stopped && now.done < now.of);
  $("bar").hidden = !now.works || now.of < 2;
  $("bar").value = now.of ? now.done / now.of : 0;
  const done = t("progress", { n: now.of, done: now.done });
  const failed = now.failed ? t("progress_failed", { n: now.failed }) : "";
  const state = now.stopped && now.done < now.of ? t("progress_stopped") : now.works ? "" : now.of && now.done === now.of ? t("progress_end") : "";
  const text = now.of ? [done, failed, state].filter(Boolean).join(" ") : "";
  // A reader of the screen hears of every tenth, not of every film.
  const live = now.works && now.of > 10 && now.done % Math.ceil(now.of / 10) !== 0;
  $("progress").setAttribute("aria-live", live ? "off" : "polite");
  if (text !== last) $("progress").textContent = text;
  last = text;
}
