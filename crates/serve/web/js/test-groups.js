// Room for groups of a test's films: which column tells them apart, the one that everything else is of, and how the model does
// on each of them.

import { el, name, scroller, shown } from "./dom.js";
import { share } from "./statistics.js";
import { number, parts, percent, t, within } from "./texts.js";

/** Films of each kind of which anything can be said, as for `lungfish test --groups`. */
const FEW = 10;
/** Groups of a column at most: of more it tells every film or patient by itself. */
const MOST = 60;

let column = "";
/** The group as JSON, null for films that lack the column; an empty text for all films. */
let value = "";

export const tooFew = test => Math.min(test.positives.length, test.negatives.length) < FEW;
export const filtered = () => value !== "";

const groupOf = ({ groups }, of) => (groups && Object.hasOwn(groups, of) && groups[of]) || null;
const order = new Intl.Collator("en", { numeric: true });
const valueName = of => (of === null ? t("unknown") : name(of));

/** A column in words: those that the server tells have some. */
export function columnName(of) {
  const key = `column_${of}`;
  const text = t(key);
  return text === key ? shown(of) : text;
}

/** The groups of a column with their films, in the order of their names; films that lack it last. */
function groups(films, of) {
  const found = new Map();
  for (const film of films) {
    const group = groupOf(film, of);
    if (!found.has(group)) found.set(group, []);
    found.get(group).push(film);
  }
  return [...found].sort(([a], [b]) => (a === null ? 1 : b === null ? -1 : order.compare(a, b)));
}

/** The columns that tell films apart; the folder, which is of files and not of patients, last. */
function columns(films) {
  const all = [...new Set(films.flatMap(film => Object.keys(film.groups ?? {})))].filter(of => {
    const { length } = groups(films, of);
    return length > 1 && length <= MOST;
  });
  return all.sort((a, b) => (a === "folder") - (b === "folder"));
}

/** Begins with the first column of which two groups have enough films of both kinds; `test` makes a test of films. */
export function startGroups(films, test) {
  [column, value] = ["", ""];
  column = columns(films).find(of => groups(films, of).filter(([, films]) => !tooFew(test(films))).length > 1) ?? "";
}

/** The films of the chosen group. */
export const ofGroup = films => (value === "" ? films : films.filter(film => groupOf(film, column) === JSON.parse(value)));

/** Selects for the column and its group; `changed(id)` hears of either. */
export function groupSelects(films, changed) {
  const all = columns(films);
  if (!all.length) return [];
  const by = el("select", { id: "group-by", onchange: () => { [column, value] = [by.value, ""]; changed("group-by"); } },
    el("option", { value: "" }, t("by_nothing")), all.map(of => el("option", { value: of }, columnName(of))));
  by.value = column;
  const select = el("select", { id: "group", onchange: () => { value = select.value; changed("group"); } },
    el("option", { value: "" }, t("all_films", { n: films.length })),
    groups(films, column).map(([of, { length }]) => el("option", { value: JSON.stringify(of) }, `${of === null ? t("unknown") : shown(of)} (${number(length)})`)));
  select.value = value;
  return [el("label", {}, `${t("group_by")} `, by), column && el("label", {}, `${t("group")} `, select)].filter(Boolean);
}

/**
 * How the model does on every group of the chosen column: `of` is the class or label, `test` makes a test of films. Gives an
 * element and `at(cut)`; null where no column is chosen.
 */
export function byGroup({ films, of, test }) {
  if (!column) return null;
  const all = groups(films, column).map(([group, films]) => {
    const tested = test(films);
    return { group, tested, few: tooFew(tested), area: tested.area() };
  });
  const body = el("tbody");
  const measured = (found, written) => el("td", { class: "number" }, found ? written(found.value) : t("none"),
    found?.interval && el("span", { class: "quiet explain" }, written === percent ? within(found.interval) : t("to", { low: written(found.interval[0]), high: written(found.interval[1]) })));
  const at = cut => {
    const called = film => film.p >= cut;
    const rows = all.map(row => ({
      ...row,
      sensitivity: share(row.tested.positives, called),
      specificity: share(row.tested.negatives, film => !called(film)),
    }));
    const place = row => row.sensitivity?.value ?? 2;
    rows.sort((a, b) => a.few - b.few || place(a) - place(b));
    body.replaceChildren(...rows.map(({ group, tested, few, area, sensitivity, specificity }) => el("tr", JSON.stringify(group) === value ? { class: "current", "aria-current": "true" } : {},
      el("th", { scope: "row" }, valueName(group),
        el("span", { class: "quiet explain" }, t("group_has", { n: tested.positives.length, all: tested.films.length })),
        few && el("span", { class: "quiet explain" }, t("too_few"))),
      measured(area, value => number(value, 3)), measured(sensitivity, percent), measured(specificity, percent))));
  };
  const heads = [columnName(column), "AUC", t("sensitivity"), t("specificity")];
  const title = { name: shown(of), column: columnName(column) };
  const element = scroller(t("by_group", title), el("table", { class: "measures groups" },
    el("caption", {}, parts("by_group", { ...title, name: name(of) }), el("span", { class: "quiet explain" }, t("by_group_how"))),
    el("thead", {}, el("tr", {}, heads.map((head, at) => el("th", { scope: "col", class: at ? "number" : null }, head)))),
    body));
  return { element, at };
}
