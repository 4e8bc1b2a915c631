// Room for the view of a model's test: its caveats, the curves with a cut that can be moved, what that does to the films, and
// the confusion matrix.

import { Problem, test as askTest } from "./api.js";
import { list } from "./cell.js";
import { chart, drags, line } from "./charts.js";
import { $, el, english, name, scroller, sentence, shown, svg } from "./dom.js";
import { TwoClasses } from "./statistics.js";
import { said } from "./table.js";
import { number, parts, percent, t, within, words } from "./texts.js";
import { pointName } from "./told.js";
import { warning } from "./viewer.js";

let page = null;
let model = null;
let told = null;
let asked = new AbortController();
let group = "";
let cell = null;
let cut = 0.5;
let visible = false;

/** `waits()` tells whether the first model is still being trained. */
export function start(of) {
  page = of;
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
  [model, told, group, cell] = [now, null, "", null];
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
    cut = found.cut ?? 0.5;
    draw();
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof Problem)) console.error(error);
    problem = error;
    state();
  }
}

function state(text = null) {
  if (!model) return $("test").replaceChildren(el("p", { class: "note" }, el("span", {}, t(page.waits() ? "no_model_yet" : "no_models"))));
  const none = problem?.status === 404;
  const what = text ?? (none ? t("untested_long", { name: shown(model.name) }) : problem ? said(problem) : t("reading_test"));
  $("test").replaceChildren(el("p", { class: none ? "note" : problem && !text ? "alert" : "quiet", role: "status" }, what));
}

const twoClasses = () => told.positive !== null && told.positive !== undefined;

const calledNow = film => (film.p === undefined ? film.called : film.p >= cut ? told.positive : told.classes.find(name => name !== told.positive));
const filmsBelow = films => list(films, { model: model.name, positive: told.positive, cell, called: calledNow });

/** The films of the chosen group. */
function chosen() {
  if (!group) return told.films;
  const [key, value] = JSON.parse(group);
  return told.films.filter(film => film.groups?.[key] === value);
}

function groupSelect() {
  const groups = new Map();
  for (const film of told.films) {
    for (const [key, value] of Object.entries(film.groups ?? {})) {
      if (!groups.has(key)) groups.set(key, new Map());
      groups.get(key).set(value, (groups.get(key).get(value) ?? 0) + 1);
    }
  }
  const useful = [...groups].filter(([, values]) => values.size > 1);
  if (!useful.length) return null;
  const order = new Intl.Collator("en", { numeric: true });
  const select = el("select", { id: "group", onchange: () => { group = select.value; draw("group"); } },
    el("option", { value: "" }, t("all_films", { n: told.films.length })),
    useful.map(([key, values]) => el("optgroup", { label: shown(key) }, [...values].sort((a, b) => order.compare(a[0], b[0])).map(([value, n]) =>
      el("option", { value: JSON.stringify([key, value]) }, `${shown(value)} (${number(n)})`)))));
  select.value = group;
  return el("label", {}, `${t("group")} `, select);
}

function caveats() {
  const list = told.metrics?.caveats ?? [];
  if (!list.length) return null;
  return el("section", { class: "caveats", "aria-labelledby": "test-caveats" },
    el("h3", { id: "test-caveats" }, warning(), t("caveats_test", { n: list.length })),
    el("ul", {}, list.map(caveat => el("li", {}, sentence(caveat.text)))));
}

let redraw = () => {};
/** Draws the curves for another width of the window; nothing else changes. */
let resized = () => {};
function draw(focus = null) {
  resized = () => {};
  const films = chosen();
  const body = el("div");
  $("test").replaceChildren(...[
    caveats(),
    el("div", { class: "row spread" },
      el("p", { class: "lead" }, parts("test_of", { n: told.films.length, split: told.split, name: name(model.name) })),
      groupSelect()),
    group && el("p", { class: "note" }, t("only_group", { n: films.length })),
    body,
    el("section", { id: "cell", "aria-live": "off" }),
  ].filter(Boolean));
  if (twoClasses()) two(body, films);
  else many(body, films);
  if (focus) $(focus)?.focus();
}

/** Two classes: curves, cut, shares, matrix. */
function two(body, films) {
  const positive = told.positive;
  const negative = told.classes.find(name => name !== positive);
  const test = new TwoClasses(films.map(film => ({ ...film, p: film.probability, has: film.label === positive })));
  const whole = !group;
  const all = told.metrics?.measures ?? [];
  const drawable = test.positives.length > 0 && test.negatives.length > 0;
  const measured = key => (whole ? all.find(measure => key.test(measure.name)) : null);
  const area = (value, of) => {
    const known = measured(of);
    return `${number(known?.value ?? value, 3)}${known?.interval ? ` (${t("to", { low: number(known.interval[0], 3), high: number(known.interval[1], 3) })})` : ""}`;
  };

  let [roc, pr, dots] = [null, null, []];
  const charts = el("div", { class: "charts" });
  const curves = () => {
    roc = chart({ label: t("roc_label", { auc: number(test.auc(), 3) }), x: [0, 1], y: [0, 1], xName: t("roc_x"), yName: t("sensitivity") });
    pr = chart({ label: t("pr_label", { ap: number(test.averagePrecision(), 3) }), x: [0, 1], y: [0, 1], xName: t("pr_x"), yName: t("ppv") });
    const share = test.positives.length / films.length;
    roc.element.append(line(roc, [[0, 0], [1, 1]], { class: "chance" }), line(roc, test.roc(), { class: "curve" }));
    pr.element.append(line(pr, [[0, share], [1, share]], { class: "chance" }), line(pr, test.precisionRecall(), { class: "curve" }));
    dots = [roc, pr].map(of => {
      const dot = svg("g", { class: "handle" }, svg("circle", { r: 9 }), svg("circle", { r: 3, class: "core" }));
      of.element.append(dot);
      return dot;
    });
    drags(roc, ([x, y]) => set(nearest(test, test.roc(), x, y), roc));
    // The first point calls no film and has no precision.
    drags(pr, ([x, y]) => set(nearest(test, [[-9, -9], ...test.precisionRecall()], x, y), pr));
    charts.replaceChildren(
      el("figure", {}, el("figcaption", {}, `${t("roc")} \u00b7 AUC ${area(test.auc(), /^AUC$/i)}`), roc.element),
      el("figure", {}, el("figcaption", {}, `${t("pr")} \u00b7 ${t("ap")} ${area(test.averagePrecision(), /^average precision$/i)}`), pr.element));
  };
  const dotsTo = (tp, fp) => {
    const [sensitivity, wrong] = [tp / test.positives.length, fp / test.negatives.length];
    dots[0].setAttribute("transform", `translate(${roc.px(wrong)} ${roc.py(sensitivity)})`);
    const precision = tp + fp ? tp / (tp + fp) : test.precisionRecall()[0][1];
    dots[1].setAttribute("transform", `translate(${pr.px(sensitivity)} ${pr.py(precision)})`);
  };

  const slider = el("input", { type: "range", id: "cut", min: 0, max: test.points.length - 1, step: 1 });
  const exact = el("input", { type: "number", id: "cut-exact", min: 0, max: 100, step: 0.1 });
  const measures = el("tbody");
  const matrix = el("tbody");
  const cutNow = el("p", { id: "cut-now", class: "lead" });
  const spoken = el("p", { class: "hidden", role: "status" });
  const prevalence = el("p", { class: "quiet" });
  const places = (model.points ?? []).filter(point => (point.label ?? positive) === positive).map(({ at, cut: value }) => el("button", { type: "button", onclick: () => set(value) }, pointName(at)));

  let later = null;
  const set = (value, from) => {
    cut = Math.min(Math.max(value, 0), 1.0000001);
    redraw(from);
  };
  redraw = from => {
    const place = test.place(cut);
    const now = test.at(cut);
    if (from !== slider) slider.value = place;
    if (from !== exact) exact.value = Number((Math.min(cut, 1) * 100).toFixed(2));
    const none = cut > 1;
    slider.setAttribute("aria-valuetext", none ? t("cut_none") : percent(cut));
    cutNow.textContent = none ? t("cut_none") : t("cut_now", { name: shown(positive), cut: percent(cut) });
    measures.replaceChildren(...Object.entries(now.measures).map(([key, of]) => el("tr", {},
      el("th", { scope: "row" }, t(key), el("span", { class: "quiet explain" }, t(`${key}_means`, { name: shown(positive) }))),
      el("td", { class: "number" }, of ? percent(of.value) : t("none")),
      el("td", { class: "number" }, of?.interval ? within(of.interval) : t("none")),
      el("td", { class: "number" }, of ? t("part_of", { part: of.yes, all: of.all }) : t("none")))));
    prevalence.textContent = t("prevalence", { share: percent(test.positives.length / Math.max(films.length, 1)), name: shown(positive) });
    const [tp, fp] = [test.positives.filter(now.called).length, test.negatives.filter(now.called).length];
    if (drawable) dotsTo(tp, fp);
    const focused = document.activeElement?.dataset?.cell;
    const counts = [[test.positives.length - tp, tp], [test.negatives.length - fp, fp]];
    matrix.replaceChildren(...[positive, negative].map((label, row) => el("tr", {}, el("th", { scope: "row" }, name(label)),
      [positive, negative].map((call, column) => cellOf(label, call, column === 0 ? counts[row][1] : counts[row][0])))));
    if (focused) matrix.querySelector(`[data-cell="${CSS.escape(focused)}"]`)?.focus();
    const ofCell = () => (cell ? test.films.filter(film => film.label === cell.label && (now.called(film) ? positive : negative) === cell.call) : []);
    clearTimeout(later);
    // While the cut moves the films stay as they are, and nothing is said.
    if (from === undefined) filmsBelow(ofCell());
    later = setTimeout(() => {
      if (from !== undefined) filmsBelow(ofCell());
      spoken.textContent = [cutNow.textContent, ...["sensitivity", "specificity"].map(key => `${t(key)}: ${percent(now.measures[key]?.value)}.`)].join(" ");
    }, 500);
  };
  slider.addEventListener("input", () => set(Math.min(test.points[slider.valueAsNumber].cut, 1.0000001), slider));
  exact.addEventListener("change", () => { if (Number.isFinite(exact.valueAsNumber)) set(exact.valueAsNumber / 100); });

  if (drawable) {
    curves();
    resized = () => {
      const { called } = test.at(cut);
      curves();
      dotsTo(test.positives.filter(called).length, test.negatives.filter(called).length);
    };
  }

  body.append(
    el("p", { class: "note" }, warning(), el("span", {}, t("cut_note"))),
    el("div", { class: "columns" },
      drawable
        ? charts
        : el("p", { class: "note" }, t("one_class")),
      el("div", { class: "cutting" },
        el("h3", {}, t("cut_title")),
        cutNow,
        spoken,
        el("label", { class: "block" }, t("cut_slider"), slider),
        el("div", { class: "row" }, el("label", {}, `${t("cut_exact")} `, exact), places),
        scroller(t("measures"), el("table", { class: "measures" }, el("caption", { class: "hidden" }, t("measures")),
          el("thead", {}, el("tr", {}, ["measure", "value", "interval", "counts"].map((key, at) => el("th", { scope: "col", class: at ? "number" : null }, t(key))))),
          measures)),
        prevalence,
        el("p", { class: "quiet" }, t(films.some(film => film.patient) ? "interval_patients" : "interval_films")),
        matrixTable([positive, negative], matrix),
        all.length > 0 && el("details", {}, el("summary", {}, t("written", { at: pointName(told.at) })), written(all)))));
  redraw();
}

function nearest(test, points, x, y) {
  let best = 0;
  let least = Infinity;
  points.forEach(([px, py], at) => {
    const distance = (px - x) ** 2 + (py - y) ** 2;
    if (distance < least) [least, best] = [distance, at];
  });
  return Math.min(test.points[best].cut, 1.0000001);
}

function matrixTable(columns, body) {
  return scroller(t("matrix"), el("table", { class: "matrix" },
    el("caption", {}, t("matrix"), el("span", { class: "quiet explain" }, t("matrix_how"))),
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, t("matrix_corner")), columns.map(call => el("th", { scope: "col" }, parts("called_so", { name: name(call) }))))),
    body));
}

function cellOf(label, call, n) {
  const on = cell && cell.label === label && cell.call === call;
  const right = label === call;
  return el("td", { class: right ? "right" : "wrong" }, el("button", {
    type: "button", "aria-pressed": String(Boolean(on)), "data-cell": `${label}\u0001${call}`, disabled: n === 0,
    onclick: () => {
      cell = on ? null : { label, call };
      for (const button of $("test").querySelectorAll("[data-cell]")) button.setAttribute("aria-pressed", "false");
      redraw();
      $("cell").scrollIntoView({ block: "nearest" });
    },
  }, el("strong", {}, number(n)), el("span", {}, t(right ? "right" : "wrong"))));
}

/** What the test wrote, as a table: shares as percent; areas and losses are no shares. */
function written(measures, labels = []) {
  const plain = of => /auc|loss|brier|error|precision$/i.test(of.name) || of.value > 1;
  const value = of => (of.value === null || of.value === undefined ? t("none") : plain(of) ? number(of.value, 3) : percent(of.value));
  const interval = of => (!of.interval ? t("none") : plain(of) ? t("to", { low: number(of.interval[0], 3), high: number(of.interval[1], 3) }) : within(of.interval));
  const row = (of, first) => el("tr", {}, el("th", { scope: "row" }, first), el("td", { class: "number" }, value(of)), el("td", { class: "number" }, interval(of)));
  const rows = [
    ...measures.map(of => row(of, english(of.name))),
    ...labels.flatMap(label => (label.measures ?? []).map(of => row(of, [name(label.name), ": ", english(of.name)]))),
  ];
  return scroller(t("measures"), el("table", { class: "measures" },
    el("caption", { class: "hidden" }, t("measures")),
    el("thead", {}, el("tr", {}, ["measure", "value", "interval"].map((key, at) => el("th", { scope: "col", class: at ? "number" : null }, t(key))))),
    el("tbody", {}, rows)));
}

/** More than two classes, or any-of: what the test wrote, and the matrix. */
function many(body, films) {
  const { metrics = {}, classes } = told;
  const labels = metrics.labels ?? [];
  if (group) body.append(el("p", { class: "quiet" }, t("whole_test")));
  body.append(written(metrics.measures ?? [], labels));

  if (metrics.confusion?.length || films.every(film => classes.includes(film.label))) {
    const matrix = el("tbody");
    redraw = () => {
      const of = (label, call) => films.filter(film => film.label === label && film.called === call);
      const focused = document.activeElement?.dataset?.cell;
      matrix.replaceChildren(...classes.map((label, i) => el("tr", {}, el("th", { scope: "row" }, name(label)),
        classes.map((call, j) => cellOf(label, call, group ? of(label, call).length : metrics.confusion?.[i]?.[j] ?? of(label, call).length)))));
      if (focused) matrix.querySelector(`[data-cell="${CSS.escape(focused)}"]`)?.focus();
      filmsBelow(cell ? of(cell.label, cell.call) : []);
    };
    body.append(matrixTable(classes, matrix));
  } else {
    // Any-of: a matrix for each label, of which only the numbers are known.
    redraw = () => filmsBelow(films);
    if (labels.length) {
      body.append(scroller(t("labels"), el("table", {}, el("caption", {}, t("labels")),
        el("thead", {}, el("tr", {}, ["label", "true_positives", "false_negatives", "false_positives", "true_negatives", "unknown"].map((key, at) => el("th", { scope: "col", class: at ? "number" : null }, t(key))))),
        el("tbody", {}, labels.map(of => el("tr", {}, el("th", { scope: "row" }, name(of.name)),
          [of.true_positives, of.positives - of.true_positives, of.negatives - of.true_negatives, of.true_negatives, of.unknown].map(n => el("td", { class: "number" }, number(n)))))))));
    }
  }
  redraw();
}
