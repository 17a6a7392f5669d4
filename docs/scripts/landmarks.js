// The theme puts a <nav> around each copy button. A page has many of them, and they are no places to go to.
const demote = () => {
  for (const bar of document.querySelectorAll("nav.md-code__nav:not([role])")) bar.setAttribute("role", "none");
};
new MutationObserver(demote).observe(document.body, { childList: true, subtree: true });
demote();
