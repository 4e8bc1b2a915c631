// Room for the films of the data set that are like the film that is shown, as the network sees them: pictures, labels, and how
// like they are. The server reads the films of the data set for it once, which takes a while; nobody asks for a film that is
// no longer shown.

import { neighbours as ask, dataFilm, rest } from "./api.js";
import { $, el, name, sentence, shown } from "./dom.js";
import { said } from "./table.js";
import { number, parts, t } from "./texts.js";
import { picture } from "./thumbs.js";
import { warning } from "./viewer.js";

/** Between two questions how far the server is. */
const PAUSE = 1500;

/** Another film is shown: what was like the one before goes. `now` is whether there will be anything. */
export function forgetNeighbours(now) {
  const place = $("neighbours");
  // It keeps its height until there is more, so that the films below stay where they are.
  place.style.minHeight = now && !place.hidden ? `${place.offsetHeight}px` : "";
  place.hidden = !now;
  tell("");
  $("neighbours-found").replaceChildren();
}

/** Looks for the films that are like one, for as long as `signal` says that it is shown. */
export async function showNeighbours(film, of, signal) {
  forgetNeighbours(true);
  tell(t("like_looks"));
  try {
    const found = await until(film, of, signal);
    if (signal.aborted) return;
    tell("");
    list(found, signal);
  } catch (problem) {
    if (signal.aborted) return;
    tell("");
    const again = el("button", { type: "button", class: "link", onclick: () => { again.disabled = true; showNeighbours(film, of, signal); } }, t("ask_again"));
    $("neighbours-found").replaceChildren(el("p", { class: "alert" }, warning(),
      el("span", {}, `${t("like_failed")} `, problem.key ? said(problem) : sentence(said(problem).replace(/\.$/, "")), " ", again)));
  }
  $("neighbours").style.minHeight = "";
}

/** Asks until the server has read all films, and shows how far it is. */
async function until(film, of, signal) {
  let tenth = -1;
  for (;;) {
    const found = await ask(of.name, film.file, signal);
    if (signal.aborted || found.ready) return found.neighbours;
    const share = found.total > 0 ? Math.min(found.done / found.total, 1) : 0;
    // A reader of the screen hears of every tenth.
    tell(t("like_reads", { n: found.total, done: found.done }), share, Math.floor(share * 10) !== tenth);
    tenth = Math.floor(share * 10);
    do await rest(PAUSE, signal); while ($("panel-look").hidden);
  }
}

function tell(text, share = null, aloud = true) {
  $("neighbours-state").setAttribute("aria-live", aloud ? "polite" : "off");
  $("neighbours-state").textContent = text;
  $("neighbours-state").hidden = !text;
  $("neighbours-bar").hidden = share === null;
  $("neighbours-bar").value = share ?? 0;
}

const labelOf = film => (Array.isArray(film.label) ? film.label.join(", ") || t("no_label") : String(film.label ?? t("none")));

function list(found, signal) {
  if (!found.length) return tell(t("like_none"));
  const same = found.some(film => film.same);
  const state = $("neighbours-state");
  state.hidden = false;
  state.replaceChildren(...counted(found.filter(film => !film.same), same));
  state.hidden = !state.hasChildNodes();
  $("neighbours-found").replaceChildren(...[
    same && el("p", { class: "alert" }, warning(), el("span", {}, t("like_same"))),
    el("ul", { class: "thumbs like", "aria-labelledby": "neighbours-title" }, found.map(film => item(film, signal))),
    el("p", { class: "quiet" }, t("like_note")),
  ].filter(Boolean));
}

/** How many have which label. The film itself says nothing about itself. */
function counted(films, others) {
  const counts = new Map();
  for (const film of films) counts.set(labelOf(film), (counts.get(labelOf(film)) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a)
    .flatMap(([label, n], at) => [at ? " " : "", ...parts(others ? "like_count_others" : "like_count", { n, all: films.length, label: name(label) })]);
}

function item(film, signal) {
  const alt = t("like_alt", { name: shown(film.name ?? film.index), label: shown(labelOf(film)) });
  const { box } = picture({ key: `data ${film.index} ${film.name}`, get: signal => dataFilm(film.index, signal), signal, alt });
  const split = film.split === "train" || film.split === "val" ? t(`split_${film.split}`) : t("split_none");
  return el("li", { class: film.same ? "same" : null }, box, el("span", { class: "facts" },
    film.same && el("strong", {}, t("like_same_short")),
    el("span", { class: "name" }, name(labelOf(film))),
    el("span", {}, t("similarity", { value: number(film.similarity, 2) })),
    el("span", { class: "quiet" }, name(film.name ?? film.index), ` \u00b7 ${split}`)));
}
