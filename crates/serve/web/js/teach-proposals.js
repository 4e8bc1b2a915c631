// Room for what is proposed for the films to teach with: another label, or that a film is left out. What is proposed is sent
// one after the other, and a film that is not kept as it is shown goes back to what the server has.

import { Problem, json } from "./api.js";
import { el, name, shown } from "./dom.js";
import { alert, plain, why } from "./teach-said.js";
import { parts, t } from "./texts.js";

let page = null;

/**
 * `changed(film)` draws a film anew, `counted(n)` hears how many corrections there are, `say(film, text)` says what became of a
 * film, `failed(text, film)` that nothing did.
 */
export function startProposals(of) {
  page = of;
}

export const labelOf = film => (Array.isArray(film.label) ? film.label.join(", ") : String(film.label));
const splitOf = film => (film.split === "train" || film.split === "val" ? t(`split_${film.split}`) : film.split ? shown(film.split) : film.added ? null : t("split_none"));
export const isCorrected = film => film.proposed !== null && film.proposed !== undefined;

/** A pencil: beside words, never instead of them. */
const pencil = () => el("span", { class: "pencil", "aria-hidden": "true" }, "\u270e");

export function proposal(film) {
  if (!isCorrected(film)) return null;
  return film.proposed === "" ? [t("left_out")] : parts("proposed", { label: name(film.proposed) });
}

/** What is known of a film, below its picture. */
export function facts(film) {
  const proposed = proposal(film);
  const more = [splitOf(film), film.added ? t("added_here") : null].filter(Boolean).join(" \u00b7 ");
  return [
    el("span", { class: "name" }, name(film.name ?? film.index)),
    el("span", {}, parts("label_is", { label: name(labelOf(film)) }), el("span", { class: "quiet" }, ` \u00b7 ${more}`)),
    proposed && el("span", { class: "proposed" }, pencil(), " ", el("span", {}, proposed)),
    film.slow && el("span", { class: "quiet" }, t("saving")),
  ].filter(Boolean);
}

/** One after the other, so that of two proposals for a film the later one stays. */
let deeds = Promise.resolve();
export const inTurn = act => { deeds = deeds.then(act); };

/** Films, by their number, of which the server has yet to hear. */
const pending = new Map();

/** A film of the list as it is here, where the server has yet to hear of it. */
export const asProposed = film => pending.get(film.index) ?? film;

/** Proposes a label for a film: "" leaves it out, null or its own label takes a correction back. */
export function propose(film, label) {
  const wanted = label === labelOf(film) ? null : label;
  const was = isCorrected(film) ? film.proposed : null;
  if (wanted === was) return page.say(film, wanted === null ? t("nothing_to_take_back") : null);
  film.kept ??= { proposed: was };
  [film.proposed, film.saving] = [wanted, (film.saving ?? 0) + 1];
  pending.set(film.index, film);
  page.changed(film);
  // Said only where it takes long: a line that comes and goes moves the films below.
  const slow = setTimeout(() => { film.slow = true; page.changed(film); }, 1000);
  inTurn(async () => {
    try {
      const { corrections } = await json("/api/corrections", {
        method: "POST", body: JSON.stringify({ index: film.index, label: wanted }), headers: { "Content-Type": "application/json" },
      });
      film.kept = { proposed: wanted };
      alert("data-alert", null);
      page.counted(corrections);
      page.say(film, null);
    } catch (problem) {
      // What was kept before is what the server has.
      if (film.saving === 1) film.proposed = film.kept.proposed;
      if (!(problem instanceof Problem)) console.error(problem);
      page.failed([t("not_saved", { name: shown(film.name) }), " ", why(problem)], film);
    }
    clearTimeout(slow);
    film.saving -= 1;
    if (film.saving === 0) {
      delete film.kept;
      delete film.slow;
      pending.delete(film.index);
    }
    page.changed(film);
  });
}

/** What is proposed for a film now, in a sentence. */
export const inWords = film => `${shown(film.name)}: ${isCorrected(film) ? plain(proposal(film)) : t("taken_back")}`;
