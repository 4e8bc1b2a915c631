// Room for what a model says of a film, in words and numbers: the call, the probabilities, what the cut does to films by the
// model's own test, what the map comes to, and all films as a table to keep. Loaded with the first film.

import { el, name, scroller, shown } from "./dom.js";
import { films } from "./films.js";
import { called, probability, said } from "./table.js";
import { number, parts, percent, signed, t } from "./texts.js";
import { warning } from "./viewer.js";

/** In a sentence, for who cannot see it. */
export function inShort(film, result, of) {
  const far = result.unlike === 1 ? t("unlike_alert") : "";
  const text = t("in_short", { film: shown(film.path), call: shown(called(result)), p: percent(probability(result, of)), of: shown(of.positive ?? called(result)) });
  return [far, text].filter(Boolean).join(" ");
}

/** What a model says of a film. */
export function told(result, of) {
  const cut = of.positive ? cutOf(result, of, of.positive) : null;
  return [
    result.unlike === 1 && el("p", { class: "alert far" }, warning(), el("span", {}, el("strong", {}, t("unlike_alert")), " ", t("unlike_why"))),
    el("p", { class: "call" }, el("span", { class: "quiet" }, `${t("called")} `), el("strong", {}, name(called(result)))),
    bars(result, of),
    of.equal_prior && el("p", { class: "quiet" }, t("equal_prior")),
    ...point(result, of, cut),
    Number.isFinite(result.unlike) && result.unlike !== 1 && el("p", { class: "quiet" }, t("unlike_share", { share: percent(result.unlike) })),
    evidence(result),
    result.film && el("p", { class: "quiet" }, t("film_facts", { width: result.film.width, height: result.film.height, format: shown(result.film.format) }), result.uid && [" ", el("span", { class: "uid" }, "UID ", name(result.uid))]),
  ].filter(Boolean);
}

/** The cut at which a film was called a class or label, where it is known. */
function cutOf(result, of, class_) {
  const at = String(result.at ?? of.at);
  const point = (of.points ?? []).find(point => String(point.at) === at && (point.label ?? class_) === class_);
  const cut = point?.cut ?? (at === String(of.at) ? of.cut : null) ?? (Number(at) > 0 ? Number(at) : null);
  return typeof cut === "number" ? { at, cut } : null;
}

function bars(result, of) {
  const rows = of.classes.filter(class_ => class_ in result.probabilities).map(class_ => {
    const p = result.probabilities[class_];
    const fill = el("span", { class: "fill" });
    fill.style.width = `${p * 100}%`;
    const bar = el("span", { class: "bar", "aria-hidden": "true" }, fill);
    const cut = class_ === of.positive || of.task === "any-of" ? cutOf(result, of, class_) : null;
    if (cut) {
      const tick = el("span", { class: "tick" });
      tick.style.left = `${cut.cut * 100}%`;
      bar.append(tick);
    }
    const yes = result.class === class_ || result.labels?.includes(class_);
    const spread = result.spread?.[class_];
    return el("tr", { class: yes ? "yes" : null },
      el("th", { scope: "row" }, name(class_), yes && el("span", { class: "mark" }, ` ${t("is_called")}`)),
      el("td", {}, bar),
      el("td", { class: "number" }, percent(p), typeof spread === "number" && el("span", { class: "quiet" }, ` \u00b1\u00a0${number(spread * 100, 1)}`)));
  });
  return el("table", { class: "bars" }, el("caption", { class: "hidden" }, t("probabilities")), el("tbody", {}, rows));
}

/** Where the cut lies and what it does to films, by the model's own test. */
function point(result, of, cut) {
  const lines = [];
  const positive = of.positive !== null && of.positive !== undefined ? name(of.positive) : null;
  if (cut && positive) {
    const plainCut = Number(cut.at) === cut.cut;
    lines.push(el("p", {}, parts(plainCut ? "cut_plain" : "cut_named", { name: positive, cut: percent(cut.cut), at: pointName(cut.at) })));
  }
  const { test } = of;
  if (!test) return [...lines, el("p", { class: "note" }, t("untested"))];
  const hundred = share => number(Math.round(share * 100));
  const interval = measure => (measure.interval ? t("hundred_to", { low: hundred(measure.interval[0]), high: hundred(measure.interval[1]) }) : t("hundred_unsure"));
  const share = measure => `${hundred(measure.value)} ${interval(measure)}`;
  const usable = measure => measure && Number.isFinite(measure.value);
  if (positive && usable(test.sensitivity) && usable(test.specificity)) {
    const { value, interval: [low, high] = [] } = { ...test.specificity, interval: test.specificity.interval ?? undefined };
    const wrong = { value: 1 - value, interval: low === undefined ? null : [1 - high, 1 - low] };
    if (String(test.at) !== String(result.at ?? of.at)) lines.push(el("p", { class: "quiet" }, t("other_cut", { at: pointName(test.at) })));
    lines.push(el("p", { class: "point" }, parts("of_hundred", { name: positive, called: share(test.sensitivity), wrong: share(wrong) })));
  } else if (usable(test.accuracy)) {
    lines.push(el("p", { class: "point" }, t("of_hundred_right", { right: share(test.accuracy) })));
  }
  lines.push(el("p", { class: "quiet" }, t("tested_on", { n: test.films, split: shown(test.split) })));
  return lines;
}

/** An operating point in words. */
export function pointName(at) {
  const [rule, share] = String(at).split("=");
  const key = `point_${rule.replace("-", "_")}`;
  const text = { youden: true, "max-accuracy": true, sensitivity: true, specificity: true }[rule] ? t(key, { share: percent(Number(share)) }) : null;
  return text ?? (Number.isFinite(Number(at)) ? t("point_cut", { cut: percent(Number(at)) }) : shown(at));
}

function evidence(result) {
  const { evidence: found, map } = result;
  if (!found) return null;
  const of = name(found.of);
  const known = typeof found.outside_center === "number" && typeof found.border === "number";
  return el("div", { class: "evidence" },
    el("p", {}, known
      ? parts("evidence", { name: of, outside: percent(found.outside_center), border: percent(found.border) })
      : parts("evidence_none", { name: of })),
    el("p", { class: "quiet" }, parts("evidence_sum", { name: of, pro: signed(found.supporting), contra: signed(found.opposing) })),
    el("p", { class: "quiet" }, t("map_note")),
    map && numbers(map));
}

/** The map for those who cannot see it. */
function numbers(map) {
  const rows = Array.from({ length: map.rows }, (_, row) => el("tr", {}, el("th", { scope: "row" }, String(row + 1)),
    Array.from({ length: map.columns }, (_, column) => el("td", { class: "number" }, signed(map.values[row * map.columns + column])))));
  return el("details", {}, el("summary", {}, t("map_numbers")),
    scroller(t("map_numbers"), el("table", { class: "tight" },
      el("caption", {}, t("map_caption")),
      el("thead", {}, el("tr", {}, el("td"), Array.from({ length: map.columns }, (_, column) => el("th", { scope: "col" }, String(column + 1))))),
      el("tbody", {}, rows))));
}

/** As the program writes text: nothing hidden, nothing that a spreadsheet would run, quotes where they are needed. */
function cell(text) {
  let safe = shown(text);
  if (/^[=+\-@']/.test(safe)) safe = `'${safe}`;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** A number as the program writes it, without a power of ten. */
function plain(value) {
  const text = String(value);
  const [, sign, digits, more = "", power] = text.match(/^(-?)(\d)(?:\.(\d+))?e([+-]\d+)$/) ?? [];
  if (!power) return text;
  const [all, at] = [digits + more, Number(power) + 1];
  if (at <= 0) return `${sign}0.${"0".repeat(-at)}${all}`;
  return sign + (at >= all.length ? all.padEnd(at, "0") : `${all.slice(0, at)}.${all.slice(at)}`);
}

/** The films as a table, with the columns of `lungfish predict --out scores.csv`. */
export function csv(model) {
  const done = films.map(film => [film, film.results[model.name]]).filter(([, result]) => result);
  const uids = done.some(([, result]) => result.uid);
  const unlike = done.some(([, result]) => Number.isFinite(result.unlike));
  const lines = [["path", "predicted", ...model.classes, "error", ...(uids ? ["uid"] : []), ...(unlike ? ["unlike"] : [])].map(cell)];
  for (const [film, result] of done) {
    const { problem } = result;
    const predicted = problem ? "" : result.class ?? (result.labels?.join(", ") || "none");
    lines.push([
      cell(film.path), cell(predicted),
      ...model.classes.map(name => (problem ? "" : plain(result.probabilities[name]))),
      problem ? cell(said(problem)) : "",
      ...(uids ? [cell(result.uid ?? "")] : []),
      ...(unlike ? [Number.isFinite(result.unlike) ? plain(result.unlike) : ""] : []),
    ]);
  }
  return lines.map(line => `${line.join(",")}\n`).join("");
}
