// Room for the table of the session's films: sorted by any column, and walked with the arrow keys.

import { $, el, name, save, shown } from "./dom.js";
import { films, session } from "./films.js";
import { percent, t } from "./texts.js";

/** Stands in for a model where there is none yet: films wait for it. */
const NOBODY = { name: "", classes: [], positive: null };

let model = NOBODY;
let current = null;
let show = () => {};
let sort = { column: "order", down: false };
const rows = new Map();
const byName = new Intl.Collator("en", { numeric: true });

/** What a model called a film. */
export const called = result => result.class ?? (result.labels?.length ? result.labels.join(", ") : t("no_label"));

/** The probability that stands for a film: of the positive class, or else the highest. */
export function probability(result, of) {
  const all = result.probabilities ?? {};
  if (of.positive !== null && of.positive in all) return all[of.positive];
  return Math.max(...Object.values(all));
}

export const said = problem => (problem.key ? t(problem.key) : shown(problem.detail ?? problem.message));

const COLUMNS = {
  path: { text: () => t("film"), of: film => film.path, compare: byName.compare },
  call: { text: () => t("call"), of: (_, result) => (result && !result.problem ? called(result) : null), compare: byName.compare },
  probability: {
    text: () => (model.positive ? t("probability_of", { name: shown(model.positive) }) : t("probability")),
    of: (_, result) => (result && !result.problem ? probability(result, model) : null), number: true,
  },
  unlike: { text: () => t("unlike"), of: (_, result) => result?.unlike ?? null, number: true },
  error: { text: () => t("state"), of: (_, result) => (result?.problem ? said(result.problem) : null), compare: byName.compare },
};

export function startTable(shows) {
  show = shows;
  session.addEventListener("added", event => place(event.detail));
  session.addEventListener("result", event => { if (event.detail.model === model.name) update(event.detail.film); });
  session.addEventListener("cleared", () => { rows.clear(); $("films").tBodies[0].replaceChildren(); });
  $("films").tBodies[0].addEventListener("keydown", walk);
  $("csv").addEventListener("click", async () => save((await import("./told.js")).csv(model), "scores.csv", "text/csv;charset=utf-8"));
}

/** The model whose results it has. */
export function tableOf(now) {
  model = now ?? NOBODY;
  render();
}

export function mark(film) {
  current = film;
  for (const [at, row] of rows) {
    row.classList.toggle("current", at === film);
    const button = row.querySelector("button");
    button.tabIndex = at === film ? 0 : -1;
    if (at === film) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
}

/** The films in the order of the table. */
export function ordered() {
  if (sort.column === "order") return [...films];
  const column = COLUMNS[sort.column];
  const compare = column.compare ?? ((a, b) => a - b);
  const keyed = films.map(film => [film, column.of(film, film.results[model.name])]);
  keyed.sort(([a, x], [b, y]) => {
    // What has nothing comes last, whichever way round.
    if (x === null || y === null) return (x === null) - (y === null) || a.id - b.id;
    return (sort.down ? compare(y, x) : compare(x, y)) || a.id - b.id;
  });
  return keyed.map(([film]) => film);
}

export function render() {
  const head = Object.entries(COLUMNS).filter(([key]) => key !== "unlike" || model.unlike).map(([key, column]) => {
    const on = sort.column === key;
    return el("th", { scope: "col", "aria-sort": on ? (sort.down ? "descending" : "ascending") : null, class: column.number ? "number" : null },
      el("button", { type: "button", onclick: () => by(key), "data-column": key }, column.text(), el("span", { "aria-hidden": "true" }, on ? (sort.down ? " \u25bc" : " \u25b2") : "")));
  });
  const focused = document.activeElement?.dataset?.column;
  $("films").tHead.replaceChildren(el("tr", {}, head));
  if (focused) $("films").tHead.querySelector(`[data-column="${focused}"]`)?.focus();
  rows.clear();
  $("films").tBodies[0].replaceChildren();
  place(ordered());
  mark(current);
}

function by(column) {
  const down = sort.column === column ? !sort.down : Boolean(COLUMNS[column].number);
  sort = { column, down };
  render();
}

function place(some) {
  const made = some.map(film => {
    const row = el("tr");
    rows.set(film, row);
    fill(row, film);
    return row;
  });
  $("films").tBodies[0].append(...made);
}

function update(film) {
  const row = rows.get(film);
  if (!row) return;
  const focused = row.contains(document.activeElement);
  fill(row, film);
  if (focused) row.querySelector("button").focus();
}

function fill(row, film) {
  const result = film.results[model.name];
  const fine = result && !result.problem ? result : null;
  const far = fine?.unlike === 1;
  row.classList.toggle("current", film === current);
  row.replaceChildren(...[
    el("th", { scope: "row" }, el("button", {
      type: "button", class: "link", tabindex: film === current ? "0" : "-1", "aria-current": film === current ? "true" : null, onclick: () => show(film),
    }, name(film.path))),
    el("td", {}, fine ? name(called(fine)) : ""),
    el("td", { class: "number" }, fine ? percent(probability(fine, model)) : ""),
    model.unlike && el("td", { class: far ? "number far" : "number" }, Number.isFinite(fine?.unlike) ? percent(fine.unlike) + (far ? ` ${t("unlike_short")}` : "") : ""),
    el("td", { class: result?.problem ? "failed" : null }, result ? (result.problem ? `${t("error")} ${said(result.problem)}` : t("done")) : t("waits")),
  ].filter(Boolean));
}

function walk(event) {
  const buttons = [...$("films").tBodies[0].querySelectorAll("th button")];
  const at = buttons.indexOf(event.target);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
  if (at < 0 || to === undefined) return;
  event.preventDefault();
  const next = buttons[Math.min(Math.max(to, 0), buttons.length - 1)];
  event.target.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}
