// Room for the stream of a training: `text/event-stream`, asked for again where it breaks.

import { Problem, ask, rest } from "./api.js";
import { shown } from "./dom.js";

/**
 * The stream of a training, for as long as `signal` lets it: `heard(event, data)` for each event, `begun()` before the first
 * of each connection, since the server then tells all from the start.
 */
export async function stream(path, { query, signal, begun, heard, ended }) {
  for (let wait = 1000; !signal.aborted;) {
    try {
      const answer = await ask(path, { query, signal, headers: { Accept: "text/event-stream" } });
      begun();
      await events(answer.body, (event, data) => {
        wait = 1000;
        heard(event, data);
      });
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Problem) throw error;
      // The connection broke: asked again below.
    }
    ended();
    try {
      await rest(wait, signal);
    } catch {
      return;
    }
    wait = Math.min(wait * 2, 15_000);
  }
}

/** Reads `text/event-stream`. */
async function events(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let [left, event, data] = ["", "message", []];
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (left + value).split(/\r\n|\n|\r(?!$)/);
    left = lines.pop();
    for (const line of lines) {
      if (line === "") {
        if (data.length) {
          try {
            heard(event, JSON.parse(data.join("\n")));
          } catch (error) {
            console.warn(`an event that is no JSON: ${shown(error)}`);
          }
        }
        [event, data] = ["message", []];
        continue;
      }
      const [, field, text] = line.match(/^([^:]*):? ?(.*)$/);
      if (field === "event") event = text;
      if (field === "data") data.push(text);
    }
  }
}
