// A table is replaced as a whole when there is news; a row that the reader has opened stays open.
// Where scripts do not run (an untrusted notebook, GitHub) the table is as complete without this.
(() => {
  /** @type {Set<string>} names of the forwards whose rows are open, in all tables of the page */
  const opened = (window.kfwdOpened ??= new Set());
  for (const row of document.querySelectorAll(".kfwd details[data-forward]:not([data-kept])")) {
    const name = row.dataset.forward;
    row.dataset.kept = "";
    row.open = opened.has(name);
    row.addEventListener("toggle", () => (row.open ? opened.add(name) : opened.delete(name)));
  }
})();
