// The dashboard in the browser. The kernel sends rows of plain values, first all (`snapshot`), then
// what has changed; sorting, filtering and drawing happen here. All text goes in as text, never as
// markup. A model may have several views; what they show is kept once, in its store.

import { Actions } from "./actions.js";
import { Chosen } from "./chosen.js";
import { Connections } from "./connections.js";
import { make } from "./elements.js";
import { Events } from "./events.js";
import { Form } from "./form.js";
import { Forwards } from "./forwards.js";
import { Plot } from "./plot.js";
import { Status } from "./status.js";
import { Store } from "./store.js";
import { Way } from "./way.js";

/**
 * What a view shows is made of parts. Each is a class that is made with a `Shared`.
 * @typedef {{store: Store, chosen: Chosen, status: Status, actions: Actions, alone: boolean}} Shared
 *   what the parts of a view have in common; `alone` if there is but one
 * @typedef {{element: HTMLElement, draw: () => void, tick?: () => void, close?: () => void}} Part
 *   drawn when something has changed, told of each second, and of the end of the view
 */

/** By the names that `Dashboard(parts)` has for them. */
const PARTS = {
  start: Form,
  forwards: Forwards,
  throughput: Plot,
  way: Way,
  connections: Connections,
  events: Events,
};

const PAUSE = 250; // milliseconds between two drawings, at the least

class View {
  /** @param {Store} store */
  constructor(store, root) {
    this.store = store;
    this.drawn = 0;
    this.timer = undefined;
    this.status = new Status(store);
    const rows = store.model.get("parts");
    const names = rows.flat();
    /** @type {Shared} */
    const shared = {
      store,
      chosen: new Chosen(store),
      status: this.status,
      actions: new Actions(store, this.status),
      alone: names.length === 1,
    };
    /** @type {Map<string, Part>} */
    this.parts = new Map([...new Set(names)].map((name) => [name, new PARTS[name](shared)]));
    const element = (name) => this.parts.get(name).element;
    root.classList.add("kfwd-dashboard");
    root.append(
      ...rows.map((row) => (Array.isArray(row) ? make("div", { class: "row" }, ...row.map(element)) : element(row))),
    );
    if (!root.contains(this.status.element)) root.append(this.status.element);
    this.changed = () => this.draw();
    store.addEventListener("changed", this.changed);
    store.model.on("change:chosen", this.changed);
    this.clock = setInterval(() => this.tick(), 1000);
    this.draw();
  }

  close() {
    this.store.removeEventListener("changed", this.changed);
    this.store.model.off("change:chosen", this.changed);
    for (const part of this.parts.values()) part.close?.();
    clearInterval(this.clock);
    clearTimeout(this.timer);
  }

  /** Draw soon, at most once in `PAUSE` milliseconds. */
  draw() {
    if (this.timer !== undefined) return;
    const wait = Math.max(0, this.drawn + PAUSE - performance.now());
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.drawn = performance.now();
      this.status.draw();
      for (const part of this.parts.values()) part.draw();
    }, wait);
  }

  tick() {
    this.store.look();
    for (const part of this.parts.values()) part.tick?.();
  }
}

const stores = new WeakMap();

export default {
  initialize({ model }) {
    stores.set(model, new Store(model));
  },

  render({ model, el }) {
    const store = stores.get(model) ?? new Store(model);
    stores.set(model, store);
    const view = new View(store, el);
    // The plain form stands above for those who see no widget.
    const still = make("style", {}, `[data-kfwd-still="${model.get("still")}"] { display: none; }`);
    document.head.append(still);
    return () => {
      still.remove();
      view.close();
    };
  },
};
