// A conversation on the page, and a connection that lasts.

/** A WebSocket that is opened anew when it drops, later each time. `open` makes one; states: connecting, on, again, out. */
export function connect(open, { onState, onMessage }) {
  let socket;
  let timer;
  let drops = 0;
  let since = Infinity;
  let isOpening = false;

  function again() {
    const wait = Math.min(30_000, 500 * 2 ** drops) * (0.75 + Math.random() / 2);
    drops += 1;
    onState("again", Math.ceil(wait / 1000));
    timer = setTimeout(start, wait);
  }

  async function start() {
    clearTimeout(timer);
    if (isOpening || socket?.readyState <= WebSocket.OPEN) return;
    isOpening = true;
    onState(drops ? "again" : "connecting");
    try {
      socket = await open();
    } catch {
      return again();
    } finally {
      isOpening = false;
    }
    socket.addEventListener("message", ({ data }) => {
      // The first shows that it is really open: the app sends one at once.
      if (since === Infinity) since = performance.now();
      drops = 0;
      onState("on");
      onMessage(JSON.parse(data));
    });
    socket.addEventListener("close", ({ code, reason }) => {
      const lasted = performance.now() - since;
      since = Infinity;
      // 4401: the identity ended. By its time alone, a new token is all it takes; else somebody ended it.
      if (code !== 4401) again();
      else if (reason !== "session ended") onState("out");
      else if (lasted > 5000) start();
      else again();
    });
  }

  addEventListener("online", () => drops && start());
  const say = (message) => {
    const isOpen = socket?.readyState === WebSocket.OPEN;
    if (isOpen) socket.send(JSON.stringify(message));
    return isOpen;
  };
  return { start, say };
}

const made = (name, className, text) => Object.assign(document.createElement(name), { className, textContent: text });

/** What was said, in a list. `own` is the side that stands on the right; `onOffer` opens a page of the portal. */
export class Conversation {
  constructor({ log, typing, own, onOffer, empty }) {
    Object.assign(this, { log, typing, own, onOffer, empty, last: null });
  }

  reset(messages) {
    // Read out is what is said from now on.
    this.log.ariaBusy = "true";
    this.log.replaceChildren();
    this.last = null;
    this.quiet();
    for (const message of messages) this.add(message, false);
    if (!messages.length && this.empty) this.log.append(made("div", "still", this.empty));
    this.log.ariaBusy = "false";
  }

  /** `isNow` when it was said just now. */
  add({ from, author, text, at, offers }, isNow = true) {
    this.log.querySelector(".still")?.remove();
    if (from !== "customer") this.quiet();
    const item = made("div", from, "");
    item.classList.toggle("own", from === this.own);
    item.classList.toggle("now", isNow);
    const minute = Math.floor(at / 60);
    if (this.last?.author !== author || this.last.minute !== minute) {
      const when = new Date(at * 1000);
      const by = made("div", "by", "");
      const time = made("time", "", when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
      time.dateTime = when.toISOString();
      by.append(made("b", "", from === this.own ? "You" : author), time);
      item.append(by);
    }
    this.last = { author, minute };
    item.append(made("div", "said", text));
    if (offers && this.onOffer) {
      const button = made("button", "offer", "Open my tickets");
      button.addEventListener("click", () => this.onOffer(offers));
      item.append(button);
    }
    this.log.append(item);
    this.log.scrollTop = this.log.scrollHeight;
  }

  writes(author) {
    this.typing.replaceChildren(made("i", "", ""), made("i", "", ""), made("i", "", ""), `${author} is typing`);
    this.typing.hidden = false;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.quiet(), 8000);
  }

  quiet() {
    clearTimeout(this.timer);
    this.typing.hidden = true;
  }
}
