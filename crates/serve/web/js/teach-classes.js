// Room for the classes of the data set as places to drop on: films from the disk, which are added to a class one after the
// other, and films of the list, for which its label is then proposed. Added films can be taken away again.

import { Problem, addFilm, removeFilm } from "./api.js";
import { $, el, name, scroller } from "./dom.js";
import { chosen, dropped, hasFiles, sift } from "./intake.js";
import { inTurn, propose } from "./teach-proposals.js";
import { plain, why } from "./teach-said.js";
import { parts, t } from "./texts.js";
import { forget } from "./thumbs.js";
import { warning } from "./viewer.js";

/** What the data of a drag is called that is a film of the list. */
const KIND = "application/x-lungfish-film";

let page = null;
let classes = null;
/** The film of the list that is dragged. */
let dragged = null;
const queue = [];
let works = null;
/** What became of those that were dropped since the last time that nothing was waiting. */
let tally = none();

function none() {
  return { none: false, of: 0, done: 0, hidden: 0, left: 0, added: new Map(), refused: [], stop: null };
}

/** `added(film)` hears of each film that is added, `through()` of the end of a queue, `list()` lists those that were added. */
export function startClasses(of) {
  page = of;
  for (const event of ["dragenter", "dragover"]) document.addEventListener(event, sticks);
  // A film that misses its class by a little must not be taken for one to look at.
  document.addEventListener("drop", event => {
    if ($("panel-teach").hidden || !hasFiles(event) || event.defaultPrevented) return;
    event.preventDefault();
    $("adding-state").textContent = t("drop_on_class");
  });
}

/** What goes into the view, before it is drawn. */
export const classesFrame = () => [
  el("h4", { id: "classes-title" }, t("add_films")),
  el("p", {}, t("add_how")),
  el("ul", { id: "classes", class: "zones", "aria-labelledby": "classes-title" }),
  el("p", { id: "adding-state", role: "status" }),
  el("div", { class: "row", id: "adding" },
    el("progress", { id: "adding-bar", max: 1, value: 0, hidden: true, "aria-label": t("adding_bar") }),
    el("button", { type: "button", id: "adding-stop", hidden: true, onclick: stop }, t("stop")),
    el("button", { type: "button", class: "link", id: "adding-list", hidden: true, onclick: () => page.list() }, t("list_added"))),
  el("div", { id: "refused" }),
];

/** The classes of the data set; they are drawn where they are others than before. */
export function useClasses(now) {
  if (JSON.stringify(now) === JSON.stringify(classes)) return;
  classes = now;
  drawClasses();
}

export function drawClasses() {
  $("classes").replaceChildren(...(classes ?? []).map(zone));
  spoken = null;
  drawAdding();
  drawRefused();
}

function zone(class_) {
  const input = el("input", { type: "file", multiple: true, hidden: true, tabindex: -1, "aria-hidden": "true", onchange: () => add(class_, chosen(input)) });
  const item = el("li", { class: "zone" },
    el("strong", {}, name(class_)),
    el("span", { class: "quiet for-files" }, t("drop_films")), el("span", { class: "quiet for-card" }, t("drop_card")),
    el("button", { type: "button", onclick: () => input.click() }, t("choose_films"), el("span", { class: "hidden" }, " (", name(class_), ")")), input);
  const takes = event => hasFiles(event) || (dragged && event.dataTransfer.types.includes(KIND));
  const over = now => item.classList.toggle("over", now);
  item.addEventListener("dragenter", event => { if (takes(event)) over(true); });
  item.addEventListener("dragleave", event => { if (!item.contains(event.relatedTarget)) over(false); });
  item.addEventListener("dragover", event => {
    if (!takes(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = hasFiles(event) ? "copy" : "move";
  });
  item.addEventListener("drop", async event => {
    over(false);
    if (!takes(event)) return;
    event.preventDefault();
    if (hasFiles(event)) add(class_, await dropped(event.dataTransfer));
    else propose(dragged, class_);
  });
  return item;
}

/** A film of the list can be dragged onto a class. */
export function drags(item, film) {
  item.draggable = true;
  item.addEventListener("dragstart", event => {
    dragged = film;
    event.dataTransfer.setData(KIND, String(film.index));
    event.dataTransfer.effectAllowed = "move";
  });
  item.addEventListener("dragend", () => {
    dragged = null;
    sticking(false);
  });
}

let unstick = null;
/** For as long as something is dragged, the classes stay in sight. */
function sticks(event) {
  if ($("panel-teach").hidden || !(dragged || hasFiles(event))) return;
  sticking(true);
  // A drag that leaves the window ends without a word: while it goes on, it is heard of several times a second.
  clearTimeout(unstick);
  unstick = setTimeout(sticking, 800, false);
}

function sticking(now) {
  $("classes").classList.toggle("stick", now);
  $("classes").classList.toggle("card", now && Boolean(dragged));
}

// Films that are added.

function add(class_, entries) {
  if (!works) tally = none();
  const [seen, hidden] = sift(entries);
  tally.of += seen.length;
  tally.hidden += hidden;
  tally.none = !entries.length;
  queue.push(...seen.map(({ path, file }) => ({ class_, path, file })));
  if (!works && queue.length) work();
  else drawAdding();
}

async function work() {
  drawRefused();
  while (queue.length) {
    const { class_, path, file } = works = queue.shift();
    drawAdding();
    try {
      page.added(await addFilm(class_, file.name, file));
      tally.added.set(class_, (tally.added.get(class_) ?? 0) + 1);
    } catch (problem) {
      if (!(problem instanceof Problem)) console.error(problem);
      if (problem.status === 401) {
        // None of the others would be taken either.
        tally.stop = problem;
        halt(1);
      } else {
        tally.refused.push({ path, problem });
        drawRefused();
      }
    }
    tally.done += 1;
  }
  works = null;
  const focused = document.activeElement === $("adding-stop");
  drawAdding();
  if (focused) ($("adding-list").hidden ? $("classes").querySelector("button") : $("adding-list")).focus();
  if (tally.added.size) page.through();
}

function halt(also = 0) {
  tally.left += queue.length + also;
  queue.length = 0;
}

/** The one that is being sent comes to its end; the others are not sent. */
function stop() {
  halt();
  drawAdding();
}

let spoken = null;
function drawAdding() {
  const { of, done, added } = tally;
  const told = state();
  const text = plain(told);
  // A reader of the screen hears of every tenth film, not of each.
  $("adding-state").setAttribute("aria-live", works && of > 10 && done % Math.ceil(of / 10) !== 0 ? "off" : "polite");
  if (text !== spoken) $("adding-state").replaceChildren(...told);
  spoken = text;
  $("adding-bar").hidden = !works || of < 2;
  $("adding-bar").value = of ? done / of : 0;
  $("adding-stop").hidden = !works || of < 2;
  $("adding-list").hidden = Boolean(works) || !added.size;
  $("adding").hidden = ![...$("adding").children].some(part => !part.hidden);
}

function state() {
  const { of, done, hidden, left, added, refused, stop } = tally;
  if (!of && !hidden) return tally.none ? [t("no_films")] : [];
  if (works) return parts("adding", { n: of, done, name: name(works.class_) });
  const told = [
    !of && [t("only_hidden", { n: hidden })],
    ...[...added].map(([class_, n]) => parts("added_to", { n, name: name(class_) })),
    refused.length && [t("were_refused", { n: refused.length })],
    of && hidden && [t("hidden", { n: hidden })],
    left && [t("not_sent", { n: left })],
    stop && [why(stop)],
  ].filter(Boolean);
  return told.flatMap((part, at) => (at ? [" ", ...part] : part));
}

/** Those that the server did not take, and why. */
function drawRefused() {
  const { refused } = tally;
  if (!refused.length) return $("refused").replaceChildren();
  const away = () => {
    tally.refused = [];
    drawRefused();
    drawAdding();
    $("classes").querySelector("button").focus();
  };
  const title = t("refused", { n: refused.length });
  $("refused").replaceChildren(el("div", { class: "caveats" },
    el("div", { class: "row spread" }, el("h5", {}, warning(), title), el("button", { type: "button", class: "link", onclick: away }, t("close"))),
    scroller(title, el("ul", {}, refused.map(({ path, problem }) => el("li", {}, name(path), ": ", reason(problem)))))));
}

function reason(problem) {
  const key = { 409: "refused_known", 413: "refused_large", 422: "refused_unreadable" }[problem.status];
  return el("span", {}, key ? `${t(key)} ` : "", el("span", { class: key ? "quiet" : null }, why(problem)));
}

/** Takes an added film away again, after all that was proposed for it was sent. Throws a Problem if that fails. */
export function takeAway(film) {
  return new Promise((done, failed) => {
    inTurn(async () => {
      try {
        done(await removeFilm(film.index));
        // The next film of that number is another one.
        forget(key => key.startsWith("data ") && Number(key.split(" ")[1]) >= film.index);
      } catch (problem) {
        failed(problem);
      }
    });
  });
}
