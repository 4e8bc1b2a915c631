// Room for the talk with the server: the token, and requests that wait while it is busy or away.

const KEY = "lungfish.token";
let token = null;

/** Takes the token out of the visible address; it is kept for this tab only. */
export function takeToken() {
  const parts = new URLSearchParams(location.hash.slice(1));
  try {
    token = sessionStorage.getItem(KEY);
  } catch { /* kept for as long as the page is there */ }
  if (!parts.has("token")) return;
  token = parts.get("token");
  try {
    sessionStorage.setItem(KEY, token);
  } catch { /* as above */ }
  parts.delete("token");
  const rest = parts.toString().replace(/=(?=&|$)/g, "");
  history.replaceState(null, "", location.pathname + location.search + (rest ? `#${rest}` : ""));
}

/** What went wrong, in a sentence of the server (`detail`) or a key of the texts (`key`). */
export class Problem extends Error {
  constructor(status, detail, key = null) {
    super(detail ?? key);
    Object.assign(this, { status, detail, key });
  }
}

/** Whether the server answers. Everyone who listens is told when that changes. */
export const server = new EventTarget();
let away = false;

function setAway(now) {
  if (away === now) return;
  away = now;
  server.dispatchEvent(new CustomEvent(now ? "away" : "back"));
  if (now) look();
}

/** Waits. */
export const rest = (ms, signal) => new Promise((done, stop) => {
  const timer = setTimeout(done, ms);
  signal?.addEventListener("abort", () => { clearTimeout(timer); stop(signal.reason); }, { once: true });
});

/** Asks whether it is back, ever less often: after 1, 2, 4 and at most 10 seconds. */
async function look() {
  for (let wait = 1000; away; wait = Math.min(wait * 2, 10_000)) {
    await rest(wait);
    try {
      const answer = await fetch("/api/health", { headers: headers(), cache: "no-store" });
      if (answer.ok || answer.status === 401) setAway(false);
    } catch { /* still away */ }
  }
}

/** Until the server is there. */
function there(signal) {
  if (!away) return Promise.resolve();
  return new Promise((done, stop) => {
    server.addEventListener("back", done, { once: true });
    signal?.addEventListener("abort", () => stop(signal.reason), { once: true });
  });
}

const headers = () => (token ? { Authorization: `Bearer ${token}` } : {});

/**
 * One request. Waits while the server is busy (503) or away and asks again; `signal` ends that.
 * Throws a Problem for every other answer that is not good.
 */
export async function ask(path, { query = {}, signal, ...options } = {}) {
  const words = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== null && value !== undefined));
  const address = words.size ? `${path}?${words}` : path;
  for (let busy = 0; ;) {
    await there(signal);
    let answer;
    try {
      answer = await fetch(address, { cache: "no-store", ...options, signal, headers: { ...headers(), ...options.headers } });
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      // A file that was moved or changed since it was chosen fails in the same way as a server that is away.
      if (options.body instanceof Blob && !(await readable(options.body))) throw new Problem(0, null, "file_gone");
      if (!(error instanceof TypeError)) throw error;
      setAway(true);
      continue;
    }
    if (answer.status === 503) {
      const after = Number(answer.headers.get("Retry-After"));
      const wait = after > 0 ? Math.min(after, 30) : Math.min(1 + busy, 5);
      busy += 1;
      await answer.body?.cancel();
      await rest(wait * 1000, signal);
      continue;
    }
    if (!answer.ok) throw await problem(answer);
    return answer;
  }
}

async function readable(blob) {
  try {
    await blob.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

async function problem(answer) {
  if (answer.status === 401) return new Problem(401, null, "no_token");
  let detail = null;
  try {
    const told = await answer.json();
    detail = told.detail ?? told.title ?? null;
  } catch { /* an answer of something else than this server */ }
  return new Problem(answer.status, detail ?? `${answer.status} ${answer.statusText}`);
}

/** The same, of which the answer is JSON. */
export const json = async (path, options) => {
  const answer = await ask(path, options);
  try {
    return await answer.json();
  } catch (error) {
    if (options?.signal?.aborted) throw options.signal.reason;
    throw new Problem(answer.status, null, "cut_off");
  }
};

export const health = () => json("/api/health");
/** The models, and the trainings that are watched, of which there need be no model yet. */
export const models = async () => ({ runs: [], ...(await json("/api/models")) });

const film = (path, model, film, name, signal) => json(path, {
  method: "POST",
  query: { model, name },
  body: film,
  headers: { "Content-Type": "application/octet-stream" },
  signal,
});
export const predict = (...of) => film("/api/predict", ...of);
export const explain = (...of) => film("/api/explain", ...of);
export const neighbours = (model, of, signal) => film("/api/neighbours", model, of, null, signal);

/** A film that is added to a class of the data set, and one that is taken away again. */
export const addFilm = (class_, name, of, signal) => json("/api/data/films", {
  method: "POST",
  query: { class: class_, name },
  body: of,
  headers: { "Content-Type": "application/octet-stream" },
  signal,
});
export const removeFilm = index => json(`/api/data/films/${index}`, { method: "DELETE" });

export const test = (model, signal) => json("/api/test", { query: { model }, signal });
/** A picture, as an address for an image: an image of its own could not send the token. */
export async function image(path, options) {
  const answer = await ask(path, options);
  return URL.createObjectURL(await answer.blob());
}
export const dataFilm = (index, signal) => image(`/api/data/films/${index}`, { signal });
export const testFilm = (model, index, signal) => image(`/api/test/films/${index}`, { query: { model }, signal });
