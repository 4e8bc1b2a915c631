// Room for teaching: films whose label is in doubt get a proposal, and a head is trained anew with it. Films and their folders
// are never touched.

import { Problem, ask, image, json, server } from "./api.js";
import { curves } from "./curves.js";
import { $, el, english, name, save, scroller, sentence, shown } from "./dom.js";
import { keysAct, keysOf } from "./keys.js";
import { stream } from "./stream.js";
import { said } from "./table.js";
import { number, parts, signed, t, words } from "./texts.js";
import { picture } from "./thumbs.js";
import { warning } from "./viewer.js";

/** The keys of the classes, in their order. Those of leaving out and of taking back are none of them. */
const LETTERS = "abcdefghijklmnopqrstuvw";
const OUT = "x";
const BACK = "z";
const byNarrow = matchMedia("(max-width: 40rem)");

let page = null;
let visible = false;

/** `known(name)`, `reload()` and `choose(name)` are of the models of the page. */
export function start(of) {
  page = of;
  frame();
  words.addEventListener("change", frame);
  server.addEventListener("back", () => { if (visible) load(offset); });
  addEventListener("resize", soon);
  keysOf("teach", new Proxy({}, { get: (_, key) => actOf(key, focusedFilm()) }));
}

/** Which head is trained anew the server knows. */
export function useModel() {
  soon();
}

export function inSight(now) {
  visible = now;
  if (!now) {
    // A training is listened to even where nobody looks: its model is for the whole page.
    if (!isRunning()) talk?.abort(new DOMException("stopped", "AbortError"));
    if (!isRunning()) talk = null;
    return;
  }
  if (!data) load(0);
  listen();
  soon();
}

/** What a deed came to, in a sentence: without the token nothing can be changed. */
const why = problem => (problem.status === 401 ? t("teach_token") : problem.key ? said(problem) : whole(said(problem)));

/** What the server says, which is a clause or a sentence. */
const whole = text => sentence(text.replace(/\.$/, ""));

function frame() {
  if ($("large").open) $("large").close();
  const focused = document.activeElement?.id;
  const epochs = $("epochs")?.value ?? "10";
  $("teach").replaceChildren(
    el("section", { "aria-labelledby": "data-title" },
      el("div", { class: "row spread" },
        el("h3", { id: "data-title", class: "lead" }),
        el("button", { type: "button", onclick: () => { $("retrain-title").scrollIntoView({ block: "start" }); $("epochs").focus({ preventScroll: true }); } }, t("to_retrain"))),
      el("p", { class: "note" }, el("span", {}, t("never_touched"))),
      el("div", { class: "row", id: "data-tools" }),
      el("p", { id: "data-alert", class: "alert", role: "alert", hidden: true }),
      el("p", { id: "data-keys", class: "quiet" }),
      el("p", { id: "data-state", role: "status", class: "quiet" }),
      el("ul", { id: "data", class: "thumbs", "aria-labelledby": "data-title", onkeydown: walk }),
      el("div", { class: "row", id: "data-pages" })),
    el("section", { class: "retrain", "aria-labelledby": "retrain-title" },
      el("h3", { id: "retrain-title" }, t("retrain")),
      el("p", {}, t("retrain_how")),
      el("p", { class: "note" }, warning(), el("span", {}, t("retrain_caution"))),
      el("form", { class: "row", novalidate: true, onsubmit: event => { event.preventDefault(); begin(); } },
        el("label", {}, `${t("retrain_epochs")} `, el("input", { type: "number", id: "epochs", min: 1, max: 100, step: 1, value: epochs })),
        el("button", { id: "retrain", class: "strong" }, t("retrain")),
        el("button", { type: "button", id: "retrain-stop", hidden: true, onclick: end }, t("stop"))),
      el("p", { id: "retrain-alert", class: "alert", role: "alert", hidden: true }),
      el("p", { id: "retrain-state", role: "status" }),
      el("progress", { id: "retrain-bar", max: 1, value: 0, hidden: true, "aria-label": t("retrain_bar") }),
      el("p", { id: "retrain-task", class: "quiet", hidden: true }),
      el("div", { id: "retrain-result" }),
      el("div", { id: "retrain-curves" })));
  above.disconnect();
  above.observe($("data-alert"));
  [spoken, resultNow] = ["", ""];
  films();
  draw();
  if (focused) $(focused)?.focus();
}

/** Says what went wrong until the next deed goes well, or somebody closes it. */
function alert(id, content) {
  const away = () => {
    alert(id, null);
    if (id === "data-alert") rove(current, true);
    else ($("retrain").hidden ? $("retrain-stop") : $("retrain")).focus();
  };
  $(id).replaceChildren(...(content ? [warning(), el("span", {}, content), el("button", { type: "button", class: "link", onclick: away }, t("close"))] : []));
  $(id).hidden = !content;
}

/** What went wrong with a film stays in sight, and what has the focus must not lie under it. */
const above = new ResizeObserver(([{ target }]) => document.documentElement.style.setProperty("--above", `${target.offsetHeight}px`));

// The films.

let data = null;
let offset = 0;
let filter = { class: "", only: "" };
let asked = new AbortController();
/** Pictures of films that went out of sight are not asked for any more. */
let seen = new AbortController();
let current = 0;

const limit = () => (byNarrow.matches ? 24 : 48);

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
    if (from > 0 && !found.items.length) return await load(0, focus);
    found.items = found.items.map(film => pending.get(film.index) ?? film);
    [data, offset] = [found, from];
    current = 0;
    alert("data-alert", null);
    films(focus);
    return true;
  } catch (error) {
    if (signal.aborted) return false;
    if (!(error instanceof Problem)) console.error(error);
    $("data-state").textContent = "";
    alert("data-alert", why(error));
    return false;
  }
}

function films(focus = null) {
  const grid = $("data");
  const held = focus === null && grid.contains(document.activeElement) ? document.activeElement.closest("li").film.index : null;
  seen.abort();
  seen = new AbortController();
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
    ? [...parts("data_title", { n: data.films, name: name(data.name) }), " ", t("corrections", { n: data.corrections })]
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
    const only = el("input", { type: "checkbox", id: "data-only", onchange: () => { filter.only = only.checked ? "corrected" : ""; load(0); } });
    select.value = filter.class;
    only.checked = filter.only !== "";
    box.append(
      el("label", {}, `${t("class")} `, select),
      el("label", { class: "tick-box" }, only, ` ${t("only_corrected")}`),
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

const labelOf = film => (Array.isArray(film.label) ? film.label.join(", ") : String(film.label));
const splitOf = film => (film.split === "train" || film.split === "val" ? t(`split_${film.split}`) : film.split ? shown(film.split) : t("split_none"));
const isCorrected = film => film.proposed !== null && film.proposed !== undefined;

/** A pencil: beside words, never instead of them. */
const pencil = () => el("span", { class: "pencil", "aria-hidden": "true" }, "\u270e");

function proposal(film) {
  if (!isCorrected(film)) return null;
  return film.proposed === "" ? [t("left_out")] : parts("proposed", { label: name(film.proposed) });
}

function facts(film) {
  const proposed = proposal(film);
  return [
    el("span", { class: "name" }, name(film.name ?? film.index)),
    el("span", {}, parts("label_is", { label: name(labelOf(film)) }), el("span", { class: "quiet" }, ` \u00b7 ${splitOf(film)}`)),
    proposed && el("span", { class: "proposed" }, pencil(), " ", el("span", {}, proposed)),
    film.slow && el("span", { class: "quiet" }, t("saving")),
  ].filter(Boolean);
}

const wants = (film, more) => picture({ key: `data ${film.index} ${film.name}`, get: signal => image(`/api/data/films/${film.index}`, { signal }), signal: seen.signal, ...more });

function thumb(film, at) {
  const { box } = wants(film);
  const text = el("span", { class: "facts" }, facts(film));
  const button = el("button", { type: "button", tabindex: -1, "aria-haspopup": "dialog", onclick: () => { rove(at); large(at); } }, box, text);
  const item = el("li", { class: isCorrected(film) ? "corrected" : null }, button);
  Object.assign(item, { film, fill: () => {
    item.classList.toggle("corrected", isCorrected(film));
    text.replaceChildren(...facts(film));
  } });
  return item;
}

/** One of the films is a stop of the Tab key; arrow keys go to the others. */
function rove(to, focus = false) {
  const items = [...$("data").children];
  current = Math.min(Math.max(to, 0), items.length - 1);
  items.forEach((item, at) => { item.firstChild.tabIndex = at === current ? 0 : -1; });
  if (focus) items[current]?.firstChild.focus();
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

/** What a single key does to a film. */
function actOf(key, film) {
  if (!film || !data || typeof key !== "string") return undefined;
  if (key === OUT) return () => propose(film, "");
  if (key === BACK) return () => propose(film, null);
  const at = key.length === 1 ? LETTERS.indexOf(key) : -1;
  return at >= 0 && at < data.classes.length ? () => propose(film, data.classes[at]) : undefined;
}

/** One after the other, so that of two proposals for a film the later one stays. */
let posts = Promise.resolve();
/** Films, by their number, of which the server has yet to hear. */
const pending = new Map();

/** Proposes a label for a film: "" leaves it out, null or its own label takes a correction back. */
function propose(film, label) {
  const wanted = label === labelOf(film) ? null : label;
  const was = isCorrected(film) ? film.proposed : null;
  if (wanted === was) return say(film, wanted === null ? t("nothing_to_take_back") : null);
  film.kept ??= { proposed: was };
  [film.proposed, film.saving] = [wanted, (film.saving ?? 0) + 1];
  pending.set(film.index, film);
  refill(film);
  // Said only where it takes long: a line that comes and goes moves the films below.
  const slow = setTimeout(() => { film.slow = true; refill(film); }, 1000);
  posts = posts.then(async () => {
    try {
      const { corrections } = await json("/api/corrections", {
        method: "POST", body: JSON.stringify({ index: film.index, label: wanted }), headers: { "Content-Type": "application/json" },
      });
      film.kept = { proposed: wanted };
      if (data) data.corrections = corrections;
      alert("data-alert", null);
      title();
      say(film);
    } catch (problem) {
      // What was kept before is what the server has.
      if (film.saving === 1) film.proposed = film.kept.proposed;
      if (!(problem instanceof Problem)) console.error(problem);
      const text = [t("not_saved", { name: shown(film.name) }), " ", why(problem)];
      alert("data-alert", text);
      // What lies under the dialog is not heard.
      if ($("large").open) say(film, text.map(part => part.textContent ?? part).join(""));
    }
    clearTimeout(slow);
    film.saving -= 1;
    if (film.saving === 0) {
      delete film.kept;
      delete film.slow;
      pending.delete(film.index);
    }
    refill(film);
  });
}

function refill(film) {
  for (const item of $("data").children) if (item.film === film) item.fill();
  largeNow?.(film);
}

/** Says what is proposed for a film, in the dialog where it is open. */
function say(film, text = null) {
  const place = $("large").open ? $("large-said") : $("data-state");
  if (!place) return;
  place.textContent = "";
  const told = text ?? [shown(film.name), ": ", isCorrected(film) ? proposal(film).map(part => part.textContent ?? part).join("") : t("taken_back")].join("");
  requestAnimationFrame(() => { place.textContent = told; });
}

async function download() {
  try {
    const answer = await ask("/api/corrections");
    save(await answer.blob(), "corrections.csv", "text/csv;charset=utf-8");
    alert("data-alert", null);
  } catch (problem) {
    alert("data-alert", why(problem));
  }
}

/** Told that a film changed, where one is shown large. */
let largeNow = null;

function large(at) {
  const dialog = $("large");
  const over = new AbortController();
  const head = el("h2", { id: "large-title" });
  const place = el("div", { class: "lesson" });
  const about = el("p", { class: "facts" });
  const choices = el("div", { class: "row", role: "group", "aria-label": t("propose") });
  let film = null;

  const choice = (key, label, pressed, text) => el("button", { type: "button", "aria-keyshortcuts": key, "aria-pressed": pressed === null ? null : String(pressed), onclick: () => propose(film, label) },
    key && el("kbd", { "aria-hidden": "true" }, key), key && " ", ...text);
  const fill = () => {
    about.replaceChildren(...facts(film).slice(1).flatMap(part => [part, " "]));
    const focused = [...choices.children].indexOf(document.activeElement);
    choices.replaceChildren(
      ...data.classes.map((class_, i) => choice(LETTERS[i] ?? null, class_, (isCorrected(film) ? film.proposed : labelOf(film)) === class_,
        class_ === labelOf(film) ? parts("own_label", { label: name(class_) }) : [name(class_)])),
      choice(OUT, "", film.proposed === "", [t("leave_out")]),
      choice(BACK, null, null, [t("take_back")]));
    if (focused >= 0) choices.children[focused]?.focus();
  };
  const show = () => {
    film = $("data").children[current].film;
    head.replaceChildren(name(film.name ?? film.index));
    place.replaceChildren(wants(film, { now: true, alt: t("film_label", { name: shown(film.name ?? film.index) }) }).box);
    fill();
  };
  const step = async by => {
    const [next, count] = [current + by, data.items.length];
    if (next >= 0 && next < count) rove(next);
    else if (!(await turn(by, by > 0 ? 0 : -1))) return void say(film, t(by > 0 ? "last_film" : "first_film"));
    show();
    $("large-said").textContent = `${shown(film.name)}: ${[labelOf(film), proposal(film)?.map(part => part.textContent ?? part).join("")].filter(Boolean).join(" \u00b7 ")}`;
  };

  dialog.replaceChildren(
    el("div", { class: "row spread" }, head, el("button", { type: "button", onclick: () => dialog.close() }, t("close"))),
    place, about, choices,
    el("div", { class: "row" },
      el("button", { type: "button", "aria-keyshortcuts": "ArrowLeft", onclick: () => step(-1) }, t("previous")),
      el("button", { type: "button", "aria-keyshortcuts": "ArrowRight", onclick: () => step(1) }, t("next"))),
    el("p", { id: "large-said", role: "status", class: "quiet" }),
    el("p", { class: "quiet" }, t("never_touched")));
  largeNow = changed => { if (changed === film) fill(); };
  rove(at);
  show();
  dialog.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const act = by ? () => step(by) : keysAct() ? actOf(event.key, film) : null;
    if (!act) return;
    event.preventDefault();
    act();
  }, { signal: over.signal });
  dialog.addEventListener("close", () => {
    over.abort();
    largeNow = null;
    rove(current, true);
  }, { once: true });
  dialog.showModal();
}

// The head that is trained anew.

let talk = null;
let connected = false;
let training = nothing();
let fresh = null;
let lost = false;
let stopping = false;
let problem = null;
let drawn = null;

function nothing() {
  return { state: null, epochs: [], progress: null, done: null, failed: null };
}

/** Listens for as long as somebody looks or something is trained. */
function listen() {
  if (talk) return;
  talk = new AbortController();
  const { signal } = talk;
  stream("/api/teach", {
    query: {},
    signal,
    begun() {
      // The server tells all from the start: what is on the page stays until the first of it is there.
      fresh = nothing();
      [connected, problem] = [true, null];
      soon();
    },
    heard(event, value) {
      if (signal.aborted) return;
      const before = training.state;
      training = fresh;
      if (event === "state") {
        if (value.running && value.name !== training.state?.name) Object.assign(training, nothing());
        // It ended, and unless the next event has a model or a reason nothing came of it.
        lost = !value.running && (lost || Boolean(before?.running));
        if (!value.running) stopping = false;
        training.state = value;
      }
      if (event === "progress") training.progress = value;
      if (event === "epoch") training.epochs.push(value);
      if (event === "done") {
        [training.done, stopping, lost] = [value, false, false];
        learnt(value.model);
      }
      if (event === "failed") [training.failed, stopping, lost] = [value, false, false];
      soon();
    },
    ended() {
      connected = false;
      soon();
    },
  }).catch(error => {
    if (signal.aborted) return;
    problem = error instanceof Problem ? error : new Problem(0, String(error));
    [connected, talk] = [false, null];
    soon();
  });
}

/** The page has the new model, too. */
async function learnt(model) {
  if (!model || page.known(model)) return;
  try {
    await page.reload();
  } catch (error) {
    alert("retrain-alert", why(error));
  }
  soon();
}

const isRunning = () => Boolean(training.state?.running);

async function begin() {
  const epochs = $("epochs").valueAsNumber;
  if (!Number.isInteger(epochs) || epochs < 1 || epochs > 100) {
    $("epochs").setAttribute("aria-invalid", "true");
    $("epochs").setAttribute("aria-describedby", "retrain-alert");
    alert("retrain-alert", t("epochs_wrong"));
    $("epochs").focus();
    return;
  }
  $("epochs").removeAttribute("aria-invalid");
  $("epochs").removeAttribute("aria-describedby");
  alert("retrain-alert", null);
  try {
    const { name: its } = await json("/api/teach", { method: "POST", body: JSON.stringify({ epochs }), headers: { "Content-Type": "application/json" } });
    [lost, stopping] = [false, false];
    if (training.state?.name !== its || !isRunning()) {
      training = fresh = { ...nothing(), state: { running: true, name: its } };
    }
    draw();
    $("retrain-stop").focus();
  } catch (error) {
    alert("retrain-alert", why(error));
  }
  listen();
}

async function end() {
  stopping = true;
  alert("retrain-alert", null);
  soon();
  try {
    await ask("/api/teach", { method: "DELETE" });
  } catch (error) {
    stopping = false;
    alert("retrain-alert", why(error));
    soon();
  }
}

/** Many events that come at once are drawn once. */
function soon() {
  drawn ??= setTimeout(() => {
    drawn = null;
    draw();
  }, 60);
}

let spoken = "";
let resultNow = "";
function draw() {
  if (!$("retrain-state")) return;
  const running = isRunning();
  const focused = document.activeElement;
  $("retrain").hidden = running;
  $("retrain-stop").hidden = !running;
  if (focused === $("retrain-stop") && !running) $("retrain").focus();
  const told = state();
  const text = told.map(part => part.textContent ?? part).join("");
  if (text !== spoken) $("retrain-state").replaceChildren(...told);
  spoken = text;
  const { progress } = training;
  const shows = running && progress;
  $("retrain-bar").hidden = !shows;
  $("retrain-task").hidden = !shows;
  if (shows) {
    if (progress.total > 0) $("retrain-bar").value = Math.min(progress.done / progress.total, 1);
    else $("retrain-bar").removeAttribute("value");
    $("retrain-task").replaceChildren(english(progress.task), progress.total > 0 ? `: ${t("part_of", { part: progress.done, all: progress.total })}` : "");
  }
  curves($("retrain-curves"), training.epochs);
  result();
}

function state() {
  if (problem) return [why(problem)];
  const { state: now, epochs, done, failed } = training;
  const its = now?.name ?? done?.name;
  const sentences = [];
  if (!now) sentences.push(t("retrain_waits"));
  else if (now.running) {
    sentences.push(parts("retrain_running", { name: name(its ?? "") }), t("epochs_over", { n: epochs.length }));
    if (stopping) sentences.push(t("retrain_stopping"));
  } else if (failed) sentences.push([t("retrain_failed"), " ", whole(failed.detail)]);
  else if (done) sentences.push(parts("retrain_done", { name: name(done.model ?? done.name), n: epochs.length }));
  else sentences.push(t(lost ? "retrain_lost" : "retrain_never"));
  if (!connected && now?.running) sentences.push(t("watch_cut"));
  return sentences.flatMap((part, at) => (at ? [" ", part] : [part])).flat();
}

function result() {
  const { done } = training;
  const place = $("retrain-result");
  const there = done?.model && page.known(done.model);
  const now = done && !isRunning() ? JSON.stringify([document.documentElement.lang, done, there]) : "";
  if (now === resultNow) return;
  resultNow = now;
  if (!now) return place.replaceChildren();
  const { comparison } = done;
  const use = there && el("button", { type: "button", onclick: () => {
    page.choose(done.model);
    chosen.textContent = "";
    requestAnimationFrame(() => chosen.replaceChildren(...parts("model_used", { name: name(done.model) })));
  } }, parts("use_model", { name: name(done.model) }));
  const chosen = el("span", { role: "status" });
  place.replaceChildren(...[
    use && el("div", { class: "row" }, use, chosen),
    ...(comparison ? compared(comparison) : [el("p", { class: "note" }, el("span", {}, t("no_comparison")))]),
  ].filter(Boolean));
}

/** Three places, or as many as it takes to see that something is not zero. */
const fine = (value, write) => write(value, value && Math.abs(value) < 0.0005 ? 5 : 3);

function cell(of, write = number) {
  if (!of || !Number.isFinite(of.value)) return el("td", { class: "number" }, t("none"));
  const [low, high] = of.interval ?? [];
  return el("td", { class: "number" }, fine(of.value, write),
    of.interval && el("span", { class: "quiet explain" }, t("to", { low: fine(low, write), high: fine(high, write) })));
}

function compared({ films, split, measures, changed }) {
  const told = measures.map(({ name: of, difference }) => {
    const what = english(of);
    if (!difference?.interval) return parts("difference_unknown", { name: what });
    const [low, high] = difference.interval;
    return parts(low > 0 ? "difference_up" : high < 0 ? "difference_down" : "difference_none", { name: what });
  });
  return [
    el("h4", {}, t("compared", { n: films, split: split === "val" || split === "train" ? t(`split_${split}`) : shown(split) })),
    scroller(t("compared_table"), el("table", { class: "measures" },
      el("caption", { class: "hidden" }, t("compared_table")),
      el("thead", {}, el("tr", {}, ["measure", "before", "after", "difference"].map(key => el("th", { scope: "col", class: key === "measure" ? null : "number" },
        t(key), measures.some(of => of[key]?.interval) && el("span", { class: "quiet explain" }, t("interval")))))),
      el("tbody", {}, measures.map(({ name: of, before, after, difference }) => el("tr", {}, el("th", { scope: "row" }, english(of)), cell(before), cell(after), cell(difference, signed)))))),
    el("ul", {}, told.map(text => el("li", {}, text))),
    Number.isFinite(changed) && el("p", {}, t("changed", { n: changed, films })),
  ].filter(Boolean);
}
