// Room for the view of a model's test: its caveats, which class or label and which films are looked at, what the test wrote, and
// the confusion matrix of more than two classes.

import { Problem, test as askTest } from "./api.js";
import { list } from "./cell.js";
import { $, el, english, name, scroller, sentence, shown } from "./dom.js";
import { TwoClasses } from "./statistics.js";
import { said } from "./table.js";
import { cutNote, cutting } from "./test-cut.js";
import { byGroup, filtered, groupSelects, ofGroup, startGroups, tooFew } from "./test-groups.js";
import { chooseNone, chosenOf, matrix } from "./test-matrix.js";
import { number, parts, percent, t, within, words } from "./texts.js";
import { pointName } from "./told.js";
import { warning } from "./viewer.js";

let page = null;
let model = null;
let told = null;
let asked = new AbortController();
/** The class or label that is looked at, and the cut of it. */
let of = null;
let cut = 0.5;
/** What is drawn now: a cut of something else that comes to rest later has nothing to say. */
let drawn = null;
let visible = false;

/** `waits()` tells whether the first model is still being trained. */
export function start(room) {
  page = room;
  words.addEventListener("change", () => { if (told) draw(); else state(); });
  let width = document.documentElement.clientWidth;
  let later = null;
  addEventListener("resize", () => {
    clearTimeout(later);
    later = setTimeout(() => {
      if (width === document.documentElement.clientWidth) return;
      width = document.documentElement.clientWidth;
      if (told) resized();
    }, 60);
  });
}

export function useModel(now) {
  if (now?.name === model?.name && told) {
    model = now;
    return;
  }
  [model, told] = [now, null];
  if (visible) look();
}

/** Whether it is in sight: the test is asked for when somebody looks. */
export function inSight(now) {
  visible = now;
  if (now && !told) look();
}

function look() {
  if (model) return load();
  problem = null;
  state();
}

let problem = null;
async function load() {
  asked.abort(new DOMException("stopped", "AbortError"));
  asked = new AbortController();
  const { signal } = asked;
  problem = null;
  state(t("reading_test"));
  try {
    const found = await askTest(model.name, signal);
    if (signal.aborted) return;
    told = found;
    lookAt(first());
    startGroups(told.films, testOf(of));
    chooseNone();
    draw();
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof Problem)) console.error(error);
    problem = error;
    state();
  }
}

function state(text = null) {
  drawn = null;
  if (!model) return $("test").replaceChildren(el("p", { class: "note" }, el("span", {}, t(page.waits() ? "no_model_yet" : "no_models"))));
  const none = problem?.status === 404;
  const what = text ?? (none ? t("untested_long", { name: shown(model.name) }) : problem ? said(problem) : t("reading_test"));
  $("test").replaceChildren(el("p", { class: none ? "note" : problem && !text ? "alert" : "quiet", role: "status" }, what));
}

/** Of two classes there is one question, of more classes or of labels one of each. */
const two = () => told.positive !== null;
const anyOf = () => told.task === "any-of";

/** Makes a test of films: of those of which it is known whether they have a class or label. */
const testOf = name => films => new TwoClasses(films.filter(film => typeof film.labels[name] === "boolean")
  .map(film => ({ ...film, has: film.labels[name], p: film.probabilities[name] })));

/** What is looked at first: of two classes the positive one, else the first that some films have and others have not. */
function first() {
  if (two()) return told.positive;
  const both = name => [true, false].every(has => told.films.some(film => film.labels[name] === has));
  return told.classes.find(both) ?? told.classes[0];
}

function lookAt(name) {
  of = name;
  cut = told.cuts[name] ?? 0.5;
}

function classSelect() {
  if (two()) return null;
  const select = el("select", { id: "of", onchange: () => { lookAt(select.value); draw("of"); } },
    told.classes.map(name => el("option", { value: name }, `${shown(name)} (${number(told.films.filter(film => film.labels[name]).length)})`)));
  select.value = of;
  return el("label", {}, `${t(anyOf() ? "label" : "class_against")} `, select);
}

function caveats() {
  const list = told.metrics?.caveats ?? [];
  if (!list.length) return null;
  return el("section", { class: "caveats", "aria-labelledby": "test-caveats" },
    el("h3", { id: "test-caveats" }, warning(), t("caveats_test", { n: list.length })),
    el("ul", {}, list.map(caveat => el("li", {}, sentence(caveat.text)))));
}

/** Draws the curves for another width of the window; nothing else changes. */
let resized = () => {};
function draw(focus = null) {
  const mine = {};
  drawn = mine;
  const films = ofGroup(told.films);
  const test = testOf(of)(films);
  const unknown = films.length - test.films.length;
  const groups = byGroup({ films: told.films, of, test: testOf(of) });
  const whole = !two() && !anyOf() ? wholeMatrix(films) : null;
  const settled = now => {
    if (drawn !== mine) return;
    groups?.at(now);
    if (!chosenOf("whole")) below(cutRoom?.listed() ?? null);
  };
  const cutRoom = test.films.length ? cutting({
    test, of, cut, settled,
    other: two() ? told.classes.find(name => name !== of) : null,
    points: (model.points ?? []).filter(point => (point.label ?? told.positive) === of),
    precision: two() && !filtered() ? told.metrics.measures?.find(({ name }) => /^average precision$/i.test(name))?.interval : null,
    written: details(),
    moved: now => { cut = now; },
  }) : null;
  $("test").replaceChildren(...[
    caveats(),
    el("div", { class: "row spread" },
      el("p", { class: "lead" }, parts("test_of", { n: told.films.length, split: told.split, name: name(model.name) })),
      el("div", { class: "row" }, classSelect(), groupSelects(told.films, draw))),
    filtered() && el("p", { class: "note" }, t("only_group", { n: films.length })),
    unknown > 0 && el("p", { class: "quiet" }, parts(cutRoom ? "unknown_left_out" : "unknown_all", { n: unknown, name: name(of) })),
    cutRoom && tooFew(test) && el("p", { class: "note" }, warning(), el("span", {}, parts("too_few_here", { name: name(of), yes: test.positives.length, no: test.negatives.length }))),
    cutRoom && cutNote(),
    cutRoom?.element ?? details(),
    groups?.element,
    whole?.element,
    el("section", { id: "cell", "aria-live": "off" }),
  ].filter(Boolean));
  resized = () => cutRoom?.resized();
  if (cutRoom) cutRoom.draw();
  else settled(cut);
  if (chosenOf("whole")) below(whole?.listed() ?? null);
  if (focus) $(focus)?.focus();
}

/** Lists the films of a cell below. */
const below = cell => list(cell, {
  model: model.name,
  about: film => anyOf() && el("p", { class: "quiet" }, t("labels"), ": ", labelsOf(film)),
});

function labelsOf(film) {
  const has = told.classes.filter(name => film.labels[name]);
  return has.length ? has.flatMap((label, at) => [at ? ", " : "", name(label)]) : t("no_label");
}

/** More than two classes: what the test called each film, all of them at once. */
function wholeMatrix(films) {
  const { classes, metrics } = told;
  const found = (row, column) => films.filter(film => film.label === classes[row] && film.called === classes[column]);
  const listed = () => {
    const cell = chosenOf("whole");
    if (!cell) return null;
    const both = { label: name(classes[cell.row]), call: name(classes[cell.column]) };
    const here = found(cell.row, cell.column);
    return {
      films: here,
      title: parts("cell_title", { n: here.length, ...both }),
      fact: () => parts("is_and_called", both),
      probability: film => ({ name: film.called, p: film.probabilities[film.called] }),
      // The surer of another class, the worse.
      wrongness: film => (cell.row === cell.column ? -1 : 1) * film.probabilities[film.called],
    };
  };
  const { element, fill } = matrix({
    id: "whole", title: t("matrix_whole"), how: t("matrix_whole_how"), rows: classes.map(label => name(label)), columns: classes.map(call => parts("called_so", { name: name(call) })),
    changed: () => below(listed()),
  });
  fill(classes.map((_, row) => classes.map((_, column) => (filtered() ? null : metrics.confusion?.[row]?.[column]) ?? found(row, column).length)));
  return { element, listed };
}

/** What the test wrote of all films. */
function details() {
  const { measures = [], labels = [] } = told.metrics;
  if (!measures.length && !labels.length) return null;
  const title = two() ? t("written", { at: pointName(told.at) }) : t("written_plain");
  return el("details", {}, el("summary", {}, title), written(title, measures, labels), labels.length > 0 && counts(labels));
}

/** What the test wrote, as a table: shares as percent; areas and losses are no shares. */
function written(title, measures, labels) {
  const plain = of => /auc|loss|brier|error|precision$/i.test(of.name) || of.value > 1;
  const value = of => (of.value === null || of.value === undefined ? t("none") : plain(of) ? number(of.value, 3) : percent(of.value));
  const interval = of => (!of.interval ? t("none") : plain(of) ? t("to", { low: number(of.interval[0], 3), high: number(of.interval[1], 3) }) : within(of.interval));
  const row = (of, first) => el("tr", {}, el("th", { scope: "row" }, first), el("td", { class: "number" }, value(of)), el("td", { class: "number" }, interval(of)));
  const rows = [
    ...measures.map(of => row(of, english(of.name))),
    ...labels.flatMap(label => (label.measures ?? []).map(of => row(of, [name(label.name), ": ", english(of.name)]))),
  ];
  return scroller(title, el("table", { class: "measures" },
    el("caption", { class: "hidden" }, title),
    el("thead", {}, el("tr", {}, ["measure", "value", "interval"].map((key, at) => el("th", { scope: "col", class: at ? "number" : null }, t(key))))),
    el("tbody", {}, rows)));
}

/** Films by what each label is and whether it was called, where the test called it. */
function counts(labels) {
  const heads = ["label", "true_positives", "false_negatives", "false_positives", "true_negatives", "unknown"];
  return scroller(t("labels"), el("table", {}, el("caption", {}, t("labels")),
    el("thead", {}, el("tr", {}, heads.map((key, at) => el("th", { scope: "col", class: at ? "number" : null }, t(key))))),
    el("tbody", {}, labels.map(label => el("tr", {}, el("th", { scope: "row" }, name(label.name)),
      [label.true_positives, label.positives - label.true_positives, label.negatives - label.true_negatives, label.true_negatives, label.unknown]
        .map(n => el("td", { class: "number" }, number(n))))))));
}
