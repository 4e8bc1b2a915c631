// Room for one film to teach with, large, and all that can be proposed for it.

import { $, el, name, shown } from "./dom.js";
import { keysAct } from "./keys.js";
import { facts, isCorrected, labelOf, proposal, propose } from "./teach-proposals.js";
import { plain } from "./teach-said.js";
import { parts, t } from "./texts.js";

/** Told that a film changed, where one is shown. */
let now = null;

/** Draws it anew if it is that film. */
export const changedLarge = film => now?.(film);

/**
 * Shows the current film: `film()` gives it, `step(by)` goes to another and gives whether there was one, `wants(film, more)` is
 * its picture; `classes` and `keys` are those that can be proposed, `act(key, film)` what a key does, `say(film, text)` says
 * it, `take(film)` takes an added film away again, `closed()` comes at the end.
 */
export function showLarge(of) {
  const dialog = $("large");
  const over = new AbortController();
  const head = el("h2", { id: "large-title" });
  const place = el("div", { class: "lesson" });
  const about = el("p", { class: "facts" });
  const choices = el("div", { class: "row", role: "group", "aria-label": t("propose") });
  const note = el("p", { class: "quiet" });
  let film = null;

  const choice = (key, label, pressed, text) => el("button", { type: "button", "aria-keyshortcuts": key, "aria-pressed": pressed === null ? null : String(pressed), onclick: () => propose(film, label) },
    key && el("kbd", { "aria-hidden": "true" }, key), key && " ", ...text);
  const away = () => {
    dialog.close();
    of.take(film);
  };
  const fill = () => {
    note.textContent = t(film.added ? "added_not_out" : "never_touched");
    about.replaceChildren(...facts(film).slice(1).flatMap(part => [part, " "]));
    const focused = [...choices.children].indexOf(document.activeElement);
    choices.replaceChildren(
      ...of.classes.map((class_, i) => choice(of.keys.classes[i] ?? null, class_, (isCorrected(film) ? film.proposed : labelOf(film)) === class_,
        class_ === labelOf(film) ? parts("own_label", { label: name(class_) }) : [name(class_)])),
      film.added ? el("button", { type: "button", onclick: away }, t("take_away")) : choice(of.keys.out, "", film.proposed === "", [t("leave_out")]),
      choice(of.keys.back, null, null, [t("take_back")]));
    if (focused >= 0) choices.children[focused]?.focus();
  };
  const show = () => {
    film = of.film();
    head.replaceChildren(name(film.name ?? film.index));
    place.replaceChildren(of.wants(film, { now: true, alt: t("film_label", { name: shown(film.name ?? film.index) }) }).box);
    fill();
  };
  const step = async by => {
    if (!(await of.step(by))) return of.say(film, t(by > 0 ? "last_film" : "first_film"));
    show();
    const proposed = proposal(film);
    $("large-said").textContent = `${shown(film.name)}: ${[labelOf(film), proposed && plain(proposed)].filter(Boolean).join(" \u00b7 ")}`;
  };

  dialog.replaceChildren(
    el("div", { class: "row spread" }, head, el("button", { type: "button", onclick: () => dialog.close() }, t("close"))),
    place, about, choices,
    el("div", { class: "row" },
      el("button", { type: "button", "aria-keyshortcuts": "ArrowLeft", onclick: () => step(-1) }, t("previous")),
      el("button", { type: "button", "aria-keyshortcuts": "ArrowRight", onclick: () => step(1) }, t("next"))),
    el("p", { id: "large-said", role: "status", class: "quiet" }),
    note);
  now = changed => { if (changed === film) fill(); };
  show();
  dialog.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const act = by ? () => step(by) : keysAct() ? of.act(event.key, film) : null;
    if (!act) return;
    event.preventDefault();
    act();
  }, { signal: over.signal });
  dialog.addEventListener("close", () => {
    over.abort();
    now = null;
    of.closed();
  }, { once: true });
  dialog.showModal();
}
