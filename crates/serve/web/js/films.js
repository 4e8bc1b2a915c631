// Room for the films of the session: which there are, what each model said of them, and the queue that sends them, at most
// two at a time. A film that fails is an entry in the table and stops nothing.

import { explain, predict } from "./api.js";

const AT_ONCE = 2;
/** So many films keep their picture and map; the others are asked about again when they are shown. */
const PICTURES = 16;

export const session = new EventTarget();
/** Each: { id, path, file, results: { MODEL: result | { error, problem } } } */
export const films = [];

let model = null;
let ids = 0;
let stopped = false;
const pictures = new Map();
/** The requests that run: key to { promise, abort }. */
const running = new Map();
const queued = [];
/** What is asked for by the one who looks comes before all that waits. */
const urgent = [];

const tell = (event, detail) => session.dispatchEvent(new CustomEvent(event, { detail }));

/** Takes films into the session: `[{ path, file }]`. */
export function add(more) {
  const taken = more.map(({ path, file }) => ({ id: ids++, path, file, results: {} }));
  films.push(...taken);
  stopped = false;
  tell("added", taken);
  enqueue(taken);
  return taken;
}

export function clear() {
  halt();
  films.length = 0;
  pictures.clear();
  stopped = false;
  tell("cleared");
}

/** The model that the films are sent to; those that it has not seen are sent. */
export function useModel(name) {
  model = name;
  halt();
  stopped = false;
  enqueue(films);
}

function enqueue(some) {
  if (!model) return;
  queued.push(...some.filter(film => !(model in film.results) && !queued.includes(film)));
  tell("progress");
  work();
}

function halt() {
  queued.length = 0;
  for (const { abort, background } of running.values()) if (background) abort.abort(new DOMException("stopped", "AbortError"));
}

/** Stops sending; what was said stays. */
export function stop() {
  halt();
  stopped = true;
  tell("progress");
}

/** Goes on with what is left. */
export function goOn() {
  stopped = false;
  enqueue(films);
}

/** How far it is: films, those done and failed, whether it works and was stopped. */
export function progress() {
  const done = films.filter(film => model in film.results);
  return {
    of: films.length,
    done: done.length,
    failed: done.filter(film => film.results[model].problem).length,
    works: queued.length > 0 || [...running.values()].some(({ background }) => background),
    stopped,
  };
}

function work() {
  while (running.size < AT_ONCE && (urgent.length || queued.length)) {
    if (urgent.length) {
      urgent.shift().go();
      continue;
    }
    const film = queued.shift();
    if (model in film.results || running.has(key(film, model))) continue;
    start(film, model, predict, true);
  }
}

const key = (film, of) => `${film.id} ${of}`;

function start(film, of, how, background) {
  const abort = new AbortController();
  const promise = how(of, film.file, film.path, abort.signal).then(
    result => settle(film, of, result),
    problem => {
      if (problem.name === "AbortError") throw problem;
      return settle(film, of, { problem });
    },
  ).finally(() => {
    // Another request for the same film may have taken its place.
    if (running.get(key(film, of))?.abort === abort) running.delete(key(film, of));
    tell("progress");
    work();
  });
  // Whoever waits for it hears of the end; nobody has to.
  promise.catch(() => {});
  running.set(key(film, of), { promise, abort, background, how });
  return promise;
}

function settle(film, of, result) {
  const { map, picture, square, evidence, film: facts, ...said } = result;
  // What needs no picture is kept for good.
  film.results[of] = said;
  if (picture) {
    pictures.set(key(film, of), result);
    if (pictures.size > PICTURES) pictures.delete(pictures.keys().next().value);
  }
  tell("result", { film, model: of });
  return result;
}

/**
 * A film with its picture and map as a model has it, from memory or asked for before those that wait. Nobody asks once
 * `signal` says that another film is looked at.
 */
export async function look(film, of, signal) {
  const at = key(film, of);
  if (pictures.has(at)) {
    const known = pictures.get(at);
    pictures.delete(at);
    pictures.set(at, known);
    return known;
  }
  const said = film.results[of];
  if (said?.problem && said.problem.status !== 0) return said;
  if (running.get(at)?.how === explain) return running.get(at).promise;
  return new Promise((done, stop) => {
    const job = {
      go() {
        const now = running.get(at);
        if (now?.how !== explain) {
          now?.abort.abort(new DOMException("stopped", "AbortError"));
          running.delete(at);
          start(film, of, explain, false);
        }
        running.get(at).promise.then(done, stop);
      },
    };
    urgent.push(job);
    signal.addEventListener("abort", () => {
      const place = urgent.indexOf(job);
      if (place >= 0) urgent.splice(place, 1);
      stop(signal.reason);
    }, { once: true });
    work();
  });
}
