// Keeps an open page fresh: it asks the server whether something changed; then it asks for itself again, and the parts
// marked `data-live` (each with an id) are put in place of the old ones. Focus, selection, scrolling, open details and
// half-filled forms stay. Without this file the page is the same, only not live.

const QUIET = 1500; // milliseconds between two fetches, whatever the run writes
const POLL = 500; // between two questions whether there is something new
const SLOWEST = 30000; // the same while the server does not answer

const base = document.body.dataset.run ?? "";
let known = document.body.dataset.version ?? "";
let turn = 0; // grows whenever the page stops asking
let asking = false;
let pause = POLL;
let waiting = 0;
let fetched = 0;
let busy = false;

// A page that does not say what it was made from takes the first stamp for it.
function isNew(stamp) {
  return known !== "" && stamp !== known;
}

function heard(stamp) {
  const changed = isNew(stamp);
  known = stamp;
  if (changed && !waiting) waiting = setTimeout(fetchAgain, Math.max(0, fetched + QUIET - Date.now()));
}

async function fetchAgain() {
  waiting = 0;
  if (document.hidden || busy) return void (waiting = setTimeout(fetchAgain, QUIET));
  busy = true;
  fetched = Date.now();
  try {
    const answer = await fetch(location.href, { cache: "no-cache", headers: { Accept: "text/html" } });
    if (answer.ok) replaceLive(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    // The server is gone for now; when it is back, its first answer leads here again.
    known = "unknown";
  } finally {
    busy = false;
  }
}

function replaceLive(fresh) {
  const old = new Map([...document.querySelectorAll("[data-live][id]")].map((part) => [part.id, part]));
  for (const part of fresh.querySelectorAll("[data-live][id]")) {
    const there = old.get(part.id);
    old.delete(part.id);
    if (there) exchange(there, document.adoptNode(part.cloneNode(true)));
    else insert(part);
  }
  for (const gone of old.values()) if (!isHeld(gone)) gone.remove();
  document.title = fresh.title;
  document.dispatchEvent(new CustomEvent("errorbook:live"));
}

function exchange(there, next) {
  if (there.parentElement?.closest("[data-live][id]")) return; // it came with the part around it
  keepState(there, next);
  if (there.isEqualNode(next) || isHeld(there)) return;
  const focus = focusIn(there);
  const scrolled = [there, ...there.querySelectorAll(".scroll")].map((part) => [part.scrollLeft, part.scrollTop]);
  there.replaceWith(next);
  [next, ...next.querySelectorAll(".scroll")].forEach((part, index) => {
    [part.scrollLeft, part.scrollTop] = scrolled[index] ?? [0, 0];
  });
  focus(next)?.focus({ preventScroll: true });
}

// A part that was not there yet goes behind the nearest one before it that is.
function insert(part) {
  let before = part.previousElementSibling;
  while (before && !(before.id && document.getElementById(before.id))) before = before.previousElementSibling;
  const next = document.adoptNode(part.cloneNode(true));
  const parent = part.parentElement?.id ? document.getElementById(part.parentElement.id) : null;
  if (before) document.getElementById(before.id).after(next);
  else parent?.prepend(next);
}

// Somebody is writing in it or has chosen something: it is theirs until they leave the page.
function isHeld(part) {
  const fields = [...part.querySelectorAll("input, textarea")];
  const chosen = [...part.querySelectorAll("option")].some((option) => option.selected !== option.defaultSelected);
  const selected = document.getSelection();
  const marking = selected && !selected.isCollapsed && part.contains(selected.anchorNode);
  return chosen || marking || fields.some((field) => field.value !== field.defaultValue);
}

function keepState(there, next) {
  const opened = [...there.querySelectorAll("details")];
  [...next.querySelectorAll("details")].forEach((part, index) => {
    if (opened[index]) part.open = opened[index].open;
  });
}

// What has the focus, found again by its id, else by what it is and its place among its like.
function focusIn(part) {
  const element = document.activeElement;
  if (!part.contains(element)) return () => null;
  if (element.id) return (next) => next.querySelector(`#${CSS.escape(element.id)}`);
  const href = element.getAttribute("href");
  const alike = href ? `[href="${CSS.escape(href)}"]` : element.localName;
  const index = [...part.querySelectorAll(alike)].indexOf(element);
  return (next) => next.querySelectorAll(alike)[index];
}

async function poll(mine) {
  if (mine !== turn) return;
  try {
    const answer = await fetch(`${base}/changes?since=${encodeURIComponent(known)}`, { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.statusText);
    pause = POLL;
    heard((await answer.json()).version);
  } catch {
    pause = Math.min(pause * 2, SLOWEST);
  }
  setTimeout(poll, pause, mine);
}

function listen() {
  if (document.hidden || asking) return;
  asking = true;
  poll(turn);
}

// A page that nobody sees asks for nothing, so that nothing is made for it.
function hush() {
  asking = false;
  turn += 1;
}

if (document.querySelector("[data-live][id]")) {
  document.addEventListener("visibilitychange", () => (document.hidden ? hush() : listen()));
  addEventListener("pagehide", hush);
  addEventListener("pageshow", listen);
  listen();
}
