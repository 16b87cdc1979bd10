// The part with the way of a forward: its hops, which the kernel asks only while somebody looks.

import { make } from "./elements.js";

let looking = 0; // ways of this page, each with a name of its own to the kernel

export class Way {
  constructor({ store, chosen, alone }) {
    this.store = store;
    this.chosen = chosen;
    this.asker = `${store.name}/view-${++looking}`;
    this.title = make("span", {});
    this.picture = make("div", { class: "picture" });
    const summary = make("summary", {}, this.title);
    this.details = make("details", { class: "way", ontoggle: () => this.watch() }, summary, this.picture);
    this.details.open = alone; // nothing else is there to be looked at
    this.element = make("section", {}, this.details);
  }

  /** The forward whose way is shown: the one that is picked, or the first that runs. */
  of() {
    const running = [...this.store.forwards.values()].filter((row) => row.state === "listening");
    return this.chosen.row ?? running[0];
  }

  /** Say whose way is looked at, once: a hub would take a page that says it again for work. */
  watch() {
    const key = this.details.open ? this.of()?.key : undefined;
    if (key === this.watched) return;
    if (this.watched) this.store.send({ kind: "unwatch", asker: this.asker, key: this.watched });
    if (key) this.store.send({ kind: "watch", asker: this.asker, key });
    this.watched = key;
  }

  draw() {
    const row = this.of();
    this.title.textContent = row ? `The way of ${row.name}: where its bytes are` : "The way of a forward";
    if (!this.details.open) return;
    this.watch();
    // Our own template has made it, and escaped whatever came from elsewhere.
    const html = this.store.lost ? "" : (this.store.ways.get(row?.key) ?? "");
    if (html !== this.shown) this.picture.innerHTML = this.shown = html;
    const none = row ? "The hops are asked …" : "Nothing is forwarded in this kernel.";
    if (!html) this.picture.textContent = this.store.lost || none;
  }

  close() {
    this.details.open = false;
    this.watch();
  }
}
