// The line of a view that says what became of a question, and that nobody answers any more.

import { make } from "./elements.js";

export class Status {
  constructor(store) {
    this.store = store;
    this.lost = ""; // what it has said of that
    this.element = make("p", { role: "status", "aria-live": "polite", class: "status" });
  }

  say(text, kind = "") {
    this.element.textContent = text;
    this.element.className = `status ${kind}`;
  }

  /** Say that nobody answers, or no more that nobody does. */
  draw() {
    const { lost } = this.store;
    if (lost !== this.lost) this.say((this.lost = lost), "bad");
  }
}
