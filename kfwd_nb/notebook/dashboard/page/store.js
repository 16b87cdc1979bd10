// What the kernel has said, kept once for all views of a model; and asking it, until it answers.

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
 * @typedef {{taken?: () => void, said: (line: string) => void, done: (answer: object) => void}} Waiting
 *   who waits for an answer: it is under way; a line meanwhile; the end
 */

const MAX_SAMPLES = 300;
const MAX_EVENTS = 300;
const AGAIN = 3000; // milliseconds without the answer, after which it is asked for again, and
const MAX_AGAIN = 30_000; // twice as many each time, at most so many

const GONE = "The kernel that drew this is gone; run the cell again.";
const OVER = "This dashboard has ended; run the cell again.";

/** Tells of each change by an event, `changed`. */
export class Store extends EventTarget {
  constructor(model) {
    super();
    this.model = model;
    // What one page asks, every page of the notebook hears the answer to.
    this.name = Math.random().toString(36).slice(2);
    this.asked = 0;
    /** @type {Map<string, Waiting>} */
    this.waiting = new Map(); // by the name of the question
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

  /** Ask the kernel.
   * @param {Waiting} waiting */
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
