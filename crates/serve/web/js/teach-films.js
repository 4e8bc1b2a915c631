// Room for the films to teach with: which of them are in sight, page by page, and what keys and clicks do to them.

import { Problem, ask, dataFilm, json } from "./api.js";
import { $, el, name, save, shown } from "./dom.js";
import { keysOf } from "./keys.js";
import { drags, takeAway } from "./teach-classes.js";
import { changedLarge, showLarge } from "./teach-large.js";
import { asProposed, facts, inWords, isCorrected, propose, startProposals } from "./teach-proposals.js";
import { alert, plain, why } from "./teach-said.js";
import { parts, t } from "./texts.js";
import { picture } from "./thumbs.js";

/** The keys of the classes, in their order. Those of leaving out and of taking back are none of them. */
const LETTERS = "abcdefghijklmnopqrstuvw";
const OUT = "x";
const BACK = "z";
const byNarrow = matchMedia("(max-width: 40rem)");

let page = null;
let data = null;
let offset = 0;
let filter = { class: "", only: "" };
let asked = new AbortController();
/** Pictures of films that went out of sight are not asked for any more. */
let seen = new AbortController();
let current = 0;

/** `loaded(classes)` hears of the classes of the data set. */
export function startFilms(of) {
  page = of;
  startProposals({
    changed,
    say,
    counted(n) {
      if (data) data.corrections = n;
      title();
    },
    failed(text, film) {
      alert("data-alert", text, back);
      // What lies under the dialog is not heard.
      if ($("large").open) say(film, plain(text));
    },
  });
  keysOf("teach", new Proxy({}, { get: (_, key) => actOf(key, focusedFilm()) }));
}

/** What goes into the view, before it is drawn. */
export const filmsFrame = () => [
  el("div", { class: "row", id: "data-tools" }),
  el("p", { id: "data-alert", class: "alert", role: "alert", hidden: true }),
  el("p", { id: "data-keys", class: "quiet" }),
  el("p", { id: "data-state", role: "status", class: "quiet" }),
  el("ul", { id: "data", class: "thumbs", "aria-labelledby": "data-title", onkeydown: walk }),
  el("div", { class: "row", id: "data-pages" }),
];

/** What went wrong with a film stays in sight, and what has the focus must not lie under it. */
const above = new ResizeObserver(([{ target }]) => document.documentElement.style.setProperty("--above", `${target.offsetHeight}px`));

const limit = () => (byNarrow.matches ? 24 : 48);
const back = () => rove(current, true);

/** Asks for the films in sight, as they are now. */
export const again = () => load(offset);

/** Asks for them where nobody has. */
export const loadFirst = () => { if (!data) load(0); };

/** Lists those alone that were added. */
export function onlyAdded() {
  Object.assign(filter, { class: "", only: "added" });
  [$("data-class").value, $("data-only").value] = ["", "added"];
  $("data-only").focus();
  load(0);
}

/** A film was added. */
export function grown() {
  if (!data) return;
  data.films += 1;
  data.added = (data.added ?? 0) + 1;
  title();
}

/** Films were added: the list is asked for again, unless one of it is being looked at. */
export function refresh() {
  const { open } = $("large");
  if (open) $("large").addEventListener("close", again, { once: true });
  else again();
}

/** Asks for the films from one on. `focus` is the place among them that has the focus afterwards. */
async function load(from, focus = null) {
  asked.abort(new DOMException("stopped", "AbortError"));
  asked = new AbortController();
  const { signal } = asked;
  if (!data) $("data-state").textContent = t("reading_data");
  try {
    const query = { offset: from, limit: limit(), class: filter.class || null, only: filter.only || null };
    const found = await json("/api/data", { query, signal });
    if (signal.aborted) return false;
    if (from > 0 && !found.items.length) return await load(Math.max(0, from - limit()), focus);
    found.items = found.items.map(asProposed);
    [data, offset] = [found, from];
    current = 0;
    alert("data-alert", null);
    drawFilms(focus);
    page.loaded(data.classes);
    return true;
  } catch (error) {
    if (signal.aborted) return false;
    if (!(error instanceof Problem)) console.error(error);
    $("data-state").textContent = "";
    alert("data-alert", why(error), back);
    return false;
  }
}

/** Draws them; `focus` as in `load`. */
export function drawFilms(focus = null) {
  const grid = $("data");
  const held = focus === null && grid.contains(document.activeElement) ? document.activeElement.closest("li").film.index : null;
  seen.abort();
  seen = new AbortController();
  above.disconnect();
  above.observe($("data-alert"));
  title();
  tools();
  pages();
  $("data-keys").hidden = !data;
  $("data-state").textContent = data ? (data.items.length ? "" : t("no_film_fits")) : t("reading_data");
  if (!data) return;
  keyLine();
  grid.replaceChildren(...data.items.map(thumb));
  if (held !== null) current = Math.max(0, data.items.findIndex(film => film.index === held));
  if (focus !== null) current = Math.min(focus < 0 ? data.items.length - 1 : focus, data.items.length - 1);
  rove(current, focus !== null || held !== null);
}

function title() {
  $("data-title").replaceChildren(...(data
    ? [...parts("data_title", { n: data.films, name: name(data.name) }), data.added ? ` ${t("added_count", { n: data.added })}` : "", " ", t("corrections", { n: data.corrections })]
    : [t("tab_teach")]));
}

function keyLine() {
  const key = (letter, ...text) => el("span", { class: "pair" }, el("kbd", {}, letter), " ", ...text);
  $("data-keys").replaceChildren(...[
    t("data_keys"),
    ...data.classes.slice(0, LETTERS.length).map((class_, at) => key(LETTERS[at], name(class_))),
    key(OUT, t("leave_out")), key(BACK, t("take_back")),
  ].flatMap(part => [part, " "]));
}

function tools() {
  const box = $("data-tools");
  if (!data) return box.replaceChildren();
  if (!box.hasChildNodes()) {
    const select = el("select", { id: "data-class", onchange: () => { filter.class = select.value; load(0); } },
      el("option", { value: "" }, t("all_classes")), data.classes.map(class_ => el("option", { value: class_ }, shown(class_))));
    const only = el("select", { id: "data-only", onchange: () => { filter.only = only.value; load(0); } },
      Object.entries({ "": "all_classes", corrected: "only_corrected", added: "only_added" }).map(([value, key]) => el("option", { value }, t(key))));
    select.value = filter.class;
    only.value = filter.only;
    box.append(
      el("label", {}, `${t("class")} `, select),
      el("label", {}, `${t("listed")} `, only),
      el("button", { type: "button", class: "link", id: "corrections", onclick: download }, t("save_corrections")));
  }
}

function pages() {
  const box = $("data-pages");
  const focused = box.contains(document.activeElement) ? document.activeElement.id : null;
  if (!data?.items.length) {
    box.replaceChildren();
    if (focused) $("data-class")?.focus();
    return;
  }
  const [first, last] = [offset + 1, offset + data.items.length];
  const at = { back: offset > 0, on: last < data.found };
  box.replaceChildren(
    el("button", { type: "button", id: "page-back", disabled: !at.back, onclick: () => turn(-1) }, t("page_back")),
    el("span", { role: "status" }, t("page_of", { n: data.found, first, last })),
    el("button", { type: "button", id: "page-on", disabled: !at.on, onclick: () => turn(1) }, t("page_on")));
  if (focused) $(focused === "page-on" ? (at.on ? "page-on" : "page-back") : at.back ? "page-back" : "page-on").focus({ preventScroll: true });
}

/** Turns a page; gives whether there was one. `focus` as in `load`. */
async function turn(by, focus = null) {
  const from = offset + by * limit();
  if (by > 0 ? offset + data.items.length >= data.found : offset === 0) return false;
  const done = await load(Math.max(0, from), focus);
  if (done && focus === null) $("data-title").scrollIntoView({ block: "start" });
  return done;
}

const wants = (film, more) => picture({ key: `data ${film.index} ${film.name}`, get: signal => dataFilm(film.index, signal), signal: seen.signal, ...more });

function thumb(film, at) {
  const { box } = wants(film);
  const text = el("span", { class: "facts" }, facts(film));
  const button = el("button", { type: "button", tabindex: -1, "aria-haspopup": "dialog", onclick: () => { rove(at); large(at); } }, box, text);
  const item = el("li", { class: isCorrected(film) ? "corrected" : null }, button,
    film.added && el("button", { type: "button", class: "away", tabindex: -1, onclick: () => take(film) }, t("take_away"), el("span", { class: "hidden" }, " (", name(film.name), ")")));
  drags(item, film);
  Object.assign(item, { film, fill: () => {
    item.classList.toggle("corrected", isCorrected(film));
    text.replaceChildren(...facts(film));
  } });
  return item;
}

/** One of the films is a stop of the Tab key, with the button that takes it away if it has one; arrow keys go to the others. */
function rove(to, focus = false) {
  const items = [...$("data").children];
  current = Math.min(Math.max(to, 0), items.length - 1);
  items.forEach((item, at) => { for (const button of item.children) button.tabIndex = at === current ? 0 : -1; });
  if (focus) (items[current]?.firstChild ?? $("data-only"))?.focus();
}

function walk(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const items = [...event.currentTarget.children];
  const at = items.indexOf(event.target.closest("li"));
  if (at < 0) return;
  const across = items.findIndex(item => item.offsetTop > items[0].offsetTop);
  const row = across < 0 ? items.length : across;
  const to = {
    ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: items.length - 1,
    ArrowDown: at + row < items.length ? at + row : at, ArrowUp: at - row >= 0 ? at - row : at,
  }[event.key];
  if (event.key === "PageDown" || event.key === "PageUp") {
    event.preventDefault();
    turn(event.key === "PageDown" ? 1 : -1, 0);
  }
  if (to === undefined) return;
  event.preventDefault();
  rove(to, true);
}

const focusedFilm = () => document.activeElement?.closest?.("#data li")?.film ?? null;

/** What a single key does to a film. An added film is not taken away by one: no key would bring it back. */
function actOf(key, film) {
  if (!film || !data || typeof key !== "string") return undefined;
  if (key === OUT) return () => (film.added ? say(film, t("added_not_out")) : propose(film, ""));
  if (key === BACK) return () => propose(film, null);
  const at = key.length === 1 ? LETTERS.indexOf(key) : -1;
  return at >= 0 && at < data.classes.length ? () => propose(film, data.classes[at]) : undefined;
}

/** Takes an added film away; the focus goes to the one in its place. */
async function take(film) {
  const at = [...$("data").children].findIndex(item => item.film === film);
  try {
    await takeAway(film);
    await load(offset, Math.max(at, 0));
    say(film, t("taken_away", { name: shown(film.name) }));
  } catch (problem) {
    // Somebody else may have taken it away.
    if (problem.status === 404) await load(offset, Math.max(at, 0));
    alert("data-alert", [t("not_taken_away", { name: shown(film.name) }), " ", why(problem)], back);
  }
}

function changed(film) {
  for (const item of $("data").children) if (item.film === film) item.fill();
  changedLarge(film);
}

/** Says what became of a film, in the dialog where it is open; unless told, what is proposed for it. */
function say(film, text) {
  const place = $("large").open ? $("large-said") : $("data-state");
  if (!place) return;
  place.textContent = "";
  requestAnimationFrame(() => { place.textContent = text ?? inWords(film); });
}

async function download() {
  try {
    const answer = await ask("/api/corrections");
    save(await answer.blob(), "corrections.csv", "text/csv;charset=utf-8");
    alert("data-alert", null);
  } catch (problem) {
    alert("data-alert", why(problem), back);
  }
}

function large(at) {
  rove(at);
  showLarge({
    classes: data.classes,
    keys: { classes: LETTERS, out: OUT, back: BACK },
    film: () => $("data").children[current].film,
    async step(by) {
      const next = current + by;
      if (next < 0 || next >= data.items.length) return turn(by, by > 0 ? 0 : -1);
      rove(next);
      return true;
    },
    wants, act: actOf, say, take, closed: back,
  });
}
