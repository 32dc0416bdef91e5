// The staff desk: all chats, by the session cookie.
import { Conversation, connect } from "./chat.js";
import { isOut } from "./live.js";

const desk = document.querySelector(".desk");
const list = desk.querySelector(".rooms");
const form = desk.querySelector(".say");
const state = document.querySelector(".chats .state");
const rooms = new Map();
let open;

const conversation = new Conversation({
  log: desk.querySelector(".log"),
  typing: desk.querySelector(".typing"),
  own: "agent",
  empty: "Nothing was said here yet.",
});

const words = { connecting: "Connecting", on: "Live", again: "Connection lost, trying again", out: "Signed out" };

const connection = connect(
  async () => {
    const url = new URL("/agents/chat", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    return new WebSocket(url, ["chat"]);
  },
  {
    onState(now) {
      state.dataset.state = now;
      if (state.textContent !== words[now]) state.textContent = words[now];
      // Signed out, or somebody else signed in.
      if (now === "out") isOut();
    },
    onMessage(news) {
      if (news.type === "rooms") {
        for (const room of news.rooms) rooms.set(room.id, { unread: 0, ...rooms.get(room.id), ...room });
        choose(open ?? latest());
      }
      if (news.type === "message") hear(news.message, news.name);
      if (news.type === "typing" && news.room === open) conversation.writes(news.author);
    },
  },
);

const lastOf = (room) => room.messages.at(-1);
const byTime = () => [...rooms.values()].sort((one, other) => (lastOf(other)?.number ?? 0) - (lastOf(one)?.number ?? 0));
const latest = () => byTime()[0]?.id;

function hear(message, name) {
  const room = rooms.get(message.room) ?? { id: message.room, messages: [], unread: 0 };
  rooms.set(room.id, { ...room, name });
  room.messages.push(message);
  room.messages.splice(0, room.messages.length - 100);
  if (!open) return choose(room.id);
  if (room.id === open) conversation.add(message);
  else if (message.from === "customer") rooms.get(room.id).unread += 1;
  paint();
}

function choose(id) {
  open = id;
  desk.hidden = !id;
  document.querySelector(".chats .none").hidden = Boolean(id);
  if (!id) return;
  const room = rooms.get(id);
  room.unread = 0;
  form.elements.text.placeholder = `Answer ${room.name}`;
  conversation.reset(room.messages);
  paint();
}

function paint() {
  const had = document.activeElement?.dataset?.room;
  const make = (name, className, text) => Object.assign(document.createElement(name), { className, textContent: text });
  const items = byTime().map((room) => {
    const button = make("button", "", "");
    button.dataset.room = room.id;
    button.ariaPressed = room.id === open;
    const face = make("span", "face", room.name.slice(0, 1));
    face.ariaHidden = "true";
    const text = make("span", "", "");
    text.append(make("b", "", room.name), make("small", "", lastOf(room)?.text ?? "has opened the chat"));
    button.append(face, text);
    if (room.unread) button.append(make("span", "count", room.unread));
    button.addEventListener("click", () => choose(room.id));
    const item = make("li", "", "");
    item.append(button);
    return item;
  });
  list.replaceChildren(...items);
  if (had) list.querySelector(`[data-room="${CSS.escape(had)}"]`)?.focus();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const { text } = form.elements;
  if (text.value.trim() && connection.say({ text: text.value, room: open })) text.value = "";
});

connection.start();
