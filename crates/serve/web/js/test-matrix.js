// Room for confusion matrices: tables whose cells are buttons, of which one at a time lists its films.

import { $, el, scroller } from "./dom.js";
import { number, t } from "./texts.js";

/** The cell that is chosen, `{ matrix, row, column }`: there may be several matrices. */
let chosen = null;

/** The chosen cell if it is of that matrix. */
export const chosenOf = matrix => (chosen?.matrix === matrix ? chosen : null);
export const chooseNone = () => { chosen = null; };

/**
 * A matrix called `id`, with a title, what is said below that, and a heading for each row and column. Gives its element and
 * `fill(counts)`; `changed()` hears when a cell is chosen or is not any more.
 */
export function matrix({ id, title, how, rows, columns, changed }) {
  const cells = rows.map((_, row) => columns.map((_, column) => {
    const count = el("strong");
    const button = el("button", {
      type: "button", "data-cell": `${id} ${row} ${column}`, "aria-pressed": "false",
      onclick: () => {
        const on = button.getAttribute("aria-pressed") === "true";
        chosen = on ? null : { matrix: id, row, column };
        for (const other of $("test").querySelectorAll("[data-cell]")) other.setAttribute("aria-pressed", "false");
        button.setAttribute("aria-pressed", String(!on));
        changed();
        $("cell").scrollIntoView({ block: "nearest" });
      },
    }, count, el("span", {}, t(row === column ? "right" : "wrong")));
    return { button, count };
  }));
  const now = chosenOf(id);
  if (now) cells[now.row]?.[now.column]?.button.setAttribute("aria-pressed", "true");
  const fill = counts => cells.forEach((of, row) => of.forEach(({ button, count }, column) => {
    const n = counts[row][column];
    count.textContent = number(n);
    // One that has the focus keeps it.
    button.disabled = n === 0 && button !== document.activeElement;
  }));
  const element = scroller(title, el("table", { class: "matrix" },
    el("caption", {}, title, el("span", { class: "quiet explain" }, how)),
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, t("matrix_corner")), columns.map(head => el("th", { scope: "col" }, head)))),
    el("tbody", {}, rows.map((head, row) => el("tr", {}, el("th", { scope: "row" }, head),
      cells[row].map(({ button }, column) => el("td", { class: row === column ? "right" : "wrong" }, button)))))));
  return { element, fill };
}
