// Room for how films come into the page: dropped, pasted, chosen as files or as a folder. Folders are walked to their end;
// files whose name begins with a dot are not films and are passed over.

import { $ } from "./dom.js";

const byName = new Intl.Collator("en", { numeric: true });

const ofFiles = files => [...files].map(file => ({ path: file.webkitRelativePath || file.name, file }));

/** Whether it is files that are dragged. */
export const hasFiles = event => [...(event.dataTransfer?.types ?? [])].includes("Files");

/** What was dropped, folders walked to their end: `[{ path, file }]`. */
export async function dropped(transfer) {
  // Both must be asked for before anything is waited for: afterwards the browser has emptied the list.
  const entries = [...transfer.items].map(item => item.webkitGetAsEntry?.()).filter(Boolean);
  const files = ofFiles(transfer.files);
  if (!entries.some(entry => entry.isDirectory)) return files;
  const found = [];
  for (const entry of entries) await walk(entry, found);
  return found;
}

/** What was chosen in a dialog, which is empty afterwards. */
export function chosen(input) {
  const files = ofFiles(input.files);
  input.value = "";
  return files;
}

/** Those that are not hidden, in the order of their names, and how many are. */
export function sift(entries) {
  const seen = entries.filter(({ path }) => !path.split("/").pop().startsWith("."));
  seen.sort((a, b) => byName.compare(a.path, b.path));
  return [seen, entries.length - seen.length];
}

/** `taken([{ path, file }], hidden)` hears of every set of films that no other place on the page took. */
export function startIntake(taken) {
  const give = entries => taken(...sift(entries));

  for (const [button, input] of [["choose", "files"], ["choose-folder", "folder"]]) {
    $(button).addEventListener("click", () => $(input).click());
    $(input).addEventListener("change", () => give(chosen($(input))));
  }

  const drop = $("drop");
  let depth = 0;
  addEventListener("dragenter", event => { if (hasFiles(event)) { depth += 1; drop.classList.add("over"); } });
  addEventListener("dragleave", event => { if (hasFiles(event) && --depth <= 0) { depth = 0; drop.classList.remove("over"); } });
  addEventListener("dragover", event => { if (hasFiles(event)) event.preventDefault(); });
  addEventListener("drop", async event => {
    depth = 0;
    drop.classList.remove("over");
    if (!hasFiles(event) || event.defaultPrevented) return;
    event.preventDefault();
    give(await dropped(event.dataTransfer));
  });

  addEventListener("paste", event => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    give(ofFiles(files));
  });
}

async function walk(entry, found) {
  try {
    if (entry.isFile) {
      const file = await new Promise((done, stop) => entry.file(done, stop));
      found.push({ path: entry.fullPath.replace(/^\//, ""), file });
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      // Chromium gives at most a hundred at a time.
      const some = await new Promise((done, stop) => reader.readEntries(done, stop));
      if (!some.length) return;
      for (const next of some) await walk(next, found);
    }
  } catch (error) {
    console.warn("cannot read what was dropped", error);
  }
}
