// The columns of the connections: what stands in each, and what it is sorted by.

import { make } from "./elements.js";
import { stateCell } from "./states.js";
import { bytes, clock, duration } from "./units.js";

/**
 * @typedef {import("./store.js").ConnectionRow} ConnectionRow
 * @typedef {import("./store.js").Store} Store
 */

/**
 * @typedef {{name: string, label: string, number?: boolean,
 *   value: (row: ConnectionRow, store: Store) => string | number,
 *   cell: (row: ConnectionRow, store: Store) => string | HTMLElement}} Column
 */

/** @type {Column[]} */
export const COLUMNS = [
  {
    name: "opened", label: "Opened",
    value: (row) => row.opened,
    cell: (row) => clock(row.opened),
  },
  {
    name: "forward", label: "Connection", // each forward counts its own
    value: nameOfForward,
    cell: (row, store) => `${nameOfForward(row, store)} #${row.number}`,
  },
  { name: "state", label: "State", value: (row) => row.state, cell: (row) => stateCell(row.state) },
  { name: "pod", label: "Pod", value: (row) => row.pod, cell: (row, store) => shortPod(row, store) || "–" },
  { name: "node", label: "Node", value: (row) => row.node, cell: (row) => row.node || "–" },
  { name: "remote", label: "Port", number: true, value: (row) => row.remote, cell: (row) => String(row.remote) },
  { name: "in", label: "In", number: true, value: (row) => row.in, cell: (row) => bytes(row.in) },
  { name: "out", label: "Out", number: true, value: (row) => row.out, cell: (row) => bytes(row.out) },
  {
    name: "firstByte", label: "First byte", number: true,
    value: (row) => row.firstByte ?? Infinity,
    cell: (row) => (row.firstByte === null ? "–" : duration(row.firstByte)),
  },
  {
    name: "age", label: "Age", number: true,
    value: (row, store) => (row.closed ?? store.now()) - row.opened,
    cell: (row, store) =>
      row.closed === null
        ? make("span", { "data-since": row.opened }, age(row.opened, store.now()))
        : age(row.opened, row.closed),
  },
  { name: "reason", label: "Why it closed", value: (row) => row.reason, cell: (row) => row.reason },
];

/** @param {ConnectionRow} row @param {Store} store */
export function nameOfForward(row, store) {
  return store.forwards.get(row.forward)?.name ?? "";
}

export function age(opened, end) {
  return duration(Math.max(0, end - opened));
}

/** Without the namespace, where it is the forward's own. */
function shortPod(row, store) {
  const own = `${store.forwards.get(row.forward)?.namespace}/`;
  return row.pod.startsWith(own) ? row.pod.slice(own.length) : row.pod;
}
