// Room for small pictures of films: they are fetched as they come into sight, two at a time, and kept.

import { el } from "./dom.js";
import { said } from "./table.js";
import { t } from "./texts.js";

/** So many pictures are kept. */
const KEPT = 300;

const pictures = new Map();
const waiting = [];
let fetching = 0;

function fetchNext() {
  while (fetching < 2 && waiting.length) {
    const { key, get, image, box, signal } = waiting.shift();
    if (signal.aborted) continue;
    fetching += 1;
    get(signal).then(address => {
      pictures.set(key, address);
      if (pictures.size > KEPT) {
        const [[oldest, its]] = pictures;
        pictures.delete(oldest);
        URL.revokeObjectURL(its);
      }
      image.src = address;
      image.hidden = false;
    }).catch(error => {
      if (!signal.aborted) box.replaceChildren(el("span", { class: "none" }, error.status === 404 ? t("film_gone") : said(error)));
    }).finally(() => {
      fetching -= 1;
      fetchNext();
    });
  }
}

const sight = new IntersectionObserver(entries => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    sight.unobserve(target);
    waiting.push(target.wants);
    fetchNext();
  }
}, { rootMargin: "200px" });

/** Forgets the pictures whose key is one of those. */
export function forget(is) {
  for (const [key, address] of pictures) {
    if (!is(key)) continue;
    pictures.delete(key);
    URL.revokeObjectURL(address);
  }
}

/**
 * A box with a picture: `get(signal)` gives its address, which is kept under `key`. It is asked for when it comes into sight,
 * or before all others where it is wanted `now`.
 */
export function picture({ key, get, signal, now = false, alt = "" }) {
  // A picture that is dragged would come as a file.
  const image = el("img", { alt, hidden: true, draggable: "false" });
  const box = el("span", { class: "picture" }, image);
  if (pictures.has(key)) {
    image.src = pictures.get(key);
    image.hidden = false;
  } else {
    const wants = { key, get, image, box, signal };
    if (now) {
      waiting.unshift(wants);
      fetchNext();
    } else {
      box.wants = wants;
      sight.observe(box);
    }
  }
  return { box, image };
}
