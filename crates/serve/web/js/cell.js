// Room for the films behind a cell of a confusion matrix: small pictures that are fetched as they come into sight, the worst
// errors first, and one of them large.

import { testFilm } from "./api.js";
import { $, el, name, shown } from "./dom.js";
import { columnName } from "./test-groups.js";
import { parts, percent, t } from "./texts.js";
import { picture } from "./thumbs.js";

const AT_FIRST = 24;

let seen = new AbortController();

/**
 * Lists the films of a cell, or none where it is null: `{ films, title, fact(film), probability(film), wrongness(film) }`;
 * `about(film)` is what stands below one that is shown large.
 */
export function list(cell, { model, about }) {
  const place = $("cell");
  seen.abort();
  seen = new AbortController();
  place.replaceChildren();
  if (!cell) return;
  if (!cell.films.length) {
    place.append(el("p", { class: "quiet" }, t("no_films_in_cell")));
    return;
  }
  const sorted = [...cell.films].sort((a, b) => cell.wrongness(b) - cell.wrongness(a) || a.index - b.index);
  const grid = el("ul", { class: "thumbs" });
  const { signal } = seen;
  const more = el("button", { type: "button", onclick: () => further(true) });
  const further = focus => {
    const from = grid.childElementCount;
    grid.append(...sorted.slice(from, from + AT_FIRST).map(film => thumb(film, { cell, model, about, signal })));
    const left = sorted.length - grid.childElementCount;
    more.hidden = left <= 0;
    more.textContent = t("more_films", { n: Math.min(left, AT_FIRST) });
    if (focus) grid.children[from]?.querySelector("button").focus();
  };
  further(false);
  place.append(el("h3", {}, cell.title), el("p", { class: "quiet" }, t("worst_first")), grid, more);
}

function thumb(film, { cell, model, about, signal }) {
  const { box, image } = picture({ key: `${model} ${film.index}`, get: signal => testFilm(model, film.index, signal), signal });
  const probability = cell.probability(film);
  const p = Number.isFinite(probability.p) ? t("probability_is", { name: shown(probability.name), p: percent(probability.p) }) : "";
  const facts = [
    el("span", { class: "name" }, name(film.name ?? film.index)),
    el("span", {}, cell.fact(film)),
    el("span", { class: "quiet" }, p, film.unlike === 1 ? ` ${t("unlike_short")}` : ""),
  ];
  return el("li", {}, el("button", { type: "button", onclick: () => large(film, image, facts, about(film)) }, box, facts));
}

function large(film, image, facts, about) {
  const dialog = $("large");
  const groups = Object.entries(film.groups ?? {});
  dialog.replaceChildren(
    el("div", { class: "row spread" }, el("h2", { id: "large-title" }, name(film.name ?? film.index)),
      el("button", { type: "button", onclick: () => dialog.close() }, t("close"))),
    image.hidden ? el("p", { class: "none" }, t("film_gone")) : el("img", { src: image.src, alt: t("film_label", { name: shown(film.name ?? film.index) }) }),
    el("p", {}, facts[1].cloneNode(true)), el("p", { class: "quiet" }, facts[2].cloneNode(true)),
    about || "",
    el("p", {}, el("strong", {}, t("research"))),
    groups.length ? el("p", { class: "quiet" }, groups.map(([key, value]) => `${columnName(key)}: ${shown(value)}`).join(" \u00b7 ")) : "");
  dialog.showModal();
}
