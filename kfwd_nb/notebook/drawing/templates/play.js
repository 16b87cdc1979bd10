// Plays a request: one step at a time, by buttons, arrow keys and a clock that people can follow.
// Where scripts do not run (an untrusted notebook, GitHub) all steps stand below each other.
(() => {
  /** Milliseconds that a step stays while it plays. */
  const STAY = 1600;

  /** @param {HTMLElement} root one player */
  const begin = (root) => {
    const steps = /** @type {HTMLElement[]} */ ([...root.querySelectorAll("li")]);
    const controls = root.querySelector(".controls");
    const place = root.querySelector("[role=status]");
    const button = (name) => root.querySelector(`button[data-does=${name}]`);
    let at = 0;
    /** @type {number | undefined} the clock, while it plays */
    let clock;

    const show = (next) => {
      at = Math.max(0, Math.min(next, steps.length - 1));
      steps.forEach((step, number) => (step.hidden = number !== at));
      place.textContent = `step ${at + 1} of ${steps.length}`;
      // Not `disabled`: a button that has the focus would lose it, and the keys with it.
      button("back").setAttribute("aria-disabled", String(at === 0));
      button("next").setAttribute("aria-disabled", String(at === steps.length - 1));
    };
    const pause = () => {
      clearInterval(clock);
      clock = undefined;
      button("play").textContent = "play";
    };
    const tick = () => {
      if (!root.isConnected || at === steps.length - 1) pause();
      else show(at + 1);
    };
    const play = () => {
      if (at === steps.length - 1) show(0);
      clock = setInterval(tick, STAY);
      button("play").textContent = "pause";
    };
    const acts = {
      play: () => (clock === undefined ? play() : pause()),
      back: () => (pause(), show(at - 1)),
      next: () => (pause(), show(at + 1)),
      replay: () => (pause(), show(0), play()),
      last: () => (pause(), show(steps.length - 1)),
      first: () => (pause(), show(0)),
    };
    const keys = {
      ArrowLeft: "back", ArrowRight: "next", ArrowUp: "back", ArrowDown: "next",
      Home: "first", End: "last", " ": "play", r: "replay",
    };
    controls.addEventListener("click", (event) => {
      const pressed = /** @type {HTMLElement} */ (event.target).closest("button");
      if (pressed) acts[pressed.dataset.does]();
    });
    root.addEventListener("keydown", (event) => {
      const act = keys[event.key];
      const presses = event.key === " " && event.target !== root; // of a button, by itself
      if (!act || presses || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation();
      acts[act]();
    });
    root.tabIndex = 0;
    controls.hidden = false;
    show(0);
  };

  for (const root of document.querySelectorAll(".kfwd.play:not([data-kept])")) {
    root.dataset.kept = "";
    begin(/** @type {HTMLElement} */ (root));
  }
})();
