// Room for a class or label against all else, of films of which it is known: the curves, a cut that can be moved, what that does
// to the films, and their confusion matrix.

import { chart, drags, line } from "./charts.js";
import { el, name, scroller, shown, svg } from "./dom.js";
import { chosenOf, matrix } from "./test-matrix.js";
import { number, parts, percent, t, within } from "./texts.js";
import { pointName } from "./told.js";
import { warning } from "./viewer.js";

/** Calls no film. */
const NONE = 1.0000001;
/** The cells of the matrix by row and column. */
const CELLS = [["true_positives", "false_negatives"], ["false_positives", "true_negatives"]];

/**
 * `{ test, of, other, cut, points, precision, written, moved, settled }`: a TwoClasses of `of` against `other`, which has a
 * name where there are two classes; the cut to begin with and those of the model's operating points; the interval of the
 * average precision, where it is known; an element below all else. `moved(cut)` hears of every cut, `settled(cut)` when it
 * rests. Gives the element, `resized()` for another width of the window, and `listed()`, the films of the chosen cell.
 */
export function cutting({ test, of, other, cut: first, points, precision, written, moved, settled }) {
  let cut = first;
  const { films, positives, negatives } = test;
  const drawable = positives.length > 0 && negatives.length > 0;

  let [roc, pr, dots] = [null, null, []];
  const charts = el("div", { class: "charts" });
  const curves = () => {
    const area = test.area();
    const average = test.averagePrecision();
    const to = interval => (interval ? ` (${t("to", { low: number(interval[0], 3), high: number(interval[1], 3) })})` : "");
    roc = chart({ label: t("roc_label", { auc: number(area.value, 3) }), x: [0, 1], y: [0, 1], xName: t("roc_x"), yName: t("sensitivity") });
    pr = chart({ label: t("pr_label", { ap: number(average, 3) }), x: [0, 1], y: [0, 1], xName: t("pr_x"), yName: t("ppv") });
    const share = positives.length / films.length;
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
      el("figure", {}, el("figcaption", {}, `${t("roc")} \u00b7 AUC ${number(area.value, 3)}${to(area.interval)}`), roc.element),
      el("figure", {}, el("figcaption", {}, `${t("pr")} \u00b7 ${t("ap")} ${number(average, 3)}${to(precision)}`), pr.element));
  };
  const dotsTo = (tp, fp) => {
    const [sensitivity, wrong] = [tp / positives.length, fp / negatives.length];
    dots[0].setAttribute("transform", `translate(${roc.px(wrong)} ${roc.py(sensitivity)})`);
    const right = tp + fp ? tp / (tp + fp) : test.precisionRecall()[0][1];
    dots[1].setAttribute("transform", `translate(${pr.px(sensitivity)} ${pr.py(right)})`);
  };

  const slider = el("input", { type: "range", id: "cut", min: 0, max: test.points.length - 1, step: 1 });
  const exact = el("input", { type: "number", id: "cut-exact", min: 0, max: 100, step: 0.1 });
  const measures = el("tbody");
  const cutNow = el("p", { id: "cut-now", class: "lead" });
  const spoken = el("p", { class: "hidden", role: "status" });
  const heads = other === null
    ? { rows: [parts("with", { name: name(of) }), parts("without", { name: name(of) })], columns: [parts("called_so", { name: name(of) }), parts("not_called_so", { name: name(of) })] }
    : { rows: [name(of), name(other)], columns: [of, other].map(call => parts("called_so", { name: name(call) })) };
  const cells = matrix({ id: "cut", title: t("matrix"), how: t("matrix_how"), ...heads, changed: () => settled(cut) });

  let later = null;
  const set = (value, from) => {
    cut = Math.min(Math.max(value, 0), NONE);
    moved(cut);
    draw(from);
  };
  const draw = from => {
    const now = test.at(cut);
    if (from !== slider) slider.value = test.place(cut);
    if (from !== exact) exact.value = Number((Math.min(cut, 1) * 100).toFixed(2));
    const none = cut > 1;
    slider.setAttribute("aria-valuetext", none ? t("cut_none") : percent(cut));
    cutNow.textContent = none ? t("cut_none") : t("cut_now", { name: shown(of), cut: percent(cut) });
    measures.replaceChildren(...Object.entries(now.measures).map(([key, found]) => el("tr", {},
      el("th", { scope: "row" }, t(key), el("span", { class: "quiet explain" }, t(`${key}_means`, { name: shown(of) }))),
      el("td", { class: "number" }, found ? percent(found.value) : t("none")),
      el("td", { class: "number" }, found?.interval ? within(found.interval) : t("none")),
      el("td", { class: "number" }, found ? t("part_of", { part: found.yes, all: found.all }) : t("none")))));
    const [tp, fp] = [positives.filter(now.called).length, negatives.filter(now.called).length];
    if (drawable) dotsTo(tp, fp);
    cells.fill([[tp, positives.length - tp], [fp, negatives.length - fp]]);
    clearTimeout(later);
    // While the cut moves the films stay as they are, and nothing is said.
    if (from === undefined) settled(cut);
    later = setTimeout(() => {
      if (from !== undefined) settled(cut);
      spoken.textContent = [cutNow.textContent, ...["sensitivity", "specificity"].map(key => `${t(key)}: ${percent(now.measures[key]?.value)}.`)].join(" ");
    }, 500);
  };
  slider.addEventListener("input", () => set(Math.min(test.points[slider.valueAsNumber].cut, NONE), slider));
  exact.addEventListener("change", () => { if (Number.isFinite(exact.valueAsNumber)) set(exact.valueAsNumber / 100); });

  const resized = () => {
    if (!drawable) return;
    const { called } = test.at(cut);
    curves();
    dotsTo(positives.filter(called).length, negatives.filter(called).length);
  };

  /** The chosen cell's films with what is said of them; null where none is chosen. */
  const listed = () => {
    const cell = chosenOf("cut");
    if (!cell) return null;
    const called = film => film.p >= cut;
    const found = films.filter(film => film.has === (cell.row === 0) && called(film) === (cell.column === 0));
    const kind = CELLS[cell.row][cell.column];
    const n = found.length;
    const both = { label: name(cell.row ? other : of), call: name(cell.column ? other : of) };
    return {
      films: found,
      title: other === null ? parts(`films_${kind}`, { n, name: name(of) }) : parts("cell_title", { n, ...both }),
      fact: film => (other !== null ? parts("is_and_called", both) : film.label && film.label !== of ? [t(kind), " \u00b7 ", ...parts("label_is", { label: name(film.label) })] : t(kind)),
      probability: film => ({ name: of, p: film.p }),
      wrongness: film => Math.abs((film.has ? 1 : 0) - film.p),
    };
  };

  if (drawable) curves();
  const element = el("div", { class: "columns" },
    drawable ? charts : el("p", { class: "note" }, other === null ? t("one_kind", { name: shown(of) }) : t("one_class")),
    el("div", { class: "cutting" },
      el("h3", {}, t("cut_title")),
      cutNow,
      spoken,
      el("label", { class: "block" }, t("cut_slider"), slider),
      el("div", { class: "row" }, el("label", {}, `${t("cut_exact")} `, exact), points.map(({ at, cut: value }) => el("button", { type: "button", onclick: () => set(value) }, pointName(at)))),
      scroller(t("measures"), el("table", { class: "measures" }, el("caption", { class: "hidden" }, t("measures")),
        el("thead", {}, el("tr", {}, ["measure", "value", "interval", "counts"].map((key, at) => el("th", { scope: "col", class: at ? "number" : null }, t(key))))),
        measures)),
      el("p", { class: "quiet" }, t("prevalence", { share: percent(positives.length / Math.max(films.length, 1)), name: shown(of) })),
      el("p", { class: "quiet" }, t(films.some(film => film.patient) ? "interval_patients" : "interval_films")),
      cells.element,
      written));
  return { element, draw: () => draw(), resized, listed };
}

/** A note before the curves. */
export const cutNote = () => el("p", { class: "note" }, warning(), el("span", {}, t("cut_note")));

function nearest(test, points, x, y) {
  let best = 0;
  let least = Infinity;
  points.forEach(([px, py], at) => {
    const distance = (px - x) ** 2 + (py - y) ** 2;
    if (distance < least) [least, best] = [distance, at];
  });
  return Math.min(test.points[best].cut, NONE);
}
