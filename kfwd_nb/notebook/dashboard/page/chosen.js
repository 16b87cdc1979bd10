// Which forward is picked. The model keeps its name: all its views, and Python, have the same one.

export class Chosen {
  /** @param {import("./store.js").Store} store */
  constructor(store) {
    this.store = store;
  }

  /** Key of the forward that is picked; "" for all. */
  get key() {
    const name = this.store.model.get("chosen");
    return [...this.store.forwards.values()].find((row) => row.name === name)?.key ?? "";
  }

  /** The forward that is picked; none for all. */
  get row() {
    return this.store.forwards.get(this.key);
  }

  /** Throughput of the forward that is picked, or of all.
   * @returns {import("./store.js").Sample[]} */
  get samples() {
    return this.store.samples[this.key] ?? [];
  }

  /** Those of `rows` that belong to the forward that is picked.
   * @template {{forward: string}} Row
   * @param {Iterable<Row>} rows
   * @returns {Row[]} */
  only(rows) {
    const { key } = this;
    return [...rows].filter((row) => !key || row.forward === key);
  }

  /** Pick a forward; "" for all. */
  pick(name) {
    this.store.model.set("chosen", name);
    this.store.model.save_changes();
  }
}
