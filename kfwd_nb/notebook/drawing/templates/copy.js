// A button beside each line to copy. It is made here, because without scripts it could do nothing:
// there one click chooses the whole line, and it is copied as any text is.
(() => {
  const SAID_FOR = 2000; // milliseconds for which a button says that it has copied
  /** @type {{text: string, until: number}} the last line that was copied, across updates */
  const last = (window.kfwdCopied ??= { text: "", until: 0 });

  /**
   * @param {Element} line
   * @returns {Promise<boolean>} whether it is in the clipboard; it is chosen, if not
   */
  const copy = async (line) => {
    try {
      await navigator.clipboard.writeText(line.textContent);
      return true;
    } catch {
      // No secure context, or not allowed: the old way.
      getSelection().selectAllChildren(line);
      return document.execCommand("copy");
    }
  };

  /**
   * @param {HTMLButtonElement} button
   * @param {string} text the line beside it
   */
  const label = (button, text) => {
    const left = last.text === text ? last.until - Date.now() : 0;
    button.textContent = left > 0 ? "copied" : "copy";
    button.setAttribute("aria-label", `${button.textContent} ${text}`);
    if (left > 0) setTimeout(() => label(button, text), left);
  };

  for (const line of document.querySelectorAll(".kfwd code[data-copy]:not([data-kept])")) {
    line.dataset.kept = "";
    const text = line.textContent;
    const button = document.createElement("button");
    button.type = "button";
    button.addEventListener("click", async () => {
      if (await copy(line)) Object.assign(last, { text, until: Date.now() + SAID_FOR });
      label(button, text);
    });
    label(button, text);
    line.after(button);
  }
})();
