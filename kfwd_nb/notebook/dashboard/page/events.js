// The part with the log of events, the last one first.

import { make, reconcile } from "./elements.js";
import { clock } from "./units.js";

const SIGNS = { bad: "✕", good: "✓" };

export class Events {
  constructor({ store, chosen }) {
    this.store = store;
    this.chosen = chosen;
    this.lines = make("ol", { reversed: true, role: "log", "aria-label": "events", tabindex: "0" });
    this.element = make("section", { class: "log" }, make("h4", {}, "Events"), this.lines);
  }

  draw() {
    const lines = this.chosen.only(this.store.events).reverse();
    reconcile(
      this.lines,
      lines.map((each) => ({ key: each.key, version: each.text, build: () => eventLine(each) })),
    );
  }
}

/** @param {import("./store.js").LogLine} line */
function eventLine({ time, name, tone, text }) {
  return make(
    "li",
    { class: tone },
    make("time", { class: "quiet" }, clock(time)),
    make("span", { class: "sign", "aria-hidden": "true" }, SIGNS[tone] ?? "·"),
    make("span", { class: "who" }, name),
    make("span", { class: "text" }, text),
  );
}
