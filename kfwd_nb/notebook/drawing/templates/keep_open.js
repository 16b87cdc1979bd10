// A table is replaced as a whole when there is news; a row that the reader has opened stays open, and
// what has the keyboard keeps it. Where scripts do not run (an untrusted notebook, GitHub) the table
// is as complete without this.
(() => {
  /** @type {Set<string>} names of the forwards whose rows are open, in all tables of the page */
  const opened = (window.kfwdOpened ??= new Set());

  /** @param {Element} forward @returns {HTMLElement[]} what in it the keyboard reaches, in order */
  const stops = (forward) => [...forward.querySelectorAll("summary, a, button")];

  if (!window.kfwdFocus) {
    /** @type {{name?: string, stop?: number, element?: Element}} what in a table has the keyboard */
    const focus = (window.kfwdFocus = {});
    document.addEventListener("focusin", ({ target }) => {
      const forward = target.closest?.(".kfwd [data-forward]");
      focus.element = forward ? target : undefined;
      if (!forward) return;
      focus.name = forward.dataset.forward;
      focus.stop = stops(forward).indexOf(target);
    });
    // What is taken out of the page loses the keyboard, too; a moment later it is seen which it was.
    document.addEventListener("focusout", ({ target }) =>
      queueMicrotask(() => {
        if (target === focus.element && target.isConnected) focus.element = undefined;
      }),
    );
  }

  for (const forward of document.querySelectorAll(".kfwd [data-forward]:not([data-kept])")) {
    forward.dataset.kept = "";
    const name = forward.dataset.forward;
    const row = forward.querySelector("details");
    row.open = opened.has(name);
    row.addEventListener("toggle", () => (row.open ? opened.add(name) : opened.delete(name)));
    const focus = window.kfwdFocus;
    if (focus.element && !focus.element.isConnected && focus.name === name) {
      stops(forward)[focus.stop]?.focus({ preventScroll: true });
    }
  }
})();
