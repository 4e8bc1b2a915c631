// Room for what a deed in the view to teach came to: the sentences of what went wrong, and the boxes in which they stay.

import { $, el, sentence } from "./dom.js";
import { said } from "./table.js";
import { t } from "./texts.js";
import { warning } from "./viewer.js";

/** What the server says, which is a clause or a sentence. */
export const whole = text => sentence(text.replace(/\.$/, ""));

/** What a deed came to, in a sentence: without the token nothing can be changed. */
export const why = problem => (problem.status === 401 ? t("teach_token") : problem.key ? said(problem) : whole(said(problem)));

/** Text of parts that are text or elements. */
export const plain = told => told.map(part => part.textContent ?? part).join("");

/** Says what went wrong until the next deed goes well, or somebody closes it: then `back` takes the focus. */
export function alert(id, content, back = null) {
  const away = () => {
    alert(id, null);
    back?.();
  };
  $(id).replaceChildren(...(content ? [warning(), el("span", {}, content), el("button", { type: "button", class: "link", onclick: away }, t("close"))] : []));
  $(id).hidden = !content;
}
