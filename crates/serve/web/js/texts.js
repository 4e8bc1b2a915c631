// Room for words: which language the page speaks, its table of texts, and how numbers are written in it.
// Each language is one table keyed by name; English stands in for whatever another lacks.

import english from "./text-en.js";
import { $, el, keep, kept } from "./dom.js";

const LANGUAGES = { en: "English", de: "Deutsch", zh: "中文", es: "Español" };
const LOADERS = {
  de: () => import("./text-de.js"),
  zh: () => import("./text-zh.js"),
  es: () => import("./text-es.js"),
};
const tables = { en: english };

export const words = new EventTarget();
let language = "en";
let plural = new Intl.PluralRules("en");

function wanted() {
  const said = [kept("language"), ...(navigator.languages ?? [navigator.language])];
  return said.map(tag => tag?.toLowerCase().split("-")[0]).find(tag => tag in LANGUAGES) ?? "en";
}

async function speak(tag) {
  if (!(tag in tables)) {
    try {
      tables[tag] = (await LOADERS[tag]()).default;
    } catch {
      tag = "en";
    }
  }
  language = tag;
  plural = new Intl.PluralRules(tag);
  document.documentElement.lang = tag;
  for (const part of document.querySelectorAll("[data-t]")) part.textContent = t(part.dataset.t);
  for (const part of document.querySelectorAll("[data-label]")) {
    part.setAttribute("aria-label", t(part.dataset.label));
    if (part.localName === "button") part.title = t(part.dataset.label);
  }
}

/** Chooses the language and fills its selector. */
export async function startTexts() {
  const tag = wanted();
  const select = $("language");
  select.append(...Object.entries(LANGUAGES).map(([tag, name]) => el("option", { value: tag, lang: tag }, name)));
  await speak(tag);
  select.value = language;
  select.addEventListener("change", async () => {
    keep("language", select.value);
    await speak(select.value);
    select.value = language;
    words.dispatchEvent(new CustomEvent("change"));
  });
}

/** A text by its key, with `{name}` replaced; of texts with plural forms, the form for `n`. */
export function t(key, values = {}) {
  let text = tables[language][key] ?? english[key] ?? key;
  if (typeof text === "object") text = text[plural.select(values.n)] ?? text.other;
  return text.replace(/(\d) %/g, "$1\u00a0%").replace(/\{(\w+)\}/g, (all, name) => {
    const value = values[name];
    if (value === undefined) return all;
    return typeof value === "number" ? number(value) : value;
  });
}

/** The same as a list of text and elements, for a text in which a name must stand in an element of its own. */
export function parts(key, values) {
  const plain = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value instanceof Node ? `\u0000${name}\u0000` : value]));
  return t(key, plain).split("\u0000").map((text, at) => (at % 2 ? values[text].cloneNode(true) : text));
}

const formats = new Map();
function format(options) {
  const key = language + JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.NumberFormat(language, options));
  return formats.get(key);
}

export const number = (value, digits = null) => {
  if (value === null || value === undefined || !Number.isFinite(value)) return t("none");
  const options = digits === null ? { maximumFractionDigits: 4 } : { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return format(options).format(value).replace("-", "\u2212");
};

/** With its sign. */
export const signed = (value, digits = 2) => (value > 0 ? "+" : "") + number(value, digits);

/** A small rate such as 0.0003, of which digits count and not places. */
export const small = value => value === 0 || !Number.isFinite(value ?? NaN) ? number(value)
  : Math.abs(value) < 1e-7 ? format({ notation: "scientific", maximumSignificantDigits: 3 }).format(value)
  : format({ maximumSignificantDigits: 3 }).format(value);

const unit = text => (language === "zh" ? `${text}%` : `${text}\u00a0%`);

/** A share as percent with one decimal. It is never rounded to none or to all. */
export function percent(share) {
  if (share === null || share === undefined || !Number.isFinite(share)) return t("none");
  if (share > 0 && share < 0.001) return unit(`< ${number(0.1, 1)}`);
  if (share < 1 && share > 0.999) return unit(`> ${number(99.9, 1)}`);
  return unit(share === 0 || share === 1 ? number(share * 100, 0) : number(share * 100, 1));
}

/** An interval of shares. */
export const within = ([low, high]) => t("to", { low: percent(low), high: percent(high) });
