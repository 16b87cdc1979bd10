// The part with a row for each forward, and its buttons.

import { copy } from "./clipboard.js";
import { enable, make, reconcile } from "./elements.js";
import { stateCell } from "./states.js";
import { bytes, perSecond } from "./units.js";

/** @typedef {import("./store.js").ForwardRow} ForwardRow */

export class Forwards {
  constructor({ store, chosen, actions }) {
    this.store = store;
    this.chosen = chosen;
    this.actions = actions;
    this.rows = make("tbody");
    this.none = make("p", { class: "quiet" }, "Nothing is forwarded in this kernel.");
    const head = ["Address", "Target", "State", "Connections", "In", "Out"].map((name) =>
      make("th", { scope: "col", class: name === "In" || name === "Out" ? "number" : "" }, name),
    );
    head.push(make("td", {})); // of the buttons
    this.table = make(
      "table",
      {},
      make("caption", {}, "Forwards"),
      make("thead", {}, make("tr", {}, ...head)),
      this.rows,
    );
    this.element = make("section", { class: "scroll forwards" }, this.table, this.none);
  }

  draw() {
    const rows = [...this.store.forwards.values()];
    this.none.hidden = rows.length > 0;
    this.table.hidden = !rows.length;
    const picked = this.chosen.key;
    const wanted = rows.map((row) => ({
      key: row.key,
      version: JSON.stringify([row.target, row.name, row.state, row.reason, row.warning, row.dialect,
        row.addresses, picked === row.key, this.store.lost]),
      build: () => this.row(row, picked === row.key),
      fill: (element) => fillFigures(element, row),
    }));
    reconcile(this.rows, wanted);
  }

  /**
   * @param {ForwardRow} row
   * @param {boolean} picked
   */
  row(row, picked) {
    const running = row.state !== "stopped" && row.state !== "gone";
    const name = row.target.endsWith(row.name) ? row.target : `${row.target} (${row.name})`;
    const pick = make(
      "button",
      {
        type: "button", class: "link", "data-what": "pick", "aria-pressed": String(picked),
        title: "show only the connections of this one",
        onclick: () => this.chosen.pick(picked ? "" : row.name),
      },
      name,
    );
    const news = [row.reason, row.warning].filter(Boolean).map((text) => make("div", { class: "news" }, text));
    const button = (what, label, doing) =>
      enable(make("button", {
        type: "button", class: "small", "data-what": what, "aria-label": `${label} ${row.name}`,
        onclick: (event) => this.actions.begin(event.currentTarget, { what, key: row.key }, doing),
      }, label), !this.store.lost);
    const figure = (name, tag = "span") => make(tag, { "data-figure": name, class: tag === "div" ? "quiet" : "" });
    return make(
      "tr",
      { class: picked ? "chosen" : "" },
      make("td", {}, ...row.addresses.map((each) => addressLine(each, running)), ...news),
      make("td", {}, pick, make("div", { class: "quiet" }, `${row.context}/${row.namespace}`)),
      make(
        "td",
        {},
        stateCell(row.state),
        make("div", { class: "quiet", title: row.why }, row.dialect, row.simulated ? ", simulated isolation" : ""),
      ),
      make("td", {}, figure("open"), figure("opened", "div")),
      make("td", { class: "number" }, figure("in"), figure("rateIn", "div")),
      make("td", { class: "number" }, figure("out"), figure("rateOut", "div")),
      make("td", { class: "actions" }, row.state !== "stopped" ? button("stop", "Stop", "Stopping") : "", button("restart", "Restart", "Starting")),
    );
  }
}

/**
 * @param {import("./store.js").Address} address
 * @param {boolean} running whether there is somebody to reach
 */
function addressLine({ text, link, remote }, running) {
  return make(
    "div",
    { class: "address" },
    running && link // there is none where something else than HTTP is spoken
      ? make("a", { href: link, target: "_blank", rel: "noopener" }, text)
      : text,
    ` → ${remote} `,
    running
      ? make("button", {
          type: "button", class: "small", "data-what": `copy ${text}`,
          "aria-label": `copy ${text}`, title: "copy the address",
          onclick: (event) => copy(event.currentTarget, text),
        }, "Copy")
      : "",
  );
}

/** The figures of a row, in place: a button that is pressed just now must not be replaced.
 * @param {HTMLElement} element
 * @param {ForwardRow} row */
function fillFigures(element, row) {
  const figures = {
    open: `${row.open} open`,
    opened: `${row.opened} in all${row.failed ? `, ${row.failed} failed` : ""}`,
    in: bytes(row.in),
    rateIn: perSecond(row.rateIn),
    out: bytes(row.out),
    rateOut: perSecond(row.rateOut),
  };
  for (const [name, text] of Object.entries(figures)) {
    const cell = element.querySelector(`[data-figure="${name}"]`);
    if (cell.textContent !== text) cell.textContent = text;
  }
}
