// Room for the films behind a cell of a confusion matrix: small pictures that are fetched as they come into sight, the worst
// errors first, and one of them large.

import { testFilm } from "./api.js";
import { $, el, name, shown } from "./dom.js";
import { parts, percent, t } from "./texts.js";
import { picture } from "./thumbs.js";

const AT_FIRST = 24;

/** Labels or a class in words. */
const inWords = value => (Array.isArray(value) ? value.join(", ") || t("no_label") : String(value));

/** How wrong a film is: the farther its probability from what it is. */
function wrongness(film) {
  if (film.p !== undefined) return Math.abs((film.has ? 1 : 0) - film.p);
  const right = inWords(film.called) === inWords(film.label);
  return right ? 1 - film.probability : 1 + film.probability;
}

let seen = new AbortController();

/** Lists films: `of` has the name of the model, the positive class if there is one, the cell, and `called(film)`. */
export function list(films, of) {
  const place = $("cell");
  seen.abort();
  seen = new AbortController();
  place.replaceChildren();
  if (!of.cell && of.positive) return;
  if (!films.length) {
    if (of.cell) place.append(el("p", { class: "quiet" }, t("no_films_in_cell")));
    return;
  }
  const sorted = [...films].sort((a, b) => wrongness(b) - wrongness(a) || a.index - b.index);
  const grid = el("ul", { class: "thumbs" });
  const { signal } = seen;
  const more = el("button", { type: "button", onclick: () => further(true) });
  const further = focus => {
    const from = grid.childElementCount;
    grid.append(...sorted.slice(from, from + AT_FIRST).map(film => thumb(film, of, signal)));
    const left = sorted.length - grid.childElementCount;
    more.hidden = left <= 0;
    more.textContent = t("more_films", { n: Math.min(left, AT_FIRST) });
    if (focus) grid.children[from]?.querySelector("button").focus();
  };
  further(false);
  place.append(
    el("h3", {}, of.cell ? parts("cell_title", { n: films.length, label: name(of.cell.label), call: name(of.cell.call) }) : t("films_of_test", { n: films.length })),
    el("p", { class: "quiet" }, t("worst_first")), grid, more);
}

function thumb(film, of, signal) {
  const { box, image } = picture({ key: `${of.model} ${film.index}`, get: signal => testFilm(of.model, film.index, signal), signal });
  const call = inWords(of.called(film));
  const p = Number.isFinite(film.probability) ? t("probability_is", { name: shown(of.positive ?? call), p: percent(film.probability) }) : "";
  const facts = [
    el("span", { class: "name" }, name(film.name ?? film.index)),
    el("span", {}, parts("is_and_called", { label: name(inWords(film.label)), call: name(call) })),
    el("span", { class: "quiet" }, p, film.unlike === 1 ? ` ${t("unlike_short")}` : ""),
  ];
  return el("li", {}, el("button", { type: "button", onclick: () => large(film, image, facts) }, box, facts));
}

function large(film, image, facts) {
  const dialog = $("large");
  const groups = Object.entries(film.groups ?? {});
  dialog.replaceChildren(
    el("div", { class: "row spread" }, el("h2", { id: "large-title" }, name(film.name ?? film.index)),
      el("button", { type: "button", onclick: () => dialog.close() }, t("close"))),
    image.hidden ? el("p", { class: "none" }, t("film_gone")) : el("img", { src: image.src, alt: t("film_label", { name: shown(film.name ?? film.index) }) }),
    el("p", {}, facts[1].cloneNode(true)), el("p", { class: "quiet" }, facts[2].cloneNode(true)),
    el("p", {}, el("strong", {}, t("research"))),
    groups.length ? el("p", { class: "quiet" }, groups.map(([key, value]) => `${shown(key)}: ${shown(value)}`).join(" \u00b7 ")) : "");
  dialog.showModal();
}
