// Room for the keys: single keys of each view, and the dialog that lists them all. They can be switched off, since some
// who speak to their computer or whose hands shake press keys that they do not mean.

import { $, el, keep, kept } from "./dom.js";
import { t } from "./texts.js";

const KEYS = [
  ["keys_everywhere", [["?", "key_help"], ["1 2 3 4", "key_tabs"], ["Tab", "key_tab"], ["\u2190 \u2192", "key_tablist"]]],
  ["keys_film", [
    ["n, PageDown", "key_next"], ["p, PageUp", "key_previous"], ["h", "key_heat"], ["o, O", "key_opacity"], ["i", "key_invert"],
    ["+ \u2212", "key_zoom"], ["0", "key_fit"], ["\u2190 \u2192 \u2191 \u2193", "key_pan"], ["[ ]", "key_level"], ["{ }", "key_width"],
    ["r", "key_reset"], ["c", "key_pin"],
  ]],
  ["keys_mouse", [["mouse_wheel", "key_zoom"], ["mouse_drag", "key_pan"], ["mouse_right", "key_window"]]],
  ["keys_table", [["\u2191 \u2193 Home End", "key_rows"], ["Enter", "key_show"]]],
  ["keys_test", [["\u2190 \u2192", "key_cut"], ["Enter", "key_cell"]]],
  ["keys_teach", [
    ["\u2190 \u2192 \u2191 \u2193 Home End", "key_rows"], ["PageUp PageDown", "key_page"], ["a b c \u2026", "key_class"], ["x", "key_out"], ["z", "key_back"],
    ["Enter", "key_large"], ["mouse_drag", "key_drag"],
  ]],
];

let on = kept("keys") !== "off";
const views = {};

/** Whether single keys act. */
export const keysAct = () => on;

/** The keys of a view: `{ h: () => ..., "+": ... }`. */
export const keysOf = (view, keys) => { views[view] = keys; };

/** Listens; `current()` names the view in sight. */
export function startKeys(current, everywhere) {
  document.addEventListener("keydown", event => {
    // On many keyboards brackets and braces are typed with AltGr, which some systems tell as Ctrl and Alt.
    const modified = (event.ctrlKey || event.metaKey || event.altKey) && !event.getModifierState("AltGraph");
    if (event.defaultPrevented || modified || !on) return;
    if (document.querySelector("dialog[open]")) return;
    const at = event.target;
    if (at.closest?.("select, textarea, [contenteditable], input:not([type=range]):not([type=checkbox])")) return;
    const act = views[current()]?.[event.key] ?? everywhere[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
}

export function showKeys() {
  const dialog = $("keys");
  const box = el("input", { type: "checkbox", id: "keys-on", onchange: () => { on = box.checked; keep("keys", on ? "on" : "off"); } });
  box.checked = on;
  const word = key => (key.startsWith("mouse_") ? t(key) : key);
  dialog.replaceChildren(
    el("div", { class: "row spread" }, el("h2", { id: "keys-title" }, t("help")),
      el("button", { type: "button", onclick: () => dialog.close() }, t("close"))),
    ...KEYS.map(([title, keys]) => el("section", {}, el("h3", {}, t(title)),
      el("dl", { class: "keys" }, keys.map(([key, text]) => el("div", {}, el("dt", {}, el("kbd", {}, word(key))), el("dd", {}, t(text))))))),
    el("label", { class: "check" }, box, t("keys_on")));
  dialog.showModal();
}
