// The part with the throughput of the last minutes.

import { make, svg } from "./elements.js";
import { bytes, perSecond } from "./units.js";

const PLOT_SECONDS = 120; // what it looks back

export class Plot {
  constructor({ store, chosen }) {
    this.store = store;
    this.chosen = chosen;
    this.curves = { in: svg("polyline", { class: "in" }), out: svg("polyline", { class: "out" }) };
    const base = svg("line", { class: "base", x1: 0, x2: PLOT_SECONDS, y1: 100, y2: 100 });
    this.picture = svg("svg", {
      viewBox: `0 -2 ${PLOT_SECONDS} 104`, preserveAspectRatio: "none", role: "img",
    });
    this.picture.append(base, this.curves.in, this.curves.out);
    this.top = make("span", { class: "quiet" });
    this.legend = make("span", { class: "legend" });
    this.title = make("h4", {});
    const head = make("div", { class: "tools" }, this.title, this.legend, this.top);
    this.element = make("section", { class: "plot" }, head, make("div", { class: "frame" }, this.picture));
  }

  draw() {
    const now = this.store.now();
    const from = now - PLOT_SECONDS;
    const of = this.chosen.row?.name ?? "all forwards";
    this.title.textContent = `Throughput of ${of}, last 2 minutes`;
    const samples = this.chosen.samples.filter(([at]) => at >= from - 2);
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
    this.top.textContent = samples.length ? `from 0 to ${bytes(top)}/s` : "";
    this.picture.setAttribute("aria-label", `at most ${bytes(top)} a second in the last two minutes`);
    this.legend.replaceChildren(
      make("span", { class: "in" }, `── in ${perSecond(fresh[1])}`),
      make("span", { class: "out" }, `┄┄ out ${perSecond(fresh[2])}`),
    );
  }

  /** It moves on while there is something to be seen in it. */
  tick() {
    const last = this.chosen.samples.at(-1);
    if (last && this.store.now() - last[0] < PLOT_SECONDS + 2) this.draw();
  }
}
