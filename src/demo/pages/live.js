// What changes under the visitor's eyes: lists of tickets by server-sent events, the log of requests by asking.

/** Puts what is new into a list, and leaves alone what is as it was: somebody may be writing there. */
function merge(list, html) {
  const fresh = Object.assign(document.createElement("template"), { innerHTML: html });
  const before = new Map([...list.children].map((item) => [item.dataset.ticket, item]));
  const items = [...fresh.content.children].map((item) => {
    const old = before.get(item.dataset.ticket);
    const details = item.querySelector("details");
    if (old?.textContent === item.textContent) return old;
    if (details) details.open = old?.querySelector("details").open ?? true;
    item.classList.add("fresh");
    return item;
  });
  const same = items.length === list.children.length && items.every((item, at) => item === list.children[at]);
  if (!same) list.replaceChildren(...items);
}

/**
 * Whose page this is. The cookie that goes with a request belongs to the whole browser: after a sign-in in another tab the
 * stream reconnects as somebody else, and the page would show the one's name over the other's list. So each message says whose
 * it is, and a page that is not theirs any more is loaded anew.
 */
const { user } = document.body.dataset;
function isMine(now) {
  if (now === user) return true;
  location.reload();
  return false;
}

// A page that is opened tells those that are: where the next person came by a form of another site, which brings no cookie, the
// session before is not known to end, and neither does its stream.
const channel = new BroadcastChannel("user");
channel.addEventListener("message", ({ data }) => user && isMine(data));
if (user) channel.postMessage(user);

/** Whether the visitor was signed out, which is then said; or somebody else is here. */
export async function isOut() {
  const answer = await fetch("/whoami", { headers: { Accept: "application/json" } }).catch(() => null);
  const out = document.querySelector("[data-out]");
  if (answer?.status === 401) out.hidden = false;
  else if (answer?.ok) isMine((await answer.json()).user);
  return !out.hidden;
}

for (const list of document.querySelectorAll("[data-follow]")) {
  let source;
  const follow = () => {
    source = new EventSource(list.dataset.follow);
    source.addEventListener("message", ({ data }) => {
      const { user, html } = JSON.parse(data);
      if (isMine(user)) merge(list, html);
      else source.close();
    });
    source.addEventListener("error", () => {
      // Where the browser has given up; a page that is left is gone by then.
      if (source.readyState === EventSource.CLOSED) setTimeout(again, 500);
    });
  };
  const again = async () => {
    if (!(await isOut())) setTimeout(() => source.readyState === EventSource.CLOSED && follow(), 5000);
  };
  // Browsers keep six connections to a host open: a page nobody looks at needs none.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) source.close();
    else if (source.readyState === EventSource.CLOSED && document.querySelector("[data-out]").hidden) follow();
  });
  follow();
}

const log = document.querySelector("[data-latest]");
async function look() {
  if (!document.hidden) {
    const answer = await fetch(`/public/log?after=${log.dataset.latest}`).catch(() => null);
    if (answer?.ok) {
      const { latest, html } = await answer.json();
      if (html !== null) log.innerHTML = html;
      log.dataset.latest = latest;
    }
  }
  setTimeout(look, 1500);
}
if (log) look();
