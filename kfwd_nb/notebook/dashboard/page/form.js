// The part that starts a forward: fields, and what the cluster offers for them.

import { enable, make } from "./elements.js";

let lists = 0; // ids of datalists are the page's

export class Form {
  constructor({ store, status, actions }) {
    this.store = store;
    this.status = status;
    this.actions = actions;
    this.fields = {};
    this.contexts = make("select", { name: "context", onchange: () => this.contextChosen() });
    this.button = make("button", { type: "submit", class: "primary", "data-what": "start" }, "Forward");
    this.form = make(
      "form",
      {
        class: "launch", "aria-label": "start a forward",
        onsubmit: (event) => this.start(event),
        onkeydown: (event) => this.entered(event),
      },
      make("label", { class: "context" }, make("span", {}, "Context"), this.contexts),
      this.field("namespace", "Namespace", "default"),
      this.field("target", "Pod or service", "svc/api"),
      this.field("port", "Port", "80 or 8080:80"),
      this.button,
    );
    this.element = make("section", {}, this.form, status.element);
    this.choose();
  }

  field(name, label, hint) {
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
        said: () => {},
        done: ({ choices, error }) => {
          if (asked !== this.asked) return; // a later question is under way
          if (error || !choices) return this.status.say(error ?? "", "bad");
          this.offer(choices);
          if (choices.problem) this.status.say(choices.problem, "bad");
          else if (this.problem) this.status.say("");
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

  start(event) {
    event.preventDefault();
    this.actions.begin(this.button, { what: "start", ...this.values() }, "Starting");
  }

  /** Enter in a field: JupyterLab keeps the key from submitting the form. */
  entered(event) {
    if (event.key !== "Enter" || event.isComposing || event.target.tagName !== "INPUT") return;
    event.stopPropagation();
    this.start(event);
  }

  draw() {
    for (const each of this.form.elements) enable(each, !this.store.lost);
  }
}
