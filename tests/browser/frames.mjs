// The portal within a page of the customer's, which is of another site: by link, by form, by the client.

import assert from "node:assert/strict";
import { sleep, until } from "./support.mjs";

const ticket = ({ method, url, headers, body }) =>
  `<!doctype html><title>Portal</title><h1>${headers["x-user-id"] ?? "nobody"}</h1><p id="asked">${method} ${url} ${body}</p>
<a id="next" href="/tickets/18">next</a>
<form method="post" action="/tickets/17/replies"><input name="text" value="hello"><button>Reply</button></form>`;

const paths = ["/tickets/17", "/tickets/18", "/tickets/17/replies"];

/** The customer's page around the frame, in three ways. */
const around = {
  link: (customer, portal) =>
    `<iframe name="frame" src="${portal.origin}/tickets/17?token=${customer.token()}"></iframe>`,
  form: (customer, portal) => `<iframe name="frame"></iframe>
    <form id="form" method="post" target="frame" action="${portal.origin}/_auth/exchange">
    <input type="hidden" name="token" value="${customer.token()}"><input type="hidden" name="return_to" value="/tickets/17">
    </form><script>form.submit();</script>`,
  client: (customer, portal) => `<iframe name="frame"></iframe><script src="${portal.origin}/_auth/client.js"></script>
    <script>Vestibule.init({ tenantKey: "ten_acme", jwt: "${customer.token()}" })
      .embed(document.querySelector("iframe"), "/tickets/17");</script>`,
};

const style = "<style>iframe { width: 700px; height: 400px }</style>";

async function scene(stage, { answers, browser, ...options } = {}) {
  const customer = await stage.customer();
  customer.answers["/login"] = "<!doctype html><title>Log in</title><h1>Log in</h1>";
  const app = await stage.app(answers ?? Object.fromEntries(paths.map((path) => [path, ticket])));
  const portal = await stage.vestibule({ app, customer, ...options });
  const context = await stage.browser(browser);
  const page = await context.newPage();
  const show = (body) => {
    customer.answers["/"] = () => `<!doctype html><title>Acme</title><h1>Acme</h1>${style}${body}`;
    return page.goto(customer.origin);
  };
  return { customer, app, portal, context, page, show };
}

/** The portal's frame, when it shows a path. */
function framed(page, portal, path = "/tickets/17") {
  const isThere = async () => {
    const frame = page.frames().find((frame) => frame.parentFrame() && frame.url() === `${portal.origin}${path}`);
    return (await frame?.evaluate(() => document.readyState === "complete").catch(() => false)) && frame;
  };
  return until(isThere, `the frame shows ${path}`);
}

async function staysSignedIn(stage, way) {
  const { customer, app, portal, context, page, show } = await scene(stage);
  await show(around[way](customer, portal));
  let frame = await framed(page, portal);
  assert.equal(await frame.textContent("h1"), "maya");
  await stage.shot(page, `frames-${way}`);
  // Within the frame: a reload, a link, a form.
  await frame.evaluate(() => location.reload());
  await until(() => app.at("/tickets/17").length === 2, "the frame is asked for again");
  frame = await framed(page, portal);
  await frame.click("#next");
  frame = await framed(page, portal, "/tickets/18");
  assert.equal(await frame.textContent("h1"), "maya");
  await frame.click("button");
  frame = await framed(page, portal, "/tickets/17/replies");
  assert.deepEqual(
    [await frame.textContent("h1"), await frame.textContent("#asked")],
    ["maya", "POST /tickets/17/replies text=hello"],
  );
  const told = await frame.evaluate(async () => (await fetch("/api/me", { method: "PUT", body: "x" })).json());
  assert.deepEqual([told.user, told.method], ["maya", "PUT"]);
  const chat = await frame.evaluate(
    () =>
      new Promise((resolve) => {
        const socket = new WebSocket(`ws://${location.host}/chat`);
        Object.assign(socket, { onopen: () => socket.send("hi"), onclose: () => resolve("closed") });
        socket.onmessage = ({ data }) => resolve(data);
      }),
  );
  assert.deepEqual([chat, app.at("/chat")[0]?.headers["x-user-id"]], ["hi", "maya"]);
  // The page is closed and comes back, without a token.
  customer.answers["/again"] = `<!doctype html>${style}<iframe src="${portal.origin}/tickets/18"></iframe>`;
  await page.close();
  const later = await context.newPage();
  await later.goto(`${customer.origin}/again`);
  frame = await framed(later, portal, "/tickets/18");
  assert.equal(await frame.textContent("h1"), "maya");
  const jar = (await context.cookies()).filter(({ name }) => name.includes("vestibule"));
  assert.deepEqual(
    jar.map(({ name, sameSite, partitionKey }) => [name, sameSite, Boolean(partitionKey)]),
    [["__Host-vestibule-embedded", "None", true]],
  );
  // A tab of its own knows nothing of it.
  const tab = await context.newPage();
  await tab.goto(`${portal.origin}/tickets/17`);
  assert.equal(new URL(tab.url()).pathname, "/login");
}

export const scenarios = {
  a_frame_by_link_stays_signed_in: (stage) => staysSignedIn(stage, "link"),
  a_frame_by_form_stays_signed_in: (stage) => staysSignedIn(stage, "form"),
  a_frame_by_the_client_stays_signed_in: (stage) => staysSignedIn(stage, "client"),

  async a_tab_and_a_frame_are_two_sessions(stage) {
    const { customer, app, portal, context, page, show } = await scene(stage);
    await show(around.link(customer, portal));
    await framed(page, portal);
    customer.user = "tom";
    const tab = await context.newPage();
    await tab.goto(`${portal.origin}/tickets/17?token=${customer.token()}`);
    assert.equal(await tab.textContent("h1"), "tom");
    await tab.reload();
    assert.equal(await tab.textContent("h1"), "tom");
    const frame = await framed(page, portal);
    await frame.click("#next");
    assert.equal(await (await framed(page, portal, "/tickets/18")).textContent("h1"), "maya");
    // The tab signs out; the frame does not.
    await tab.evaluate(() => fetch("/_auth/logout", { method: "POST", redirect: "manual" }));
    await tab.goto(`${portal.origin}/tickets/17`);
    assert.equal(new URL(tab.url()).pathname, "/login");
    await (await framed(page, portal, "/tickets/18")).click("button");
    assert.equal(await (await framed(page, portal, "/tickets/17/replies")).textContent("h1"), "maya");
    // And the other way round.
    await tab.goto(`${portal.origin}/tickets/17?token=${customer.token()}`);
    await (
      await framed(page, portal, "/tickets/17/replies")
    ).evaluate(() => fetch("/_auth/logout", { method: "POST", redirect: "manual" }));
    const before = app.requests.length;
    customer.answers["/again"] = `<!doctype html>${style}<iframe src="${portal.origin}/tickets/18"></iframe>`;
    await page.goto(`${customer.origin}/again`);
    const refused = await framed(page, portal, "/tickets/18");
    assert.equal(await refused.textContent("h1"), "Please sign in");
    await tab.reload();
    assert.equal(await tab.textContent("h1"), "tom");
    assert.ok(app.requests.slice(before).every(({ headers }) => headers["x-user-id"] !== "maya"));
  },

  async a_foreign_page_shows_no_frame(stage) {
    const evil = await stage.site();
    const policies = {
      "/none": [],
      "/denied": [["X-Frame-Options", "DENY"]],
      "/open": [["Content-Security-Policy", "frame-ancestors *"]],
      "/closed": [["Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'"]],
    };
    const answers = Object.fromEntries(
      Object.entries(policies).map(([path, headers]) => [
        path,
        (record, response) => {
          for (const [name, value] of headers) response.setHeader(name, value);
          return ticket(record);
        },
      ]),
    );
    const { customer, portal, page } = await scene(stage, { answers });
    const all = Object.keys(policies).map((path) => `<iframe src="${portal.origin}${path}"></iframe>`);
    const frames = `<!doctype html>${style}${all.join("")}`;
    const shown = async (site) => {
      await page.goto(`${site.origin}/frames`);
      await page.waitForLoadState("networkidle");
      const texts = page
        .frames()
        .slice(1)
        .map((frame) => frame.evaluate(() => document.querySelector("h1")?.textContent));
      return Promise.all(texts.map((text) => text.catch(() => null)));
    };
    // The customer's page shows all of them, whatever the app would say; a first link signs in.
    customer.answers["/frames"] =
      `<!doctype html><iframe src="${portal.origin}/none?token=${customer.token()}"></iframe>`;
    assert.deepEqual(await shown(customer), ["maya"]);
    customer.answers["/frames"] = frames;
    assert.deepEqual(await shown(customer), Array(4).fill("maya"));
    await stage.shot(page, "frames-own");
    // A foreign page shows none, not even with a token of its visitor's, nor a page that refuses.
    evil.answers["/frames"] = frames;
    const blocked = await shown(evil);
    assert.ok(
      blocked.every((text) => !["maya", "nobody", "Please sign in"].includes(text)),
      `${blocked}`,
    );
    const answer = () => `<!doctype html><iframe src="${portal.origin}/none?token=${customer.token()}"></iframe>`;
    evil.answers["/frames"] = answer;
    const withToken = await shown(evil);
    assert.ok(!withToken.includes("maya"), `${withToken}`);
    await stage.shot(page, "frames-foreign");
    // Nor a foreign page around the customer's, which may itself be framed.
    customer.answers["/frames"] = frames;
    evil.answers["/frames"] = `<!doctype html><iframe src="${customer.origin}/frames"></iframe>`;
    const nested = await shown(evil);
    assert.ok(!nested.includes("maya"), `${nested}`);
  },

  async a_frame_without_a_session_shows_the_ways_on(stage) {
    const { customer, app, portal, page, context, show } = await scene(stage);
    await show(`<iframe src="${portal.origin}/tickets/17?x=1"></iframe>`);
    const frame = await framed(page, portal, "/tickets/17?x=1");
    assert.equal(await frame.textContent("h1"), "Please sign in");
    await stage.shot(page, "frames-without-session");
    await sleep(500);
    assert.deepEqual([customer.at("/login").length, app.requests.length], [0, 0]);
    const links = await frame.evaluate(() =>
      [...document.querySelectorAll("main a")].map((a) => [a.textContent, a.target]),
    );
    assert.deepEqual(links[0], ["Open in a new tab", "_blank"]);
    const [tab] = await Promise.all([context.waitForEvent("page"), frame.click("main a")]);
    await tab.waitForURL(`${customer.origin}/login**`);
    const back = new URL(tab.url()).searchParams.get("return_to");
    assert.equal(back, `${portal.origin}/tickets/17?x=1`);
    await tab.close();
    // The login in the frame itself comes back signed in, without going round.
    customer.answers["/login"] = (record, response) => {
      const to = new URL(record.url, customer.origin).searchParams.get("return_to");
      response.writeHead(303, { Location: `${to}&token=${customer.token()}` }).end();
    };
    const ways = await frame.evaluate(() => [...document.querySelectorAll("main a")].map((a) => a.textContent));
    assert.deepEqual(ways, ["Open in a new tab", "Sign in"]);
    const before = customer.at("/login").length;
    await frame.click("main a:last-of-type");
    await until(() => app.at("/tickets/17").length, "the app is asked");
    await until(async () => (await (await framed(page, portal, "/tickets/17?x=1")).textContent("h1")) === "maya");
    assert.equal(customer.at("/login").length, before + 1);
  },

  async a_frame_without_cookies_shows_the_ways_on(stage) {
    const exceptions = { cookies: { "[*.]localhost,*": { setting: 2 } } };
    const preferences = { profile: { content_settings: { exceptions } } };
    const { customer, app, portal, page, show } = await scene(stage, { browser: { preferences } });
    await show(around.link(customer, portal));
    const frame = await framed(page, portal);
    assert.equal(await frame.textContent("h1"), "Please sign in");
    assert.equal(await frame.textContent("main a"), "Open in a new tab");
    await sleep(500);
    assert.deepEqual([customer.at("/login").length, app.requests.length], [0, 0]);
    await stage.shot(page, "frames-without-cookies");
  },

  async a_frame_that_was_used_up_says_so(stage) {
    const { customer, portal, page, show } = await scene(stage);
    const token = customer.token();
    const spend = { method: "POST", headers: { Authorization: `Bearer ${token}` } };
    assert.equal((await fetch(`${portal.origin}/_auth/exchange`, spend)).status, 200);
    await show(`<iframe src="${portal.origin}/tickets/17?token=${token}"></iframe>`);
    const frame = await until(
      () => page.frames().find((frame) => frame.url().includes("token=")),
      "the frame is there",
    );
    await frame.waitForSelector("h1");
    assert.equal(await frame.textContent("h1"), "This sign-in link was already used");
    assert.equal(customer.at("/login").length, 0);
    await stage.shot(page, "frames-spent");
  },
};
