// What a button does in the kernel, and how it shows that it waits.

const SLOW = 300; // milliseconds without an answer, after which a button says that it waits
const LONG = 10_000; // milliseconds without an answer, after which the kernel may well be gone

export class Actions {
  constructor(store, status) {
    this.store = store;
    this.status = status;
  }

  /** Do something in the kernel; the button shows at once that it waits. */
  begin(button, content, doing) {
    if (button.getAttribute("aria-busy") === "true") return;
    const { status } = this;
    const label = button.textContent;
    button.setAttribute("aria-busy", "true");
    button.textContent = `${doing} …`;
    const slow = setTimeout(() => {
      button.textContent = "Waiting …";
      status.say(`${label}: no answer yet: a cell may be running.`);
    }, SLOW);
    const long = setTimeout(() => {
      status.say(`${label}: no answer for ${LONG / 1000} seconds: a cell is running, or the kernel is gone.`);
    }, LONG);
    const heard = () => (clearTimeout(slow), clearTimeout(long));
    this.store.ask(
      { kind: "act", ...content },
      {
        taken: () => {
          heard();
          button.textContent = `${doing} …`;
          status.say("");
        },
        said: (line) => status.say(line),
        done: ({ error, note }) => {
          heard();
          button.setAttribute("aria-busy", "false");
          button.textContent = label;
          if (error) status.say(error, "bad");
          else status.say(note ?? "");
        },
      },
    );
  }
}
