// The browser client, src/client/client.js: on a customer's page of another site, and on the portal's own pages.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { holds, root, sleep, until } from "./support.mjs";

/** What a customer's page says: the widget, with a first token, and with `portal` in the page. */
function widget({ portal, jwt, head = "", body = "" }) {
  return `<!doctype html><meta charset="utf-8"><title>Acme</title>${head}
<h1>Acme</h1><button id="open" onclick="opened = portal.openPortal('/tickets/17?all=1#last')">My tickets</button>${body}
<script src="${portal.origin}/_auth/client.js"></script>
<script>
  const onTokenRefresh = async () => (await (await fetch("/token", { method: "POST" })).json()).token;
  const portal = Vestibule.init({ tenantKey: "ten_acme", jwt: ${JSON.stringify(jwt ?? null)}, onTokenRefresh });
  const show = async (answer) => ({ status: answer.status, told: await answer.json() });
</script>`;
}

/** A customer, the app, Vestibule and a browser at the customer's page. `jwt` makes the first token. */
async function scene(
  stage,
  { jwt = (customer) => customer.token(), head, body, answers, browser, lifetime, clock, ...options } = {},
) {
  const customer = await stage.customer();
  if (lifetime) customer.lifetime = lifetime;
  const app = await stage.app(answers?.(customer));
  const portal = await stage.vestibule({ app, customer, ...options });
  customer.answers["/"] = () => widget({ portal, jwt: jwt(customer), head, body });
  const context = await stage.browser(browser);
  const page = await context.newPage();
  if (clock) await page.clock.install({ time: clock });
  await page.goto(customer.origin);
  return { customer, app, portal, context, page };
}

const expired = (customer) => {
  const then = Math.floor(Date.now() / 1000) - 600;
  return customer.token({ iat: then, exp: then + 300 });
};

/** Clicks, and waits until the new tab shows the portal. */
async function openedTab({ page, context, portal }, click = () => page.click("#open")) {
  const [tab] = await Promise.all([context.waitForEvent("page"), click()]);
  await tab.waitForURL((url) => url.origin === portal.origin && !url.pathname.startsWith("/_auth/"));
  return tab;
}

/** An app's page that stands in an iframe of the customer's. */
const inside = (
  customer,
) => `<!doctype html><title>Inside</title><h1>Inside</h1><script src="/_auth/client.js"></script>
<script>
  const portal = Vestibule.init({ parent: "${customer.origin}" });
  const show = async (answer) => ({ status: answer.status, told: await answer.json() });
</script>`;

const pagesInside = (customer) => ({ "/inside": () => inside(customer), "/public/inside": () => inside(customer) });

export const scenarios = {
  async is_small() {
    for (const file of ["client.js", "client.mjs"]) {
      const size = gzipSync(readFileSync(join(root, "src/client", file)), { level: 9 }).length;
      assert.ok(size <= 3000, `${file} has ${size} bytes`);
    }
  },

  async loads_as_a_script(stage) {
    const { page, app, portal } = await scene(stage);
    const { status, told } = await page.evaluate(async () => show(await portal.fetch("/api/tickets?page=2")));
    assert.deepEqual([status, told.user, told.url], [200, "maya", "/api/tickets?page=2"]);
    const absolute = await page.evaluate(async (url) => show(await portal.fetch(url)), `${portal.origin}/api/more`);
    assert.equal(absolute.told.url, "/api/more");
    assert.equal(app.at("/api/tickets").length, 1);
    assert.equal(app.at("/api/tickets")[0].headers.authorization, undefined);
  },

  async loads_as_a_module(stage) {
    const { page, customer, portal } = await scene(stage);
    customer.answers["/module"] = `<!doctype html><script type="module">
      import Vestibule, { init } from "${portal.origin}/_auth/client.mjs";
      const portal = init({ jwt: "${customer.token()}" });
      const answer = await (await portal.fetch("/api/me")).json();
      document.title = Vestibule.init === init ? answer.user : "two clients";
    </script>`;
    await page.goto(`${customer.origin}/module`);
    await until(async () => (await page.title()) === "maya", "the module has fetched");
  },

  async tells_misuse(stage) {
    const { page } = await scene(stage);
    const failures = await page.evaluate(() =>
      [
        { portal: "/portal" },
        { portal: "ftp://portal.example" },
        { parent: "app" },
        { onTokenRefresh: "ask" },
        { jwt: 7 },
      ].map((options) => {
        try {
          return `accepted: ${Vestibule.init(options)}`;
        } catch (failure) {
          return `${failure.name} ${failure.message}`;
        }
      }),
    );
    const names = ["portal", "portal", "parent", "onTokenRefresh", "jwt"];
    failures.forEach((text, at) => assert.match(text, new RegExp(`^TypeError Vestibule: ${names[at]} should be`)));
  },

  async many_requests_share_one_refresh(stage) {
    const { page, app, customer } = await scene(stage, { jwt: expired });
    const { answers, attempts } = await page.evaluate(async () => {
      const attempts = {};
      const plain = window.fetch;
      window.fetch = async (what, options) => {
        const url = String(what);
        attempts[url] = (attempts[url] ?? 0) + 1;
        const answer = await plain(what, options);
        // The refusal of this one comes when the others have long gone on with the new token.
        if (url.endsWith("/9") && attempts[url] === 1) await new Promise((resume) => setTimeout(resume, 5500));
        return answer;
      };
      const requests = Array.from({ length: 10 }, (_, at) =>
        portal.fetch(`/api/${at}`, { method: "POST", body: `number ${at}`, headers: { "X-Extra": "1" } }),
      );
      return { answers: await Promise.all(requests.map(async (answer) => show(await answer))), attempts };
    });
    answers.forEach(({ status, told }, at) => {
      assert.deepEqual([status, told.user, told.body], [200, "maya", `number ${at}`]);
      assert.equal(app.at(`/api/${at}`).length, 1);
    });
    assert.equal(customer.tokens.length, 1);
    const counts = Object.entries(attempts).filter(([url]) => url.includes("/api/"));
    assert.deepEqual(
      counts.map(([, count]) => count),
      Array(10).fill(2),
    );
  },

  async request_objects_are_repeated(stage) {
    const { page, portal } = await scene(stage, { jwt: expired });
    const { status, told } = await page.evaluate(async (origin) => {
      const headers = { "Content-Type": "text/plain" };
      return show(await portal.fetch(new Request(`${origin}/api/new`, { method: "PUT", body: "hello", headers })));
    }, portal.origin);
    assert.deepEqual([status, told.method, told.body], [200, "PUT", "hello"]);
  },

  async a_refused_new_token_is_the_end(stage) {
    const { page, app, customer } = await scene(stage, { jwt: expired });
    customer.token = () => expired({ token: Object.getPrototypeOf(customer).token.bind(customer) });
    const first = await page.evaluate(async () =>
      Promise.all([1, 2, 3].map(async () => show(await portal.fetch("/api")))),
    );
    assert.deepEqual(
      first.map(({ status, told }) => [status, told.code]),
      Array(3).fill([401, "token_expired"]),
    );
    assert.equal(customer.tokens.length, 1);
    const next = await page.evaluate(async () => show(await portal.fetch("/api")));
    assert.equal(next.status, 401);
    assert.equal(customer.tokens.length, 1, "asked again at once");
    await sleep(5200);
    delete customer.token;
    const last = await page.evaluate(async () => show(await portal.fetch("/api")));
    assert.deepEqual([last.status, last.told.user, customer.tokens.length], [200, "maya", 2]);
    assert.equal(app.at("/api").length, 1);
  },

  async without_a_new_token_the_refusal_is_returned(stage) {
    const { page, customer } = await scene(stage, { jwt: expired });
    customer.beforeToken = async (response) => response.writeHead(500).end();
    const { status, told } = await page.evaluate(async () => show(await portal.fetch("/api")));
    assert.deepEqual([status, told.code], [401, "token_expired"]);
    assert.equal(customer.tokens.length, 1);
  },

  async waiting_for_a_token_can_be_aborted(stage) {
    const { page, customer } = await scene(stage, { jwt: expired });
    customer.beforeToken = () => new Promise(() => {});
    await page.evaluate(() => {
      window.abort = new AbortController();
      window.outcome = portal.fetch("/api", { signal: abort.signal }).catch((failure) => failure.name);
    });
    await until(() => customer.tokens.length === 1, "a token is asked for");
    const outcome = page.evaluate(() => (abort.abort(), outcome));
    assert.equal(await Promise.race([outcome, sleep(5000)]), "AbortError");
  },

  async refreshes_shortly_before_expiry(stage) {
    const { page, customer } = await scene(stage, { lifetime: 8 });
    const start = Date.now();
    await until(() => customer.tokens.length === 1, "the token is renewed");
    const after = Date.now() - start;
    assert.ok(after > 4000 && after < 8000, `renewed after ${after} ms`);
    await sleep(8200 - after);
    const { status } = await page.evaluate(async () => show(await portal.fetch("/api")));
    assert.deepEqual([status, customer.tokens.length], [200, 1]);
  },

  async a_clock_that_is_wrong_does_no_harm(stage) {
    const { page, customer } = await scene(stage, { clock: new Date("2040-01-01T00:00:00Z") });
    const { status } = await page.evaluate(async () => show(await portal.fetch("/api")));
    assert.deepEqual([status, customer.tokens.length], [200, 0]);
  },

  async the_token_goes_nowhere_else(stage) {
    const other = await stage.site({
      "/steal": (_, response) => {
        const headers = {
          "Access-Control-Allow-Origin": "*",
          "Access-Control-Allow-Headers": "authorization, x-extra",
        };
        response.writeHead(200, { ...headers, "Content-Type": "application/json" }).end("{}");
      },
    });
    const answers = () => ({
      "/away": (_, response) => response.writeHead(302, { Location: `${other.origin}/steal` }).end(),
    });
    const { page, customer } = await scene(stage, { answers });
    const told = await page.evaluate(async (origin) => {
      const outcome = (work) =>
        work.then(
          (answer) => answer.url,
          (failure) => failure.name,
        );
      const urls = [
        `${origin}/steal`,
        "//evil.example/",
        new URL(`${origin}/steal`),
        new Request(`${origin}/steal`),
        "javascript:0",
      ];
      const refused = await Promise.all(urls.map((url) => outcome(portal.fetch(url))));
      refused.push(
        await outcome(portal.websocket(`${origin}/steal`, ["chat"])),
        await outcome(portal.openPortal(`${origin}/steal`)),
      );
      return { refused, redirected: await outcome(portal.fetch("/away", { headers: { "X-Extra": "1" } })) };
    }, other.origin);
    assert.deepEqual(told.refused, Array(7).fill("TypeError"));
    assert.equal(told.redirected, `${other.origin}/steal`);
    const [request] = other.requests.filter(({ method }) => method === "GET");
    assert.deepEqual([request.headers["x-extra"], request.headers.authorization], ["1", undefined]);
    assert.equal(other.requests.filter(({ headers }) => headers.authorization).length, 0);
    assert.equal(customer.tokens.length, 0);
  },

  async opens_the_portal_signed_in(stage) {
    const all = await scene(stage);
    const { page, context, customer, app, portal } = all;
    const urls = [];
    context.on("request", (request) => urls.push(request.url()));
    await stage.shot(page, "client-customer");
    const tab = await openedTab(all);
    assert.equal(tab.url(), `${portal.origin}/tickets/17?all=1#last`);
    assert.equal(await tab.textContent("h1"), "maya");
    await stage.shot(tab, "client-portal");
    const seen = await tab.evaluate(() => ({
      opener: window.opener,
      referrer: document.referrer,
      entries: navigation.entries().map((entry) => entry.url),
    }));
    assert.deepEqual([seen.opener, seen.referrer], [null, ""]);
    assert.equal(await page.evaluate(() => opened), true);
    const { jwt } = await page.evaluate(() => ({ jwt: document.scripts[1].textContent.match(/jwt: "([^"]+)"/)[1] }));
    assert.ok(!holds(jwt, page.url(), ...urls, ...seen.entries), "the token is in a URL");
    assert.ok(!holds(jwt, JSON.stringify(app.requests), stage.log), "the app or the log has the token");
    assert.deepEqual([urls.length > 0, page.url()], [true, `${customer.origin}/`]);
    assert.equal(customer.tokens.length, 0);
    await tab.reload();
    assert.equal(await tab.textContent("h1"), "maya");
  },

  async each_tab_has_a_token_of_its_own(stage) {
    const all = await scene(stage);
    for (const asked of [0, 1, 2]) {
      const tab = await openedTab(all);
      assert.equal(await tab.textContent("h1"), "maya");
      assert.equal(all.customer.tokens.length, asked);
      await sleep(1200);
    }
  },

  async a_double_click_opens_one_tab(stage) {
    const { page, context, app, customer } = await scene(stage);
    const before = context.pages().length;
    // Not page.dblclick: the second click of that falls into the new tab.
    await page.evaluate(() => {
      document.querySelector("#open").click();
      document.querySelector("#open").click();
    });
    await until(() => app.at("/tickets/17").length, "the portal is open");
    await sleep(500);
    assert.deepEqual(
      [context.pages().length, app.at("/tickets/17").length, customer.tokens.length],
      [before + 1, 1, 0],
    );
  },

  async a_blocked_tab_is_told(stage) {
    const body = "<script>onload = () => { blocked = portal.openPortal('/tickets'); };</script>";
    const { page, context, customer, portal } = await scene(stage, { body, browser: { blocksPopups: true } });
    await until(() => page.evaluate("typeof blocked === 'object'"), "the page has tried");
    assert.equal(await page.evaluate("blocked"), false);
    assert.equal(customer.tokens.length, 0);
    const before = context.pages().length;
    await Promise.all([
      page.waitForURL(`${portal.origin}/tickets`),
      page.evaluate(() => void portal.openPortal("/tickets", { target: "_self" })),
    ]);
    assert.deepEqual(
      [await page.textContent("h1"), context.pages().length, customer.tokens.length],
      ["maya", before, 0],
    );
  },

  async a_click_opens_past_the_blocker(stage) {
    const all = await scene(stage, { jwt: () => null, browser: { blocksPopups: true } });
    all.customer.beforeToken = () => sleep(1500);
    const tab = await openedTab(all);
    assert.equal(await tab.textContent("h1"), "maya");
  },

  async a_tab_that_was_closed_spends_nothing(stage) {
    const all = await scene(stage, { jwt: () => null });
    const { page, context, customer, app } = all;
    let release;
    customer.beforeToken = () => new Promise((resume) => (release = resume));
    await page.evaluate(() => {
      const open = window.open;
      window.open = (...given) => (window.lastTab = open.apply(window, given));
    });
    const [tab] = await Promise.all([context.waitForEvent("page"), page.click("#open")]);
    await until(() => release, "a token is asked for");
    await tab.close();
    // The browser tells the page that opened the tab a moment after it is gone.
    await page.waitForFunction(() => window.lastTab.closed);
    release();
    assert.equal(await page.evaluate(() => opened), false);
    await sleep(1200);
    assert.equal(app.requests.length, 0);
    const next = await openedTab(all);
    assert.deepEqual([await next.textContent("h1"), customer.tokens.length], ["maya", 1]);
  },

  async without_a_token_the_tab_asks_to_log_in(stage) {
    const { page, context, customer } = await scene(stage, { jwt: () => null });
    customer.answers["/login"] = "<!doctype html><title>Log in</title>";
    customer.beforeToken = async (response) => response.writeHead(500).end();
    const [tab] = await Promise.all([context.waitForEvent("page"), page.click("#open")]);
    await tab.waitForURL((url) => url.pathname === "/login");
    assert.equal(await page.evaluate(() => opened), true);
  },

  async a_page_without_referrer_opens_the_portal(stage) {
    const all = await scene(stage, { head: '<meta name="referrer" content="no-referrer">' });
    const tab = await openedTab(all);
    assert.equal(await tab.textContent("h1"), "maya");
    await sleep(1200);
    const here = all.page.evaluate(() => void portal.openPortal("/tickets", { target: "_self" }));
    await Promise.all([all.page.waitForURL(`${all.portal.origin}/tickets`), here]);
    assert.equal(await all.page.textContent("h1"), "maya");
  },

  async a_websocket_speaks(stage) {
    const { page, app } = await scene(stage);
    const told = await page.evaluate(async () => {
      const socket = await portal.websocket("/chat", ["chat", "other"]);
      await new Promise((resolve, reject) => Object.assign(socket, { onopen: resolve, onclose: reject }));
      const heard = new Promise((resolve) => (socket.onmessage = ({ data }) => resolve(data)));
      socket.send("hello");
      return [socket.protocol, await heard];
    });
    assert.deepEqual(told, ["chat", "hello"]);
    const { headers } = app.at("/chat")[0];
    assert.deepEqual([headers["x-user-id"], headers["sec-websocket-protocol"]], ["maya", "chat, other"]);
  },

  async a_websocket_that_was_ended_gets_a_new_token(stage) {
    const { page, customer, portal } = await scene(stage);
    await page.evaluate(async () => {
      const socket = await portal.websocket("/chat", "chat");
      window.ended = new Promise((resolve) => (socket.onclose = ({ code }) => resolve(code)));
      await new Promise((resolve) => (socket.onopen = resolve));
    });
    const order = customer.token({ revoke: "user" });
    const revoked = await fetch(`${portal.origin}/_auth/revoke`, {
      method: "POST",
      headers: { Authorization: `Bearer ${order}` },
    });
    assert.equal(revoked.status, 204);
    assert.equal(await page.evaluate(() => ended), 4401);
    assert.equal(customer.tokens.length, 0);
    await sleep(1100);
    const protocol = await page.evaluate(async () => {
      const socket = await portal.websocket("/chat", "chat");
      await new Promise((resolve, reject) => Object.assign(socket, { onopen: resolve, onclose: reject }));
      return socket.protocol;
    });
    assert.deepEqual([protocol, customer.tokens.length], ["chat", 1]);
  },

  async logs_out(stage) {
    const home = () => `<!doctype html><h1>Home</h1><script src="/_auth/client.js"></script>`;
    const all = await scene(stage, { answers: () => ({ "/tickets/17": home }) });
    const { customer, portal } = all;
    customer.answers["/login"] = "<!doctype html><title>Log in</title>";
    const tab = await openedTab(all);
    const told = await tab.evaluate(async () => {
      const portal = Vestibule.init({
        onTokenRefresh: () => {
          throw new Error("asked");
        },
      });
      const before = await portal.fetch("/api");
      const out = await portal.logout();
      return [before.status, out, (await portal.fetch("/api")).status];
    });
    assert.deepEqual(told, [200, true, 401]);
    await tab.reload();
    assert.equal(new URL(tab.url()).origin, customer.origin);
    const elsewhere = await all.page.evaluate(async () => [await portal.logout(), (await portal.fetch("/api")).status]);
    assert.deepEqual([elsewhere, customer.tokens.length], [[true, 401], 0]);
    assert.ok(portal.log.length > 0);
  },

  async embeds_a_page_signed_in(stage) {
    const { page, context, customer, portal } = await scene(stage, {
      body: "<iframe id='frame' width='600' height='200'></iframe>",
      answers: pagesInside,
    });
    assert.equal(await page.evaluate(() => portal.embed(document.querySelector("#frame"), "/inside")), true);
    const frame = await until(
      () => page.frames().find((frame) => frame.url() === `${portal.origin}/inside`),
      "the frame shows it",
    );
    await frame.waitForSelector("h1");
    const { status, told } = await frame.evaluate(async () => show(await portal.fetch("/api/inner")));
    assert.deepEqual([status, told.user, customer.tokens.length], [200, "maya", 0]);
    await stage.shot(page, "client-embedded");
    const cookies = (await context.cookies()).filter(({ domain }) => domain === "localhost");
    assert.deepEqual(
      cookies.map(({ sameSite, httpOnly, secure }) => [sameSite, httpOnly, secure]),
      [["None", true, true]],
    );
    assert.ok(cookies[0].partitionKey, "the cookie is partitioned");
    // Another page in the same frame, which by now shows another site's.
    assert.equal(await page.evaluate(() => portal.embed(document.querySelector("#frame"), "/tickets")), true);
    await until(
      () => page.frames().some((frame) => frame.url() === `${portal.origin}/tickets`),
      "the frame shows the next",
    );
    assert.equal(customer.tokens.length, 1);
  },

  async embedded_without_cookies_it_goes_by_the_bearer(stage) {
    const blocked = {
      profile: { content_settings: { exceptions: { cookies: { "[*.]localhost,*": { setting: 2 } } } } },
    };
    const options = { body: "<iframe id='frame'></iframe>", answers: pagesInside, browser: { preferences: blocked } };
    const { page, context, customer, app, portal } = await scene(stage, options);
    await page.evaluate(() => portal.embed(document.querySelector("#frame"), "/public/inside"));
    const frame = await until(
      () => page.frames().find((frame) => frame.url() === `${portal.origin}/public/inside`),
      "the frame shows it",
    );
    await frame.waitForSelector("h1");
    const answers = await frame.evaluate(async () =>
      Promise.all([1, 2].map(async () => show(await portal.fetch("/api/inner")))),
    );
    assert.deepEqual(
      answers.map(({ status, told }) => [status, told.user]),
      Array(2).fill([200, "maya"]),
    );
    assert.equal((await context.cookies(portal.origin)).length, 0);
    assert.deepEqual([customer.tokens.length, app.at("/api/inner").length], [0, 2]);
  },

  async only_who_embeds_and_is_embedded_share_tokens(stage) {
    const asking = `<!doctype html><script>
      const channel = new MessageChannel();
      window.heard = "nothing";
      channel.port1.onmessage = ({ data }) => { window.heard = data; };
      onmessage = ({ data }) => { window.heard = data; };
      parent.postMessage({ vestibule: "token" }, "*", [channel.port2]);
    </script>`;
    const answers = (customer) => ({ ...pagesInside(customer), "/public/asking": asking });
    const other = await stage.site({ "/asking": asking });
    const { page, context, customer, portal } = await scene(stage, { answers, origins: [other.origin] });
    // Neither another site's frame nor one of the portal's that was not embedded gets an answer.
    await page.evaluate(
      (urls) => {
        for (const src of urls) document.body.append(Object.assign(document.createElement("iframe"), { src }));
      },
      [`${other.origin}/asking`, `${portal.origin}/public/asking`],
    );
    await until(() => page.frames().filter((frame) => frame.url().endsWith("/asking")).length === 2, "both are there");
    await sleep(500);
    for (const frame of page.frames().filter((frame) => frame.url().endsWith("/asking"))) {
      assert.equal(await frame.evaluate("window.heard"), "nothing");
    }
    // And a page of the portal asks nobody but the origin it was told.
    other.answers["/around"] = `<!doctype html><script>heard = []; onmessage = ({ data }) => heard.push(data);</script>
      <iframe src="${portal.origin}/public/inside"></iframe>`;
    const around = await context.newPage();
    await around.goto(`${other.origin}/around`);
    const frame = await until(
      () => around.frames().find((frame) => frame.url().endsWith("/public/inside")),
      "the frame shows it",
    );
    await frame.waitForSelector("h1");
    await frame.evaluate(() => void portal.fetch("/api/inner"));
    await sleep(500);
    assert.deepEqual([await around.evaluate("heard"), customer.tokens.length], [[], 0]);
  },
};
