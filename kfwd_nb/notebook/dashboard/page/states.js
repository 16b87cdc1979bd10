// The state of a forward or a connection, as a sign and a word.

import { make } from "./elements.js";

const STATES = {
  listening: "●",
  starting: "◌",
  stopped: "■",
  gone: "■",
  open: "●",
  opening: "◌",
  waiting: "◔",
  closed: "○",
  failed: "✕",
  "local ended": "◐",
  "pod ended": "◑",
};

export function stateCell(state) {
  const sign = make("span", { "aria-hidden": "true", class: "sign" }, STATES[state] ?? "·");
  return make("span", { class: `state ${state.replace(" ", "-")}` }, sign, ` ${state}`);
}
