// Chats and streams: by cookie from the portal's own pages, by bearer from the customer's, from foreign pages none; and all
// of them end with the identity they were opened with.

import assert from "node:assert/strict";
import { sleep, until } from "./support.mjs";

async function scene(stage, options = {}) {
  const customer = await stage.customer();
  const app = await stage.app();
  const route = 'bearer_param = "access"';
  const portal = await stage.vestibule({ app, customer, route, ...options });
  const context = await stage.browser();
  const page = await context.newPage();
  /** The portal's own page, signed in. */
  const enter = async () => {
    await page.goto(`${portal.origin}/tickets/17?token=${customer.token()}`);
    assert.equal(await page.textContent("h1"), "maya");
  };
  const visit = async (site) => {
    site.answers["/"] = "<!doctype html><title>A page</title><h1>A page</h1>";
    await page.goto(site.origin);
  };
  const at = (path) => `ws://localhost:${portal.port}${path}`;
  const revoke = async (how, who = "maya") => {
    if (how === "operator") {
      const { status } = await fetch(`http://127.0.0.1:${portal.adminPort}/revocations`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ tenant: "ten_acme", user: who }),
      });
      assert.equal(status, 204);
    } else {
      const headers = { Authorization: `Bearer ${customer.token({ userId: who, revoke: "user" })}` };
      assert.equal((await fetch(`${portal.origin}/_auth/revoke`, { method: "POST", headers })).status, 204);
    }
  };
  return { customer, app, portal, context, page, enter, visit, at, revoke };
}

/** In the page: opens a WebSocket, says something, and keeps it as `socket`; `ended` tells how it ends, and when. */
const speaks = (page, url, protocols) =>
  page.evaluate(
    async ([url, protocols]) => {
      const socket = new WebSocket(url, protocols);
      window.socket = socket;
      window.ended = new Promise((resolve) => (socket.onclose = ({ code }) => resolve({ code, at: Date.now() })));
      const opened = new Promise((resolve) => (socket.onopen = () => resolve(true)));
      if (!(await Promise.race([opened, window.ended.then(() => false)]))) return null;
      const heard = new Promise((resolve) => (socket.onmessage = ({ data }) => resolve(data)));
      socket.send("hello");
      return { heard: await heard, protocol: socket.protocol };
    },
    [url, protocols],
  );

/** In the page: reads a stream; `stream` has how many events came, how often it was opened, and when it broke. */
const listens = (page, url, withCredentials = false) =>
  page.evaluate(
    ([url, withCredentials]) =>
      new Promise((resolve) => {
        const source = new EventSource(url, { withCredentials });
        const stream = { events: 0, opened: 0, broken: 0 };
        window.stream = stream;
        source.onopen = () => (stream.opened += 1);
        source.onerror = () => {
          stream.broken ||= Date.now();
          stream.state = source.readyState;
          if (source.readyState === EventSource.CLOSED) resolve(stream.events);
        };
        source.onmessage = () => {
          stream.events += 1;
          if (stream.events === 3) resolve(3);
        };
      }),
    [url, withCredentials],
  );

/** The socket and the stream of a page end within two seconds, and do not come back. */
async function bothEnd({ page, revoke, app }, how) {
  const then = Date.now();
  await revoke(how);
  const { code, at } = await page.evaluate("ended");
  await until(() => page.evaluate("stream.broken"), "the stream ends", 5000);
  const broken = await page.evaluate("stream.broken");
  assert.ok(at - then < 2000 && broken - then < 2000, `after ${at - then} and ${broken - then} ms`);
  // The browser tries the stream again by itself, three seconds later; it is refused for good.
  const before = app.requests.length;
  await until(() => page.evaluate(() => stream.state === EventSource.CLOSED), "the browser gives up", 8000);
  assert.equal(app.requests.slice(before).filter(({ path }) => path === "/events").length, 0);
  assert.equal(code, 4401, "the code tells the page to sign in again");
}

export const scenarios = {
  async the_portals_own_page_chats_by_cookie(stage) {
    const { page, app, enter, at } = await scene(stage);
    await enter();
    assert.deepEqual(await speaks(page, at("/chat"), ["chat"]), { heard: "hello", protocol: "chat" });
    assert.equal(await listens(page, "/events"), 3);
    for (const path of ["/chat", "/events"]) {
      const { headers, url } = app.at(path)[0];
      assert.deepEqual([headers["x-user-id"], headers.cookie, url], ["maya", undefined, path]);
    }
    await stage.shot(page, "chat-own-page");
  },

  async the_customers_page_chats_by_bearer(stage) {
    const { page, app, customer, visit, at, portal, context } = await scene(stage);
    await visit(customer);
    const token = customer.token();
    const told = await speaks(page, at("/chat"), ["chat", `bearer.${token}`]);
    assert.deepEqual(told, { heard: "hello", protocol: "chat" });
    assert.equal((await speaks(page, at(`/talk?room=1&access=${token}`))).heard, "hello");
    assert.equal(await listens(page, `${portal.origin}/events?room=1&access=${token}`), 3);
    assert.deepEqual(
      ["/chat", "/talk", "/events"].map((path) => [app.at(path)[0].url, app.at(path)[0].headers["x-user-id"]]),
      [
        ["/chat", "maya"],
        ["/talk?room=1", "maya"],
        ["/events?room=1", "maya"],
      ],
    );
    assert.ok(!JSON.stringify(app.requests).includes(token) && !portal.log.includes(token));
    assert.equal((await context.cookies(portal.origin)).length, 0);
    // Without any it is refused.
    assert.equal(await speaks(page, at("/chat"), ["chat"]), null);
    assert.equal(await listens(page, `${portal.origin}/events`), 0);
  },

  async a_foreign_page_has_no_chat_with_its_visitors_cookie(stage) {
    // A sibling of the portal, to which browsers send even SameSite cookies, and one of another site.
    const { page, app, portal, enter, visit, at, context, customer } = await scene(stage);
    const foreign = await stage.site();
    const sibling = { answers: foreign.answers, origin: foreign.origin.replace("127.0.0.1", "localhost") };
    await enter();
    const before = app.requests.length;
    for (const site of [foreign, sibling]) {
      await visit(site);
      assert.equal(await speaks(page, at("/chat"), ["chat"]), null, site.origin);
      assert.equal(await listens(page, `${portal.origin}/events`, true), 0, site.origin);
    }
    const chats = app.requests.slice(before).filter(({ path }) => path === "/chat");
    assert.equal(chats.length, 0);
    await until(() => /code="origin_not_allowed"/.test(portal.log), "the log says why");
    assert.equal((await context.cookies(portal.origin)).length, 1);
    // Nor with a token: where the tenant names origins, no other page presents one.
    await visit(foreign);
    assert.equal(await speaks(page, at("/chat"), ["chat", `bearer.${customer.token()}`]), null);
    assert.equal(app.requests.slice(before).filter(({ path }) => path === "/chat").length, 0);
  },

  async an_operator_ends_both_by_cookie(stage) {
    const all = await scene(stage);
    await all.enter();
    assert.equal((await speaks(all.page, all.at("/chat"))).heard, "hello");
    assert.equal(await listens(all.page, "/events"), 3);
    await bothEnd(all, "operator");
  },

  async a_tenant_ends_both_by_bearer(stage) {
    const all = await scene(stage);
    await all.visit(all.customer);
    const token = all.customer.token();
    assert.equal((await speaks(all.page, all.at("/chat"), ["chat", `bearer.${token}`])).heard, "hello");
    assert.equal(await listens(all.page, `${all.portal.origin}/events?access=${token}`), 3);
    await bothEnd(all, "tenant");
  },

  async somebody_elses_end_is_not_mine(stage) {
    const { page, enter, at, revoke } = await scene(stage);
    await enter();
    await speaks(page, at("/chat"));
    assert.equal(await listens(page, "/events"), 3);
    await revoke("operator", "tom");
    await sleep(2200);
    const [state, events, broken] = await page.evaluate("[socket.readyState, stream.events, stream.broken]");
    assert.ok(state === 1 && events > 10 && broken === 0, `${state} ${events} ${broken}`);
  },

  async a_chat_ends_when_its_token_does(stage) {
    const { page, customer, visit, at, portal } = await scene(stage);
    customer.lifetime = 4;
    await visit(customer);
    const then = Date.now();
    const token = customer.token();
    assert.equal((await speaks(page, at("/chat"), ["chat", `bearer.${token}`])).heard, "hello");
    assert.equal(await listens(page, `${portal.origin}/events?access=${token}`), 3);
    const { code, at: end } = await page.evaluate("ended");
    await until(() => page.evaluate("stream.broken"), "the stream ends", 5000);
    const spent = [end, await page.evaluate("stream.broken")].map((moment) => moment - then);
    assert.ok(
      spent.every((ms) => ms > 2500 && ms < 6500),
      `${spent}`,
    );
    assert.equal(code, 4401, "the code tells the page to fetch a new token");
  },
};
