// Room for the view to teach: films whose label is in doubt get a proposal, others are added, and a head is trained anew with
// them. Films of the data set and their folders are never touched.

import { server } from "./api.js";
import { $, el } from "./dom.js";
import { classesFrame, drawClasses, startClasses, useClasses } from "./teach-classes.js";
import { again, drawFilms, filmsFrame, grown, loadFirst, onlyAdded, refresh, startFilms } from "./teach-films.js";
import { drawTraining, leaveTraining, listen, soonTraining, startTraining, trainingFrame } from "./teach-training.js";
import { t, words } from "./texts.js";

let visible = false;

/** `models()`, `known(name)`, `reload()` and `choose(name)` are of the models of the page. */
export function start(of) {
  startFilms({ loaded: useClasses });
  startClasses({ added: grown, through: refresh, list: onlyAdded });
  startTraining(of);
  frame();
  words.addEventListener("change", frame);
  server.addEventListener("back", () => { if (visible) again(); });
}

/** Which head is trained anew the server knows. */
export function useModel() {
  soonTraining();
}

export function inSight(now) {
  visible = now;
  if (!now) return leaveTraining();
  loadFirst();
  listen();
  soonTraining();
}

function frame() {
  if ($("large").open) $("large").close();
  const focused = document.activeElement?.id;
  $("teach").replaceChildren(
    el("section", { "aria-labelledby": "data-title" },
      el("div", { class: "row spread" },
        el("h3", { id: "data-title", class: "lead" }),
        el("button", { type: "button", onclick: toTraining }, t("to_retrain"))),
      el("p", { class: "note" }, el("span", {}, t("never_touched"))),
      ...classesFrame(), ...filmsFrame()),
    trainingFrame());
  drawClasses();
  drawFilms();
  drawTraining();
  if (focused) $(focused)?.focus();
}

function toTraining() {
  $("retrain-title").scrollIntoView({ block: "start" });
  $("epochs").focus({ preventScroll: true });
}
