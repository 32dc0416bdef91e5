// The support widget, the board, and the way back: all by the portal's client, with tokens of our own backend.
import { Conversation, connect } from "./chat.js";

const $ = (selector) => document.querySelector(selector);
const chat = $("#chat");
const launcher = $(".launcher");
const input = chat.querySelector(".say input");
const [ended, notice] = [chat.querySelector(".ended[role=alert]"), chat.querySelector(".ended[role=alert] span")];
const { user, token, tenant } = chat.dataset;

/** A new token from our backend, if it still knows the person of this page. */
async function freshToken() {
  const answer = await fetch("/support-token", { method: "POST", body: new URLSearchParams({ user }) });
  if (answer.ok) return (await answer.json()).token;
  isStale = answer.status === 401;
  return null;
}
let isStale = false;

const portal = Vestibule.init({
  portal: chat.dataset.portal,
  tenantKey: tenant,
  jwt: token,
  onTokenRefresh: freshToken,
});

// ---- The chat

const state = chat.querySelector(".state");
const words = { connecting: "Connecting", again: "Connection lost, trying again", out: "Signed out" };
let agents = 0;

const conversation = new Conversation({
  log: chat.querySelector(".log"),
  typing: chat.querySelector(".typing"),
  own: "customer",
  onOffer: openPortal,
  empty: "Ask us anything. An assistant answers at once, and Ada from support reads along.",
});

const connection = connect(() => portal.websocket("/chat", ["chat"]), {
  onState(now) {
    chat.dataset.state = state.dataset.state = now;
    const here = agents ? "Ada is here" : "The assistant is here";
    const says = now === "on" ? here : words[now];
    if (state.textContent !== says) state.textContent = says;
    if (isStale || now === "out") {
      notice.textContent = isStale
        ? "You are no longer signed in to Nordwind here."
        : "You were signed out. What was said stays with us.";
      ended.hidden = false;
    } else if (now === "on") ended.hidden = true;
  },
  onMessage(news) {
    if (news.agents !== undefined) {
      agents = news.agents;
      state.textContent = agents ? "Ada is here" : "The assistant is here";
    }
    if (news.type === "rooms") conversation.reset(news.rooms[0]?.messages ?? []);
    if (news.type === "typing") conversation.writes(news.author);
    if (news.type === "message") {
      conversation.add(news.message);
      if (chat.hidden) unread(1);
    }
  },
});

let waiting = 0;
function unread(more) {
  waiting = more ? waiting + more : 0;
  const count = launcher.querySelector(".count");
  count.textContent = waiting;
  count.hidden = !waiting;
  launcher.ariaLabel = waiting ? `Support chat, ${waiting} new` : "Support chat";
}

function show(isOpen, takesFocus = true) {
  chat.hidden = !isOpen;
  launcher.ariaExpanded = isOpen;
  sessionStorage.setItem("chat", isOpen ? "open" : "");
  if (isOpen) unread(0);
  conversation.log.scrollTop = conversation.log.scrollHeight;
  if (takesFocus) (isOpen ? input : launcher).focus({ preventScroll: true });
}

function say(text) {
  if (!text.trim() || !connection.say({ text })) return;
  input.value = "";
  step("open");
}

launcher.addEventListener("click", () => show(true));
chat.querySelector("[data-close]").addEventListener("click", () => show(false));
chat.addEventListener("keydown", (event) => event.key === "Escape" && show(false));
chat.querySelector(".say").addEventListener("submit", (event) => {
  event.preventDefault();
  say(input.value);
});
for (const chip of chat.querySelectorAll(".chips button")) chip.addEventListener("click", () => say(chip.textContent));
ended.querySelector("button").addEventListener("click", () => {
  if (isStale) return location.reload();
  ended.hidden = true;
  connection.start();
  portal.embed($(".board iframe"), "/board");
});

// ---- Into the portal

/** Who was sent here by the helpdesk goes back in the same tab. */
const target = chat.dataset.sent === undefined ? "_blank" : "_self";

function openPortal(page) {
  step("done");
  const { pathname, search } = new URL(page, chat.dataset.portal);
  portal.openPortal(pathname + search, { target });
}

for (const button of document.querySelectorAll("[data-open]")) {
  button.addEventListener("click", () => openPortal(button.dataset.open));
}

for (const link of document.querySelectorAll("[data-way]")) {
  link.addEventListener("click", async (event) => {
    event.preventDefault();
    const fresh = await freshToken();
    if (!fresh) return;
    const url = new URL(link.dataset.way, chat.dataset.portal);
    url.searchParams.set("token", fresh);
    if (link.dataset.way === "/_auth/exchange") url.searchParams.set("return_to", chat.dataset.return);
    location.assign(url);
  });
}

chat.querySelector(".ways details").addEventListener("toggle", async (event) => {
  if (!event.target.open) return;
  const fresh = await freshToken();
  const text = fresh && atob(fresh.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"));
  const bytes = Uint8Array.from(text ?? "", (letter) => letter.charCodeAt(0));
  const claims = fresh && JSON.parse(new TextDecoder().decode(bytes));
  chat.querySelector("pre").textContent = JSON.stringify(claims, null, 1);
});

// ---- Security

$("[data-revoke]").addEventListener("click", async ({ currentTarget: button }) => {
  button.disabled = true;
  const answer = await fetch("/security/revoke", { method: "POST" });
  const told = $("[data-revoked]");
  told.textContent = answer.ok
    ? "Done. Every session and token up to now has ended: watch the chat, the board and the portal."
    : "That did not work. Please try again.";
  told.hidden = false;
  button.disabled = false;
});

// ---- Out: of the portal too, or the next person here would find its tab and its board as they were

$("form[data-out]").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  // It ends the board's session, and where app and portal are of one site the portal's; our backend leads on to the rest.
  await Promise.race([portal.logout(), new Promise((resume) => setTimeout(resume, 2000))]);
  form.submit();
});

// ---- The guide

function step(name) {
  const all = [...document.querySelectorAll(".guide ol li")];
  const at = name === "done" ? 3 : all.findIndex((item) => item.dataset.step === name);
  const now = all.findIndex((item) => item.ariaCurrent);
  if (at <= now) return;
  all.forEach((item, place) => {
    item.className = place < at ? "done" : "";
    if (place === at) item.ariaCurrent = "step";
    else item.removeAttribute("aria-current");
  });
}

connection.start();
portal.embed($(".board iframe"), "/board");
if (chat.dataset.sent !== undefined || sessionStorage.getItem("chat")) show(true, false);
