// Room for the page as a whole: its tabs, the choice of models, and what it says when the server is away.

import { health, models as askModels, rest, server, takeToken } from "./api.js";
import { $, el, shown } from "./dom.js";
import { showKeys, startKeys } from "./keys.js";
import { lookWith, startLook } from "./look.js";
import { said } from "./table.js";
import { startTexts, t, words } from "./texts.js";

const VIEWS = ["look", "test", "watch", "teach"];
/** The views that are loaded when somebody opens them. */
const LATER = { test: () => import("./test.js"), watch: () => import("./watch.js"), teach: () => import("./teach.js") };
const rooms = {};
/** Those that this server has: to teach it needs films. */
const views = () => VIEWS.filter(of => !$(`tab-${of}`).hidden);
let models = [];
/** The trainings that are watched: each has a name, and that of its model as soon as there is one. */
let runs = [];
let version = null;
let view = "look";
/** Between two questions for models where there is none. */
const LATER_ON = 10_000;
let later = null;

function open(which, focus = false) {
  view = which;
  for (const of of VIEWS) {
    const on = of === which;
    const tab = $(`tab-${of}`);
    tab.setAttribute("aria-selected", String(on));
    tab.tabIndex = on ? 0 : -1;
    $(`panel-${of}`).hidden = !on;
    if (on && focus) tab.focus();
  }
  $("second-label").hidden = which !== "look" || models.length < 2;
  if (location.hash !== `#${which}`) history.replaceState(null, "", `#${which}`);
  for (const [of, room] of Object.entries(rooms)) room.inSight(of === which);
  if (LATER[which] && !rooms[which]) enter(which);
  if (which === "watch") logs();
}

/** A training may have begun since the models were asked for. */
function logs() {
  if (version && !modelsNow()[0]?.log) reload().catch(() => {});
}

async function enter(which) {
  let room;
  try {
    room = await LATER[which]();
  } catch {
    return alert(t("away", { host: location.host }));
  }
  if (rooms[which]) return;
  rooms[which] = room;
  room.start({ models: () => models, runs: () => runs, known: name => models.some(model => model.name === name), waits, reload, choose, ended, open });
  room.useModel(modelsNow()[0]);
  room.inSight(view === which);
}

function tabs() {
  for (const of of VIEWS) $(`tab-${of}`).addEventListener("click", () => open(of));
  $("tabs").addEventListener("keydown", event => {
    const there = views();
    const at = there.indexOf(view);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: there.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    open(there[(to + there.length) % there.length], true);
  });
  addEventListener("hashchange", () => {
    const of = location.hash.slice(1);
    if (views().includes(of) && of !== view) open(of);
  });
}

function modelsNow() {
  const model = models.find(({ name }) => name === $("model").value) ?? models[0] ?? null;
  const second = models.find(({ name }) => name === $("second").value && name !== model?.name) ?? null;
  return [model, second];
}

function fillSelectors() {
  const [first, beside] = [$("model").value, $("second").value];
  const options = models.length ? models.map(({ name }) => el("option", { value: name }, shown(name))) : [el("option", { value: "" }, t("no_model_short"))];
  $("model").replaceChildren(...options);
  if (models.some(({ name }) => name === first)) $("model").value = first;
  $("model").disabled = !models.length;
  const others = models.filter(({ name }) => name !== $("model").value);
  $("second").replaceChildren(el("option", { value: "" }, t("nothing_beside")), ...others.map(({ name }) => el("option", { value: name }, shown(name))));
  if (others.some(({ name }) => name === beside)) $("second").value = beside;
  $("second-label").hidden = view !== "look" || models.length < 2;
}

function use() {
  fillSelectors();
  const [model, second] = modelsNow();
  lookWith(model, second, waits());
  for (const room of Object.values(rooms)) room.useModel(model);
}

/** Whether the first model is still being trained. */
const waits = () => !models.length && runs.length > 0;

/** Takes what the server has now. */
function take(found) {
  ({ models, runs } = found);
  alert(models.length || runs.length ? null : t("no_models"));
  use();
  askLater();
}

/** Asks for the models again: a training may have made one. */
async function reload() {
  try {
    const found = await askModels();
    if (JSON.stringify([found.models, found.runs]) !== JSON.stringify([models, runs])) take(found);
  } finally {
    askLater();
  }
}

function askLater() {
  clearTimeout(later);
  if (!models.length) later = setTimeout(() => reload().catch(() => {}), LATER_ON);
}

/** A training that was watched has ended: its model is there as soon as the server has opened it. */
async function ended(name) {
  for (const wait of [0, 2000, 5000, 10_000]) {
    await rest(wait);
    await reload().catch(() => {});
    if (runs.find(run => run.name === name)?.model !== null) return;
  }
}

function choose(name) {
  $("model").value = name;
  use();
}

const told = () => { $("server").textContent = version ? `lungfish ${shown(version)} \u00b7 ${location.host}` : ""; };

function alert(text) {
  $("away").hidden = !text;
  $("away").textContent = text ?? "";
}

async function load() {
  try {
    const [alive, found] = [await health(), await askModels()];
    version = alive.version;
    $("tab-teach").hidden = !alive.teach;
    if (view === "teach" && !alive.teach) open("look");
    told();
    take(found);
  } catch (problem) {
    alert(said(problem));
  }
}

async function begin() {
  takeToken();
  const wanted = location.hash.slice(1);
  await startTexts();
  tabs();
  startLook();
  $("model").addEventListener("change", use);
  $("second").addEventListener("change", use);
  $("help").addEventListener("click", showKeys);
  startKeys(() => view, { "?": showKeys, ...Object.fromEntries(VIEWS.map((of, at) => [at + 1, () => { if (views().includes(of)) open(of, true); }])) });
  words.addEventListener("change", () => {
    fillSelectors();
    told();
  });
  server.addEventListener("away", () => alert(t("away", { host: location.host })));
  server.addEventListener("back", load);
  open(views().includes(wanted) ? wanted : "look");
  room();
  await load();
  if (views().includes(wanted)) {
    if (wanted !== view) open(wanted);
  } else if (waits()) {
    open("watch");
  }
}

/** Room for the lines that stay in sight, so that nothing with the focus lies under them. */
function room() {
  const lines = { "--below": document.querySelector("footer"), "--away": $("away") };
  const sizes = new ResizeObserver(() => {
    for (const [of, line] of Object.entries(lines)) document.documentElement.style.setProperty(of, `${line.offsetHeight}px`);
  });
  for (const line of Object.values(lines)) sizes.observe(line);
}

begin();
