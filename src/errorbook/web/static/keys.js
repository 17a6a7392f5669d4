// The keyboard: everything that it does is a link, a row or a field of the page, found by its data attribute at the
// moment the key is pressed, so that it works on every page and after a live change. Keys typed into a field, and
// those with Ctrl, Alt or Meta, are left alone.

const go = (selector) => {
  const link = document.querySelector(selector);
  link?.click();
  return Boolean(link);
};

const PLACES = new Set(["r", "b", "e", "s", "c", "h"]);
let going = 0; // when g was pressed: the next key names the place

const rows = () => [...document.querySelectorAll("main [data-row]")].filter((row) => row.offsetParent !== null);

/** The link of a row: the row itself, or the first link in it. */
const linkOf = (row) => (row.matches("a") ? row : row.querySelector("a[href]"));

function step(by) {
  if (go(by > 0 ? "main [data-next]" : "main [data-previous]")) return true;
  const all = rows();
  if (!all.length) return false;
  const now = all.findIndex((row) => row.contains(document.activeElement));
  const next = now < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(now + by, 0), all.length - 1);
  const link = linkOf(all[next]);
  link?.focus();
  all[next].scrollIntoView({ block: "nearest" });
  return Boolean(link);
}

function help(event) {
  const dialog = document.getElementById("help");
  if (!dialog?.showModal) return false;
  event?.preventDefault();
  if (!dialog.open) dialog.showModal();
  return true;
}

function search() {
  const field = document.querySelector("[data-search]");
  field?.focus();
  field?.select();
  return Boolean(field);
}

const ACTIONS = {
  j: () => step(1),
  k: () => step(-1),
  r: () => go("[data-next-regression]"),
  t: () => go("[data-raw]"),
  u: () => go("[data-up]"),
  n: () => go("[data-page-next]"),
  p: () => go("[data-page-previous]"),
  "/": search,
  "?": help,
};

const typing = (element) => element?.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(element?.tagName ?? "");

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
  if (typing(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (document.getElementById("help")?.open) return; // the dialog closes itself with Escape
  if (event.key === "g") {
    going = event.timeStamp;
    return;
  }
  const named = going && event.timeStamp - going < 1500 && PLACES.has(event.key);
  going = 0;
  const done = named ? go(`[data-go="${event.key}"]`) : Object.hasOwn(ACTIONS, event.key) && ACTIONS[event.key](event);
  if (done) event.preventDefault();
});

/** Copy the command beside the button; if the browser gives no clipboard, select it. */
async function copy(button) {
  const text = button.parentElement.querySelector("code");
  try {
    await navigator.clipboard.writeText(text.textContent);
    button.textContent = "Copied";
  } catch {
    document.getSelection().selectAllChildren(text);
  }
}

document.addEventListener("click", (event) => {
  const target = event.target instanceof Element ? event.target : null;
  const button = target?.closest("[data-copy]");
  if (button) copy(button);
  if (target?.closest("[data-help]") && !event.ctrlKey && !event.metaKey && !event.shiftKey) help(event);
});
