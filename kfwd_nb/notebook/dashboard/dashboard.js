// The dashboard in the browser. The kernel sends rows of plain values, first all (`snapshot`), then
// what has changed; sorting, filtering and drawing happen here. All text goes in as text, never as
// markup. A model may have several views; what they show is kept once, in its store.

/**
 * @typedef {{text: string, link: string, remote: string}} Address
 * @typedef {{key: string, name: string, target: string, context: string, namespace: string,
 *   state: string, reason: string, dialect: string, why: string, simulated: boolean,
 *   addresses: Address[], warning: string, open: number, opened: number, failed: number,
 *   in: number, out: number, rateIn: number, rateOut: number}} ForwardRow
 * @typedef {{key: string, forward: string, number: number, peer: string, local: number,
 *   remote: number, pod: string, node: string, dialect: string, state: string, in: number,
 *   out: number, firstByte: number | null, opened: number, closed: number | null,
 *   reason: string}} ConnectionRow
 * @typedef {{key: string, forward: string, name: string, time: number, kind: string, tone: string,
 *   text: string}} LogLine
 * @typedef {[at: number, inward: number, outward: number]} Sample
 * @typedef {Record<string, Sample[]>} Samples by key of the forward; "" for all of them
 */

const MAX_SHOWN = 200; // connections that are drawn at once; the rest is counted
const PLOT_SECONDS = 120; // what the plot looks back
const MAX_SAMPLES = 300;
const MAX_EVENTS = 300;
const SLOW = 300; // milliseconds without an answer, after which a button says that it waits
const AGAIN = 3000; // milliseconds without the answer, after which it is asked for again, and
const MAX_AGAIN = 30_000; // twice as many each time, at most so many
const LONG = 10_000; // milliseconds without an answer, after which the kernel may well be gone
const PAUSE = 250; // milliseconds between two drawings, at the least

const GONE = "The kernel that drew this is gone; run the cell again.";
const OVER = "This dashboard has ended; run the cell again.";

// -- what the views of a model share -----------------------------------------------------------

class Store extends EventTarget {
  constructor(model) {
    super();
    this.model = model;
    // What one page asks, every page of the notebook hears the answer to.
    this.name = Math.random().toString(36).slice(2);
    this.asked = 0;
    this.waiting = new Map(); // name of a question → who waits for its answer
    this.ways = new Map(); // key of a forward → the picture of its way, as HTML
    this.lost = ""; // why nobody answers any more, in words
    this.kernel = this.kernelOfPage();
    this.take(model.get("snapshot") ?? {});
    model.on("msg:custom", (message) => this.hear(message));
    model.on("comm_live_update", () => this.greet()); // a restart: what is closed cannot be used
    this.greet(); // the answer has what was said before this script had come
  }

  take({ forwards = [], connections = [], hidden = 0, samples = {}, events = [], now }) {
    /** @type {Map<string, ForwardRow>} */
    this.forwards = new Map(forwards.map((row) => [row.key, row]));
    /** @type {Map<string, ConnectionRow>} */
    this.connections = new Map(connections.map((row) => [row.key, row]));
    this.hidden = hidden;
    /** @type {Samples} */
    this.samples = samples;
    /** @type {LogLine[]} */
    this.events = events;
    this.ahead = now ? Date.now() / 1000 - now : 0; // of this clock, over the kernel's
  }

  /** Forget what belongs to forwards that are gone. */
  prune() {
    for (const key of Object.keys(this.samples)) {
      if (key && !this.forwards.has(key)) delete this.samples[key];
    }
    for (const key of this.ways.keys()) {
      if (!this.forwards.has(key)) this.ways.delete(key);
    }
  }

  greet(pause = AGAIN) {
    this.serial = undefined; // of the last difference; unknown until the answer has come
    clearTimeout(this.greeting);
    if (!this.send({ kind: "hello", asker: this.name })) return;
    this.greeting = setTimeout(() => this.greet(Math.min(2 * pause, MAX_AGAIN)), pause);
  }

  /** False where the kernel is gone. */
  send(content) {
    try {
      this.model.send(content);
      return true;
    } catch {
      this.lose(GONE);
      return false;
    }
  }

  /** Which kernel the page has; JupyterLab knows, other hosts do not say. */
  kernelOfPage() {
    return this.model.widget_manager?.kernel?.id;
  }

  /** A kernel that is shut down, or changed for another one, closes nothing and tells nobody. */
  look() {
    if (this.kernelOfPage() !== this.kernel) this.lose(GONE);
  }

  /** Nobody answers any more, and what the kernel held is gone with it. */
  lose(why) {
    if (this.lost) return;
    this.lost = why;
    clearTimeout(this.greeting);
    for (const [key, row] of this.forwards) {
      if (row.state !== "stopped") {
        this.forwards.set(key, { ...row, state: "gone", open: 0, rateIn: 0, rateOut: 0 });
      }
    }
    for (const [key, row] of this.connections) {
      if (row.closed === null) this.connections.set(key, { ...row, state: "gone", closed: this.now() });
    }
    for (const waiting of this.waiting.values()) waiting.done({ error: why });
    this.waiting.clear();
    this.dispatchEvent(new Event("changed"));
  }

  hear(message) {
    if (message.kind === "over") return this.lose(OVER);
    if (this.lost) { // it was believed too early
      this.lost = "";
      this.greet();
    }
    if (message.kind === "whole") {
      if (message.asker !== this.name) return;
      this.take(message);
      this.prune();
      this.serial = message.serial;
      clearTimeout(this.greeting);
      this.dispatchEvent(new Event("changed"));
      return;
    }
    if (message.kind === "way") {
      this.ways.set(message.key, message.html);
      this.dispatchEvent(new Event("changed"));
      return;
    }
    if (message.kind === "changed") {
      if (this.serial !== undefined && message.serial !== this.serial + 1) this.greet(); // one is lost
      else if (this.serial !== undefined) this.serial = message.serial;
      for (const row of message.forwards ?? []) this.forwards.set(row.key, row);
      if (message.order) {
        this.forwards = new Map(
          message.order.filter((key) => this.forwards.has(key)).map((key) => [key, this.forwards.get(key)]),
        );
      }
      for (const row of message.connections ?? []) this.connections.set(row.key, row);
      for (const key of message.gone ?? []) this.connections.delete(key);
      if (message.hidden !== undefined) this.hidden = message.hidden;
      for (const [key, samples] of Object.entries(message.samples ?? {})) {
        this.samples[key] = [...(this.samples[key] ?? []), ...samples].slice(-MAX_SAMPLES);
      }
      this.prune();
      if (message.events) this.events = [...this.events, ...message.events].slice(-MAX_EVENTS);
      this.ahead = Date.now() / 1000 - message.now;
      this.dispatchEvent(new Event("changed"));
      return;
    }
    const waiting = this.waiting.get(message.asker);
    if (!waiting) return;
    waiting.taken?.();
    delete waiting.taken; // an answer may come again
    if (message.kind === "said") waiting.said(message.line);
    if (message.kind === "done") {
      this.waiting.delete(message.asker);
      waiting.done(message);
      // The last difference was lost, and none has come since that would show it.
      if (this.serial !== undefined && message.serial > this.serial) this.greet();
    }
  }

  /** Ask the kernel; `waiting` hears `taken`, `said` and `done`. */
  ask(content, waiting) {
    if (this.lost) return waiting.done({ error: this.lost });
    const asker = `${this.name}/${++this.asked}`;
    this.waiting.set(asker, waiting);
    this.insist({ ...content, asker }, AGAIN);
  }

  /** Ask until the answer comes: a server drops messages when there are many, and says nothing.
   * The kernel does a thing once, however often it is asked. */
  insist(question, pause) {
    if (!this.waiting.has(question.asker) || !this.send(question)) return;
    setTimeout(() => this.insist(question, Math.min(2 * pause, MAX_AGAIN)), pause);
  }

  /** The kernel's time, in seconds. */
  now() {
    return Date.now() / 1000 - this.ahead;
  }
}

// -- small things ------------------------------------------------------------------------------

/** An element with attributes and children; strings become text. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function enable(control, enabled) {
  control.disabled = !enabled;
  control.setAttribute("aria-disabled", String(!enabled));
  return control;
}

function bytes(count) {
  if (count < 1024) return `${Math.round(count)} B`;
  let unit = -1;
  do {
    count /= 1024;
    unit += 1;
  } while (count >= 1000 && unit < 3);
  return `${count < 99.95 ? count.toFixed(1) : Math.round(count)} ${["KiB", "MiB", "GiB", "TiB"][unit]}`;
}

function duration(seconds) {
  if (seconds < 0.1) return `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

const perSecond = (rate) => (rate ? `${bytes(rate)}/s` : "idle");

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

function stateCell(state) {
  const sign = make("span", { "aria-hidden": "true", class: "sign" }, STATES[state] ?? "·");
  return make("span", { class: `state ${state.replace(" ", "-")}` }, sign, ` ${state}`);
}

/** Replace the children of `parent` by `wanted`, but keep those with an unchanged `data-version`:
 * focus and selections survive an update. So does a button that waits for its answer. */
function reconcile(parent, wanted) {
  const had = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let at = parent.firstElementChild;
  for (const { key, version, build, fill } of wanted) {
    let child = had.get(key);
    if (child && child.dataset.version !== version) {
      const fresh = build();
      const focused = child.contains(document.activeElement) && document.activeElement.dataset.what;
      for (const busy of child.querySelectorAll("button[aria-busy=true]")) {
        fresh.querySelector(`[data-what="${busy.dataset.what}"]`)?.replaceWith(busy);
      }
      if (at === child) at = fresh;
      child.replaceWith(fresh);
      if (focused) fresh.querySelector(`[data-what="${focused}"]`)?.focus();
      child = fresh;
    }
    child ??= build();
    child.dataset.key = key;
    child.dataset.version = version;
    fill?.(child);
    had.delete(key);
    if (child === at) at = at.nextElementSibling;
    else parent.insertBefore(child, at);
  }
  for (const child of had.values()) child.remove();
}

let views = 0;
let lists = 0; // ids of datalists are the page's

// -- one view ----------------------------------------------------------------------------------

class View {
  /** @param {Store} store */
  constructor(store, root) {
    this.store = store;
    this.root = root;
    this.name = `${store.name}/view-${++views}`; // of this view, to the kernel
    this.sort = { column: "opened", down: true };
    this.drawn = 0;
    this.lostShown = "";
    this.timer = undefined;
    root.classList.add("kfwd-dashboard");
    this.status = make("p", { role: "status", "aria-live": "polite", class: "status" });
    const parts = {
      start: this.form(),
      forwards: this.overview(),
      throughput: this.plot(),
      way: this.way(),
      connections: this.table(),
      events: this.log(),
    };
    const rows = store.model.get("parts");
    root.append(
      ...rows.map((row) => (Array.isArray(row) ? make("div", { class: "row" }, ...row.map((name) => parts[name])) : parts[row])),
    );
    this.parts = rows.flat();
    if (!root.contains(this.status)) root.append(this.status);
    this.changed = () => this.draw();
    store.addEventListener("changed", this.changed);
    this.picked = () => (this.watch(), this.draw());
    store.model.on("change:chosen", this.picked);
    this.clock = setInterval(() => this.tick(), 1000);
    this.draw();
    if (this.parts.includes("start")) this.choose();
    if (this.parts.length === 1) this.details.open = true;
  }

  close() {
    this.store.removeEventListener("changed", this.changed);
    this.store.model.off("change:chosen", this.picked);
    this.details.open = false;
    this.watch();
    clearInterval(this.clock);
    clearTimeout(this.timer);
  }

  /** Key of the forward that is picked; "" for all. The model keeps its name. */
  get chosen() {
    const name = this.store.model.get("chosen");
    return [...this.store.forwards.values()].find((row) => row.name === name)?.key ?? "";
  }

  choosePart(name) {
    this.store.model.set("chosen", name);
    this.store.model.save_changes();
  }

  /** Draw soon, at most once in `PAUSE` milliseconds. */
  draw() {
    if (this.timer !== undefined) return;
    const wait = Math.max(0, this.drawn + PAUSE - performance.now());
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.drawn = performance.now();
      this.drawLost();
      this.drawForwards();
      this.drawPlot();
      this.drawWay();
      this.drawConnections();
      this.drawLog();
    }, wait);
  }

  /** Say that nobody answers, or no more that nobody does, and take what asks out of use. */
  drawLost() {
    const { lost } = this.store;
    if (lost !== this.lostShown) this.say((this.lostShown = lost), "bad");
    for (const each of this.root.querySelectorAll("form :is(input, select, button)")) enable(each, !lost);
  }

  tick() {
    this.store.look();
    const last = (this.store.samples[this.chosen] ?? []).at(-1);
    if (last && this.store.now() - last[0] < PLOT_SECONDS + 2) this.drawPlot();
    for (const cell of this.root.querySelectorAll("[data-since]")) {
      cell.textContent = duration(Math.max(0, this.store.now() - Number(cell.dataset.since)));
    }
  }

  // -- the form --------------------------------------------------------------------------------

  form() {
    const field = (name, label, hint) => {
      const list = make("datalist", { id: `kfwd-list-${++lists}` });
      const input = make("input", {
        name,
        list: list.id,
        autocomplete: "off",
        spellcheck: "false",
        placeholder: hint,
        onchange: () => this.choose(),
      });
      this.fields[name] = { input, list };
      return make("label", { class: name }, make("span", {}, label), input, list);
    };
    this.fields = {};
    this.contexts = make("select", { name: "context", onchange: () => this.contextChosen() });
    this.startButton = make("button", { type: "submit", class: "primary", "data-what": "start" }, "Forward");
    const form = make(
      "form",
      {
        class: "launch", "aria-label": "start a forward",
        onsubmit: (event) => this.start(event),
        onkeydown: (event) => this.entered(event),
      },
      make("label", { class: "context" }, make("span", {}, "Context"), this.contexts),
      field("namespace", "Namespace", "default"),
      field("target", "Pod or service", "svc/api"),
      field("port", "Port", "80 or 8080:80"),
      this.startButton,
    );
    return make("section", {}, form, this.status);
  }

  contextChosen() {
    for (const name of ["namespace", "target", "port"]) this.fields[name].input.value = "";
    this.choose();
  }

  values() {
    const values = { context: this.contexts.value };
    for (const [name, { input }] of Object.entries(this.fields)) values[name] = input.value.trim();
    return values;
  }

  /** Ask what the fields can have, and offer it. */
  choose() {
    const asked = (this.asked = this.values());
    this.store.ask(
      { kind: "choose", ...asked },
      {
        taken: () => {},
        said: () => {},
        done: ({ choices, error }) => {
          if (asked !== this.asked) return; // a later question is under way
          if (error || !choices) return this.say(error ?? "", "bad");
          this.offer(choices);
          if (choices.problem) this.say(choices.problem, "bad");
          else if (this.problem) this.say("", "");
          this.problem = Boolean(choices.problem);
        },
      },
    );
  }

  offer({ contexts, context, namespaces, namespace, targets, ports }) {
    this.contexts.replaceChildren(...contexts.map((name) => make("option", { value: name }, name)));
    if (context) this.contexts.value = context;
    this.fields.namespace.input.placeholder = namespace || "default";
    for (const [name, options] of [["namespace", namespaces], ["target", targets], ["port", ports]]) {
      this.fields[name].list.replaceChildren(...options.map((value) => make("option", { value })));
    }
    const port = this.fields.port.input;
    if (port.value === this.filled) port.value = ""; // it was another target's, and nobody's choice
    if (ports.length === 1 && !port.value) this.filled = port.value = ports[0];
    else if (ports.length > 1) port.placeholder = ports.join(", ");
  }

  say(text, kind) {
    this.status.textContent = text;
    this.status.className = `status ${kind}`;
  }

  start(event) {
    event.preventDefault();
    this.act(this.startButton, { what: "start", ...this.values() }, "Starting");
  }

  /** Enter in a field: JupyterLab keeps the key from submitting the form. */
  entered(event) {
    if (event.key !== "Enter" || event.isComposing || event.target.tagName !== "INPUT") return;
    event.stopPropagation();
    this.start(event);
  }

  /** Do something in the kernel; the button shows at once that it waits. */
  act(button, content, doing, ended = () => {}) {
    if (button.getAttribute("aria-busy") === "true") return;
    const label = button.textContent;
    button.setAttribute("aria-busy", "true");
    button.textContent = `${doing} …`;
    const slow = setTimeout(() => {
      button.textContent = "Waiting …";
      this.say(`${label}: no answer yet: a cell may be running.`, "");
    }, SLOW);
    const long = setTimeout(() => {
      this.say(`${label}: no answer for ${LONG / 1000} seconds: a cell is running, or the kernel is gone.`, "");
    }, LONG);
    const heard = () => (clearTimeout(slow), clearTimeout(long));
    this.store.ask(
      { kind: "act", ...content },
      {
        taken: () => {
          heard();
          button.textContent = `${doing} …`;
          this.say("", "");
        },
        said: (line) => this.say(line, ""),
        done: ({ error, note }) => {
          heard();
          button.setAttribute("aria-busy", "false");
          button.textContent = label;
          if (error) this.say(error, "bad");
          else this.say(note ?? "", "");
          ended();
        },
      },
    );
  }

  // -- forwards --------------------------------------------------------------------------------

  overview() {
    this.forwards = make("tbody");
    this.none = make("p", { class: "quiet" }, "Nothing is forwarded in this kernel.");
    const head = ["Address", "Target", "State", "Connections", "In", "Out"].map((name) =>
      make("th", { scope: "col", class: name === "In" || name === "Out" ? "number" : "" }, name),
    );
    head.push(make("td", {})); // of the buttons
    this.overviewTable = make(
      "table",
      {},
      make("caption", {}, "Forwards"),
      make("thead", {}, make("tr", {}, ...head)),
      this.forwards,
    );
    return make("section", { class: "scroll forwards" }, this.overviewTable, this.none);
  }

  drawForwards() {
    const rows = [...this.store.forwards.values()];
    this.none.hidden = rows.length > 0;
    this.overviewTable.hidden = !rows.length;
    const picked = this.chosen;
    const wanted = rows.map((row) => ({
      key: row.key,
      version: JSON.stringify([row.target, row.name, row.state, row.reason, row.warning, row.dialect,
        row.addresses, picked === row.key, this.store.lost]),
      build: () => this.forwardRow(row),
      fill: (element) => this.fillRow(element, row),
    }));
    reconcile(this.forwards, wanted);
  }

  /** @param {ForwardRow} row */
  forwardRow(row) {
    const running = row.state !== "stopped" && row.state !== "gone";
    const addresses = row.addresses.map((each) =>
      make(
        "div",
        { class: "address" },
        running && each.link // there is none where something else than HTTP is spoken
          ? make("a", { href: each.link, target: "_blank", rel: "noopener" }, each.text)
          : each.text,
        ` → ${each.remote} `,
        running
          ? make("button", {
              type: "button", class: "small", "data-what": `copy ${each.text}`,
              "aria-label": `copy ${each.text}`, title: "copy the address",
              onclick: (event) => this.copy(event.currentTarget, each.text),
            }, "Copy")
          : "",
      ),
    );
    const name = row.target.endsWith(row.name) ? row.target : `${row.target} (${row.name})`;
    const chosen = this.chosen === row.key;
    const pick = make(
      "button",
      {
        type: "button", class: "link", "data-what": "pick", "aria-pressed": String(chosen),
        title: "show only the connections of this one",
        onclick: () => this.choosePart(chosen ? "" : row.name),
      },
      name,
    );
    const news = [row.reason, row.warning].filter(Boolean).map((text) => make("div", { class: "news" }, text));
    const button = (what, label, doing) =>
      enable(make("button", {
        type: "button", class: "small", "data-what": what, "aria-label": `${label} ${row.name}`,
        onclick: (event) => this.act(event.currentTarget, { what, key: row.key }, doing),
      }, label), !this.store.lost);
    const figure = (name, tag = "span") => make(tag, { "data-figure": name, class: tag === "div" ? "quiet" : "" });
    return make(
      "tr",
      { class: chosen ? "chosen" : "" },
      make("td", {}, ...addresses, ...news),
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

  /** The figures of a row, in place: a button that is pressed just now must not be replaced. */
  fillRow(element, row) {
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

  async copy(button, text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = make("textarea", {}, text); // pages that are not served by HTTPS
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  }

  // -- throughput ------------------------------------------------------------------------------

  plot() {
    const svg = (tag, attributes) => {
      const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
      for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
      return element;
    };
    this.curves = { in: svg("polyline", { class: "in" }), out: svg("polyline", { class: "out" }) };
    const base = svg("line", { class: "base", x1: 0, x2: PLOT_SECONDS, y1: 100, y2: 100 });
    this.picture = svg("svg", {
      viewBox: `0 -2 ${PLOT_SECONDS} 104`, preserveAspectRatio: "none", role: "img",
    });
    this.picture.append(base, this.curves.in, this.curves.out);
    this.top = make("span", { class: "quiet" });
    this.legend = make("span", { class: "legend" });
    this.plotTitle = make("h4", {});
    const head = make("div", { class: "tools" }, this.plotTitle, this.legend, this.top);
    return make("section", { class: "plot" }, head, make("div", { class: "frame" }, this.picture));
  }

  drawPlot() {
    const now = this.store.now();
    const from = now - PLOT_SECONDS;
    const of = this.store.forwards.get(this.chosen)?.name ?? "all forwards";
    this.plotTitle.textContent = `Throughput of ${of}, last 2 minutes`;
    const samples = (this.store.samples[this.chosen] ?? []).filter(([at]) => at >= from - 2);
    const top = Math.max(1024, ...samples.map((each) => Math.max(each[1], each[2])));
    const last = samples.at(-1);
    for (const [name, index] of [["in", 1], ["out", 2]]) {
      const points = [];
      const add = (at, rate) => points.push(`${(at - from).toFixed(2)},${(100 - (100 * rate) / top).toFixed(2)}`);
      let before = from;
      for (const sample of samples) {
        if (sample[0] - before > 2.5) { // nothing passed in between
          add(before, 0);
          add(sample[0] - 1, 0);
        }
        add(sample[0], sample[index]);
        before = sample[0];
      }
      if (now - before > 2.5) add(before + 1, 0);
      add(now, last && now - last[0] < 2.5 ? last[index] : 0);
      this.curves[name].setAttribute("points", points.join(" "));
    }
    const fresh = last && now - last[0] < 2.5 ? last : [now, 0, 0];
    this.top.textContent = `full height ${bytes(top)}/s`;
    this.picture.setAttribute("aria-label", `at most ${bytes(top)} a second in the last two minutes`);
    this.legend.replaceChildren(
      make("span", { class: "in" }, `── in ${perSecond(fresh[1])}`),
      make("span", { class: "out" }, `┄┄ out ${perSecond(fresh[2])}`),
    );
  }

  // -- the way ---------------------------------------------------------------------------------

  way() {
    this.wayName = make("span", {});
    this.wayPicture = make("div", { class: "picture" });
    const summary = make("summary", {}, this.wayName);
    this.details = make("details", { class: "way", ontoggle: () => this.watch() }, summary, this.wayPicture);
    return make("section", {}, this.details);
  }

  /** The forward whose way is shown: the one that is picked, or the first that runs. */
  wayOf() {
    const running = [...this.store.forwards.values()].filter((row) => row.state === "listening");
    return this.store.forwards.get(this.chosen) ?? running[0];
  }

  /** Say whose way is looked at, once: a hub would take a page that says it again for work. */
  watch() {
    const looks = this.details.open && this.parts.includes("way");
    const key = looks ? this.wayOf()?.key : undefined;
    if (key === this.watched) return;
    if (this.watched) this.store.send({ kind: "unwatch", asker: this.name, key: this.watched });
    if (key) this.store.send({ kind: "watch", asker: this.name, key });
    this.watched = key;
  }

  drawWay() {
    const row = this.wayOf();
    this.wayName.textContent = row ? `The way of ${row.name}: where its bytes are` : "The way of a forward";
    if (!this.details.open) return;
    this.watch();
    // Our own template has made it, and escaped whatever came from elsewhere.
    const html = this.store.lost ? "" : (this.store.ways.get(row?.key) ?? "");
    if (html !== this.wayShown) this.wayPicture.innerHTML = this.wayShown = html;
    const none = row ? "The hops are asked …" : "Nothing is forwarded in this kernel.";
    if (!html) this.wayPicture.textContent = this.store.lost || none;
  }

  // -- connections -----------------------------------------------------------------------------

  table() {
    this.search = make("input", {
      type: "search", placeholder: "pod, node, reason …", "aria-label": "search connections",
      oninput: () => this.drawConnections(),
    });
    this.only = make(
      "select",
      { "aria-label": "which connections", onchange: () => this.drawConnections() },
      ...["all", "open", "closed", "failed"].map((name) => make("option", { value: name }, name)),
    );
    this.heads = new Map();
    const head = COLUMNS.map(({ name, label, number }) => {
      const button = make("button", { type: "button", class: "link", onclick: () => this.sortBy(name) }, label);
      const cell = make("th", { scope: "col", class: number ? "number" : "" }, button);
      this.heads.set(name, cell);
      return cell;
    });
    this.connections = make("tbody");
    this.rest = make("p", { class: "quiet", role: "status" });
    return make(
      "section",
      { class: "connections" },
      make("div", { class: "tools" }, make("h4", {}, "Connections"), this.only, this.search),
      make(
        "div",
        { class: "scroll", tabindex: "0", role: "region", "aria-label": "connections" },
        make("table", {}, make("thead", {}, make("tr", {}, ...head)), this.connections),
      ),
      this.rest,
    );
  }

  sortBy(column) {
    this.sort = { column, down: this.sort.column === column ? !this.sort.down : true };
    this.drawConnections();
  }

  /** @returns {ConnectionRow[]} */
  wanted() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const only = this.only.value;
    const { value } = COLUMNS.find(({ name }) => name === this.sort.column);
    const found = [...this.store.connections.values()].filter(
      (row) =>
        (!this.chosen || row.forward === this.chosen) &&
        (only === "all" || (only === "failed" ? row.state === "failed" : (row.closed === null) === (only === "open"))) &&
        words.every((word) =>
          [row.pod, row.node, row.peer, row.state, row.dialect, row.reason, String(row.remote), this.nameOf(row)]
            .join(" ").toLowerCase().includes(word)),
    );
    const order = (a, b) => {
      const [x, y] = [value(a, this), value(b, this)];
      return (x < y ? -1 : x > y ? 1 : 0) || a.opened - b.opened || a.number - b.number;
    };
    return found.sort(this.sort.down ? (a, b) => order(b, a) : order);
  }

  nameOf(row) {
    return this.store.forwards.get(row.forward)?.name ?? "";
  }

  /** Without the namespace, where it is the forward's own. */
  podOf(row) {
    const own = `${this.store.forwards.get(row.forward)?.namespace}/`;
    return row.pod.startsWith(own) ? row.pod.slice(own.length) : row.pod;
  }

  drawConnections() {
    for (const [name, cell] of this.heads) {
      const sorted = name === this.sort.column;
      cell.setAttribute("aria-sort", sorted ? (this.sort.down ? "descending" : "ascending") : "none");
    }
    const found = this.wanted();
    reconcile(
      this.connections,
      found.slice(0, MAX_SHOWN).map((row) => ({
        key: row.key,
        version: JSON.stringify(row),
        build: () =>
          make(
            "tr",
            { class: row.state === "failed" ? "failed" : "" },
            ...COLUMNS.map(({ name, label, number, cell }) =>
              make("td", { class: `${name} ${number ? "number" : ""}`, "data-label": label }, cell(row, this))),
          ),
      })),
    );
    const parts = [];
    if (found.length > MAX_SHOWN) parts.push(`${found.length - MAX_SHOWN} more fit; search or sort to see them`);
    if (this.store.hidden) parts.push(`${this.store.hidden} older ones are forgotten`);
    const some = [...this.store.connections.values()].some((row) => !this.chosen || row.forward === this.chosen);
    if (!found.length) parts.push(some ? "No connection fits." : "No connection yet.");
    this.rest.textContent = parts.join("; ");
  }

  // -- events ----------------------------------------------------------------------------------

  log() {
    this.lines = make("ol", { reversed: true, role: "log", "aria-label": "events", tabindex: "0" });
    return make("section", { class: "log" }, make("h4", {}, "Events"), this.lines);
  }

  drawLog() {
    const lines = this.store.events.filter((each) => !this.chosen || each.forward === this.chosen);
    const sign = { bad: "✕", good: "✓" };
    reconcile(
      this.lines,
      lines.reverse().map((each) => ({
        key: each.key,
        version: each.text,
        build: () =>
          make(
            "li",
            { class: each.tone },
            make("time", { class: "quiet" }, new Date(each.time * 1000).toLocaleTimeString()),
            make("span", { class: "sign", "aria-hidden": "true" }, sign[each.tone] ?? "·"),
            make("span", { class: "who" }, each.name),
            make("span", { class: "text" }, each.text),
          ),
      })),
    );
  }
}

/** What stands in each column, and what it is sorted by. */
const COLUMNS = [
  {
    name: "opened", label: "Opened",
    value: (row) => row.opened,
    cell: (row) => new Date(row.opened * 1000).toLocaleTimeString(),
  },
  {
    name: "forward", label: "Connection", // each forward counts its own
    value: (row, view) => view.nameOf(row),
    cell: (row, view) => `${view.nameOf(row)} #${row.number}`,
  },
  { name: "state", label: "State", value: (row) => row.state, cell: (row) => stateCell(row.state) },
  { name: "pod", label: "Pod", value: (row) => row.pod, cell: (row, view) => view.podOf(row) || "–" },
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
    value: (row, view) => (row.closed ?? view.store.now()) - row.opened,
    cell: (row, view) =>
      row.closed === null
        ? make("span", { "data-since": row.opened }, duration(Math.max(0, view.store.now() - row.opened)))
        : duration(Math.max(0, row.closed - row.opened)),
  },
  { name: "reason", label: "Why it closed", value: (row) => row.reason, cell: (row) => row.reason },
];

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
