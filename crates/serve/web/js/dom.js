// Room for the page's handiwork: elements made without HTML text, names made safe to show, and files to save.
// Nothing in the page sets innerHTML: whatever a file or the server is called stays text.

/** The element of an id. */
export const $ = id => document.getElementById(id);

/**
 * An element: `el("p", { class: "quiet", onclick: f, hidden: true }, "text", child)`.
 * Properties that begin with `on` listen; `true` sets an empty attribute; null, undefined and false set nothing.
 */
export function el(name, properties = {}, ...children) {
  return fill(properties, document.createElement(name), children);
}

/** The same for SVG. */
export function svg(name, properties = {}, ...children) {
  return fill(properties, document.createElementNS("http://www.w3.org/2000/svg", name), children);
}

function fill(properties, made, children) {
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter(child => child !== null && child !== undefined && child !== false));
  return made;
}

/** What a terminal or a page would not show as itself: controls, zero width, and what changes the direction of text. */
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/** Text that somebody else chose (a file name, a class) with such characters written out, as `\x1b` or `\u{202e}`. */
export function shown(text) {
  return String(text).replace(HIDDEN, c => {
    const code = c.charCodeAt(0).toString(16);
    return c < "\u0080" ? `\\x${code.padStart(2, "0")}` : `\\u{${code}}`;
  });
}

/** The same in an element of its own, in which it cannot turn the text around it, and in the language of nobody. */
export const name = (text, properties = {}) => el("bdi", { translate: "no", ...properties }, shown(text));

/** A sentence of the server, which speaks English. */
export const english = text => el("span", { lang: "en" }, shown(text));

/** A clause of the server as a sentence. */
export const sentence = text => english(`${/^[a-z]+ /.test(text) ? text[0].toUpperCase() + text.slice(1) : text}.`);

/** Saves text as a file. */
export function save(text, as, type) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = el("a", { href: address, download: as });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** Remembers something small, where the browser lets it. */
export function keep(key, value) {
  try {
    localStorage.setItem(`lungfish.${key}`, value);
  } catch { /* a browser that keeps nothing */ }
}

export function kept(key) {
  try {
    return localStorage.getItem(`lungfish.${key}`);
  } catch {
    return null;
  }
}

/** A box for what may be too wide: a stop for the keyboard only where there is something to scroll. */
export function scroller(label, ...children) {
  const box = el("div", { class: "scroll", role: "region", "aria-label": label }, ...children);
  watchWidth(box);
  return box;
}

const widths = new ResizeObserver(entries => {
  for (const { target } of entries) {
    const box = target.closest(".scroll");
    if (!box) continue;
    if (box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
});

export function watchWidth(box) {
  widths.observe(box);
  for (const child of box.children) widths.observe(child);
}
