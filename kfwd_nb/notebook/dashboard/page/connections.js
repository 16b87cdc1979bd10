// The part with a row for each connection: searched, sorted, and drawn as far as one can read.

import { age, COLUMNS, nameOfForward } from "./columns.js";
import { make, reconcile } from "./elements.js";

/** @typedef {import("./store.js").ConnectionRow} ConnectionRow */

const MAX_SHOWN = 200; // connections that are drawn at once; the rest is counted

export class Connections {
  constructor({ store, chosen }) {
    this.store = store;
    this.chosen = chosen;
    this.sort = { column: "opened", down: true };
    this.search = make("input", {
      type: "search", placeholder: "pod, node, reason …", "aria-label": "search connections",
      oninput: () => this.draw(),
    });
    this.which = make(
      "select",
      { "aria-label": "which connections", onchange: () => this.draw() },
      ...["all", "open", "closed", "failed"].map((name) => make("option", { value: name }, name)),
    );
    this.heads = new Map();
    const head = COLUMNS.map(({ name, label, number }) => {
      const button = make("button", { type: "button", class: "link", onclick: () => this.sortBy(name) }, label);
      const cell = make("th", { scope: "col", class: number ? "number" : "" }, button);
      this.heads.set(name, cell);
      return cell;
    });
    this.rows = make("tbody");
    this.rest = make("p", { class: "quiet", role: "status" });
    this.element = make(
      "section",
      { class: "connections" },
      make("div", { class: "tools" }, make("h4", {}, "Connections"), this.which, this.search),
      make(
        "div",
        { class: "scroll", tabindex: "0", role: "region", "aria-label": "connections" },
        make("table", {}, make("thead", {}, make("tr", {}, ...head)), this.rows),
      ),
      this.rest,
    );
  }

  sortBy(column) {
    this.sort = { column, down: this.sort.column === column ? !this.sort.down : true };
    this.draw();
  }

  draw() {
    for (const [name, cell] of this.heads) {
      const sorted = name === this.sort.column;
      cell.setAttribute("aria-sort", sorted ? (this.sort.down ? "descending" : "ascending") : "none");
    }
    const all = this.chosen.only(this.store.connections.values());
    const found = this.sorted(this.matching(all));
    reconcile(
      this.rows,
      found.slice(0, MAX_SHOWN).map((row) => ({
        key: row.key,
        version: JSON.stringify(row),
        build: () => this.row(row),
      })),
    );
    const parts = [];
    if (found.length > MAX_SHOWN) parts.push(`${found.length - MAX_SHOWN} more fit; search or sort to see them`);
    if (this.store.hidden) parts.push(`${this.store.hidden} older ones are forgotten`);
    if (!found.length) parts.push(all.length ? "No connection fits." : "No connection yet.");
    this.rest.textContent = parts.join("; ");
  }

  /** Those that are searched for.
   * @param {ConnectionRow[]} rows */
  matching(rows) {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const which = this.which.value;
    return rows.filter(
      (row) =>
        (which === "all" || (which === "failed" ? row.state === "failed" : (row.closed === null) === (which === "open"))) &&
        words.every((word) =>
          [row.pod, row.node, row.peer, row.state, row.dialect, row.reason, String(row.remote), nameOfForward(row, this.store)]
            .join(" ").toLowerCase().includes(word)),
    );
  }

  /** @param {ConnectionRow[]} rows */
  sorted(rows) {
    const { value } = COLUMNS.find(({ name }) => name === this.sort.column);
    const order = (a, b) => {
      const [x, y] = [value(a, this.store), value(b, this.store)];
      return (x < y ? -1 : x > y ? 1 : 0) || a.opened - b.opened || a.number - b.number;
    };
    return rows.sort(this.sort.down ? (a, b) => order(b, a) : order);
  }

  /** @param {ConnectionRow} row */
  row(row) {
    return make(
      "tr",
      { class: row.state === "failed" ? "failed" : "" },
      ...COLUMNS.map(({ name, label, number, cell }) =>
        make("td", { class: `${name} ${number ? "number" : ""}`, "data-label": label }, cell(row, this.store))),
    );
  }

  /** What is open grows older. */
  tick() {
    for (const cell of this.rows.querySelectorAll("[data-since]")) {
      cell.textContent = age(Number(cell.dataset.since), this.store.now());
    }
  }
}
