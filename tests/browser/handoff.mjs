// From the customer's site into the portal: by link, by form, by way of the login page; who is asked, what is left behind.

import { randomBytes } from "node:crypto";
import assert from "node:assert/strict";
import { holds, sleep, until } from "./support.mjs";

/** A customer, the app, Vestibule and a browser. `delay` is that of the network before Vestibule, in ms. */
async function scene(stage, { answers, browser, delay, ...options } = {}) {
  const customer = await stage.customer();
  const app = await stage.app(answers);
  const portal = await stage.vestibule({ app, customer, ...options });
  // What the browser talks to.
  const door = delay ? await stage.tunnel(portal.port, delay) : portal;
  const context = await stage.browser(browser);
  const page = await context.newPage();
  const visit = async (html) => {
    customer.answers["/"] = `<!doctype html><meta charset="utf-8"><title>Acme</title>${html}`;
    await page.goto(customer.origin);
  };
  const link = (path, token = customer.token()) => {
    const url = new URL(path, door.origin);
    url.searchParams.set("token", token);
    return url.href;
  };
  /** Signs in by a link on the customer's page, as somebody. */
  const enter = async (user, path = "/tickets/17") => {
    customer.user = user;
    await visit(`<a id="go" href="${link(path)}">My tickets</a>`);
    await page.click("#go");
  };
  return { customer, app, portal, door, context, page, visit, link, enter };
}

const heading = (page) => page.textContent("h1");
const entries = (page) => page.evaluate(() => navigation.entries().map((entry) => entry.url));

/** The codes of what was refused, and how many tokens were exchanged, as the log has them. */
const refusals = (portal) => [...portal.log.matchAll(/audit: denied .*? code="(\w+)"/g)].map(([, code]) => code);
const exchanges = (portal) => portal.log.match(/audit: exchanged /g)?.length ?? 0;

/** Clicks twice as fast as a hand does. */
async function doubleClick(page, selector) {
  const box = await page.locator(selector).boundingBox();
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  await page.mouse.move(x, y);
  for (const clickCount of [1, 2]) {
    await page.mouse.down({ clickCount });
    await page.mouse.up({ clickCount });
    await sleep(clickCount === 1 ? 60 : 0);
  }
}

const form = (customer, door) => `<form method="post" action="${door.origin}/_auth/exchange">
  <input type="hidden" name="token" value="${customer.token()}"><input type="hidden" name="return_to" value="/tickets/17">
  <input type="hidden" name="attempt" value="${randomBytes(16).toString("base64url")}">
  <button id="go">My tickets</button></form>`;

/** Ends signed in, whatever two clicks did; the failure tells what happened. */
async function endsSignedIn({ page, portal, app, door }) {
  await until(() => app.at("/tickets/17").length, "the app is asked").catch(() => {});
  await sleep(800);
  const shown = `${page.url()} shows "${await heading(page)}"`;
  const what = `${shown}, refused: ${refusals(portal)}, exchanged: ${exchanges(portal)}`;
  assert.deepEqual([page.url(), await heading(page)], [`${door.origin}/tickets/17`, "maya"], what);
  await page.reload();
  assert.equal(await heading(page), "maya", what);
}

/** Of Chromium: keeps none of the portal's cookies. */
const noCookies = { profile: { content_settings: { exceptions: { cookies: { "[*.]localhost,*": { setting: 2 } } } } } };

const confirms = { tenant: 'handoff = "confirm"' };

async function twiceOnALink(stage, options) {
  const all = await scene(stage, options);
  await all.visit(`<a id="go" href="${all.link("/tickets/17")}">My tickets</a>`);
  await doubleClick(all.page, "#go");
  await endsSignedIn(all);
}

async function twiceOnAForm(stage, options) {
  const all = await scene(stage, options);
  await all.visit(form(all.customer, all.door));
  await doubleClick(all.page, "#go");
  await endsSignedIn(all);
}

async function twiceOnTheButton(stage, options) {
  const all = await scene(stage, { ...confirms, ...options });
  await all.enter("maya");
  await all.page.waitForSelector("button");
  await doubleClick(all.page, "button");
  await endsSignedIn(all);
}

/** What is on the screen after going back. */
async function shownAfterBack(page) {
  await page.goBack({ waitUntil: "commit" }).catch(() => {});
  await sleep(600);
  return page.evaluate(() => ({
    path: location.pathname,
    text: document.body.innerText,
    restored: window.isKept === true,
  }));
}

/** Signs in, looks at two pages, leaves by `leave`, and goes back to them. */
async function goesBack(stage, { leave, ...options }) {
  // One page whose app says nothing of caching, and one whose app would have it kept.
  const page = (record, response) => {
    if (record.path === "/tickets/18") response.setHeader("Cache-Control", "private, max-age=600");
    return `<!doctype html><title>Portal</title><h1>${record.headers["x-user-id"]}</h1>
    <p>Secret of ${record.headers["x-user-id"]}</p>
    <a id="next" href="/tickets/18">next</a>`;
  };
  const out = "<!doctype html><title>Out</title><h1>Signed out</h1>";
  const all = await scene(stage, {
    answers: { "/tickets/17": page, "/tickets/18": page, "/public/out": out },
    ...options,
  });
  await all.enter("maya");
  await all.page.waitForSelector("#next");
  await all.page.click("#next");
  await all.page.waitForURL("**/tickets/18");
  await all.page.evaluate(() => void (window.isKept = true));
  await leave(all);
  const seen = await shownAfterBack(all.page);
  const again = await shownAfterBack(all.page);
  for (const { path, text, restored } of [seen, again]) {
    assert.ok(
      !text.includes("Secret of maya"),
      `${path} shows "${text}"${restored ? " from the back/forward cache" : ""}`,
    );
  }
}

const signsOut = async ({ page }) => {
  await page.evaluate(() => {
    document.body.insertAdjacentHTML(
      "beforeend",
      '<form method="post" action="/_auth/logout?return_to=/public/out"><button id="out">Sign out</button></form>',
    );
  });
  await page.click("#out");
  await page.waitForURL("**/public/out");
};

const switches = async ({ page, link, customer }) => {
  customer.user = "tom";
  const href = link("/tickets/20");
  await page.evaluate(
    (href) => document.body.insertAdjacentHTML("beforeend", `<a id="tom" href="${href}">Tom</a>`),
    href,
  );
  await page.click("#tom");
  await page.click("button");
  await page.waitForURL("**/tickets/20");
  assert.equal(await heading(page), "tom");
};

export const scenarios = {
  async login_brings_back_to_the_very_page(stage) {
    const { customer, app, door, page } = await scene(stage);
    // Whoever is signed in at the customer's goes straight back.
    customer.answers["/login"] = (record, response) => {
      const back = new URL(record.url, customer.origin).searchParams.get("return_to");
      response.writeHead(303, { Location: `${back}&token=${customer.token()}` }).end();
    };
    await page.goto(`${door.origin}/tickets/17?x=1&y=a%20b#part`);
    assert.equal(page.url(), `${door.origin}/tickets/17?x=1&y=a%20b#part`);
    assert.equal(await heading(page), "maya");
    assert.equal(app.at("/tickets/17")[0].url, "/tickets/17?x=1&y=a%20b");
    const { url } = customer.at("/login")[0];
    assert.equal(new URL(url, customer.origin).searchParams.get("return_to"), `${door.origin}/tickets/17?x=1&y=a%20b`);
    assert.ok((await entries(page)).every((url) => !url.includes("token")));
  },

  async login_with_a_form_brings_back_to_the_very_page(stage) {
    // The login page keeps the fragment, which no server sees; the exchange is by form, so the token is in no URL at all.
    const { customer, door, page } = await scene(stage);
    customer.answers["/login"] = (record) => `<!doctype html><title>Log in</title><h1>Log in</h1>
      <form id="form" method="post" action="${door.origin}/_auth/exchange"><button>Log in</button>
      <input type="hidden" name="token" value="${customer.token()}"><input type="hidden" name="return_to"></form>
      <script>form.elements.return_to.value = 
        new URLSearchParams(location.search).get("return_to") + location.hash;</script>`;
    await page.goto(`${door.origin}/tickets/17?x=1#part`);
    assert.equal(await heading(page), "Log in");
    await stage.shot(page, "handoff-login");
    await page.click("button");
    await page.waitForURL(`${door.origin}/tickets/17?x=1#part`);
    assert.equal(await heading(page), "maya");
    await page.reload();
    assert.deepEqual([page.url(), await heading(page)], [`${door.origin}/tickets/17?x=1#part`, "maya"]);
    assert.equal(customer.at("/login").length, 1);
  },

  async the_token_is_left_nowhere(stage) {
    const elsewhere = await stage.site({
      "/picture.svg": "<svg/>",
      "/page": "<!doctype html><title>Elsewhere</title>",
    });
    const ticket = () => `<!doctype html><title>Portal</title><h1>maya</h1><img src="${elsewhere.origin}/picture.svg">
      <img src="/own.svg"><a id="out" href="${elsewhere.origin}/page">elsewhere</a><script>fetch("/api/x");</script>`;
    const all = await scene(stage, { answers: { "/tickets/17": ticket } });
    const { customer, app, door, page, portal, context } = all;
    const token = customer.token();
    // The worst case: a customer who lets the full address go everywhere.
    await all.visit(
      `<meta name="referrer" content="unsafe-url"><a id="go" href="${all.link("/tickets/17?x=1", token)}">go</a>`,
    );
    await page.click("#go");
    await page.waitForURL(`${door.origin}/tickets/17?x=1`);
    await page.waitForLoadState("networkidle");
    const seen = await page.evaluate(() => [
      document.referrer,
      document.URL,
      ...navigation.entries().map((entry) => entry.url),
      ...performance.getEntries().map((entry) => entry.name),
    ]);
    assert.ok(!holds(token, ...seen), `the page sees the token: ${seen}`);
    await page.click("#out");
    await page.waitForURL(`${elsewhere.origin}/page`);
    assert.ok(!holds(token, await page.evaluate(() => document.referrer)));
    assert.deepEqual([elsewhere.at("/picture.svg").length, elsewhere.at("/page").length], [1, 1]);
    assert.ok(app.at("/own.svg").length && app.at("/api/x").length);
    assert.ok(!holds(token, JSON.stringify(elsewhere.requests), JSON.stringify(app.requests), portal.log));
    assert.ok((await context.cookies()).every((cookie) => !holds(token, cookie.value)));
    await page.goBack();
    assert.deepEqual([page.url(), await heading(page)], [`${door.origin}/tickets/17?x=1`, "maya"]);
    assert.deepEqual(refusals(portal), []);
  },

  async a_link_is_confirmed(stage) {
    const all = await scene(stage, confirms);
    const { page, door, app, portal, context, customer } = all;
    const token = customer.token({ userEmail: "maya@acme.example" });
    await all.visit(`<a id="go" href="${all.link("/tickets/17?x=1", token)}">go</a>`);
    await page.click("#go");
    assert.equal(await heading(page), "Sign in to the portal");
    assert.match(await page.textContent("main"), /maya@acme\.example/);
    await stage.shot(page, "handoff-confirm");
    assert.deepEqual([app.requests.length, exchanges(portal), (await context.cookies(door.origin)).length], [0, 0, 0]);
    await page.click("button");
    await page.waitForURL(`${door.origin}/tickets/17?x=1`);
    assert.equal(await heading(page), "maya");
    await until(() => exchanges(portal) === 1, "the log counts 1");
    assert.ok(!holds(token, page.url(), await page.evaluate(() => document.referrer), JSON.stringify(app.requests)));
  },

  async a_confirmed_link_leaves_no_token_in_the_history(stage) {
    const all = await scene(stage, confirms);
    const { page, customer } = all;
    const token = customer.token();
    await all.visit(`<a id="go" href="${all.link("/tickets/17", token)}">go</a>`);
    await page.click("#go");
    await page.click("button");
    await until(() => heading(page).then((text) => text === "maya"), "the portal shows");
    const left = (await entries(page)).filter((url) => holds(token, url));
    assert.deepEqual(left, [], "the app's scripts find the token in navigation.entries()");
  },

  async looking_spends_nothing(stage) {
    for (const handoff of ["redirect", "confirm"]) {
      const all = await scene(stage, { tenant: `handoff = "${handoff}"` });
      const { page, customer, app, portal } = all;
      const url = all.link("/tickets/17");
      const through = all.link("/_auth/exchange?return_to=/tickets/17", new URL(url).searchParams.get("token"));
      await all.visit(`<link rel="prefetch" href="${url}"><link rel="prefetch" href="${through}" as="document">
        <link rel="preload" as="image" href="${url}"><img src="${url}"><img src="${through}"><script src="${url}"></script>
        <link rel="stylesheet" href="${url}"><video src="${url}"></video><object data="${url}"></object><embed src="${url}">
        <a id="go" href="${url}">go</a><script>
          const looks = [["HEAD", "no-cors"], ["GET", "no-cors"], ["GET", "cors"], ["HEAD", "cors"]];
          done = Promise.allSettled(looks.map(([method, mode]) => fetch("${url}", { method, mode, credentials: "include" })));
        </script>`);
      await page.evaluate("done");
      // Fetchers of previews and scanners of mails, which say little of themselves.
      for (const target of [url, through]) {
        const agent = { "User-Agent": "Slackbot-LinkExpanding 1.0", Accept: "*/*" };
        assert.equal((await fetch(target, { method: "HEAD", headers: agent, redirect: "manual" })).status, 204);
        for (const name of ["Sec-Purpose", "Purpose"]) {
          const looked = await fetch(target, { headers: { ...agent, [name]: "prefetch" }, redirect: "manual" });
          assert.equal(looked.status, 400);
        }
        if (handoff === "confirm") {
          const scanned = await fetch(target, { headers: { ...agent, Accept: "text/html" }, redirect: "manual" });
          assert.deepEqual([scanned.status, scanned.headers.get("set-cookie")], [200, null]);
        }
      }
      assert.deepEqual([exchanges(portal), app.requests.length], [0, 0], handoff);
      await page.click("#go");
      if (handoff === "confirm") await page.click("button");
      await page.waitForURL("**/tickets/17");
      assert.equal(await heading(page), "maya", handoff);
      await until(() => exchanges(portal) === 1, "the log counts 1");
      await stage.end();
    }
  },

  async a_prefetched_link_signs_in(stage) {
    const all = await scene(stage);
    const { page, portal, app } = all;
    const url = all.link("/tickets/17");
    await all.visit(`<script type="speculationrules">{"prefetch":[{"urls":["${url}"],"eagerness":"immediate"}]}</script>
      <a id="go" href="${url}">go</a>`);
    await until(() => / method="GET" path="\/tickets\/17" status=400/.test(portal.log), "Chromium prefetches");
    await sleep(300);
    assert.deepEqual([exchanges(portal), app.requests.length], [0, 0]);
    await page.click("#go");
    await until(() => app.at("/tickets/17").length, "the click opens the portal");
    await page.waitForURL("**/tickets/17");
    assert.equal(await heading(page), "maya");
  },

  async a_prefetched_sign_out_signs_out(stage) {
    const home = `<!doctype html><title>Portal</title><h1>Home</h1>
      <script type="speculationrules">{"prefetch":[{"where":{"href_matches":"/*"},"eagerness":"moderate"}]}</script>
      <a id="out" href="/_auth/logout?return_to=/public/out">Sign out</a>`;
    const all = await scene(stage, { answers: { "/tickets/17": home, "/public/out": "<!doctype html><h1>Out</h1>" } });
    const { page, portal } = all;
    await all.enter("maya");
    await page.waitForSelector("#out");
    // Chromium prefetches what the pointer rests on, where the app asks for it, as WordPress does.
    await page.hover("#out");
    await until(() => / path="\/_auth\/logout" status=/.test(portal.log), "Chromium prefetches");
    assert.ok(!/audit: signed out/.test(portal.log));
    await sleep(300);
    await page.click("#out");
    await until(() => /audit: signed out/.test(portal.log), "the click signs out", 5000);
    await page.waitForURL("**/public/out");
  },

  async a_page_without_referrer_signs_out(stage) {
    // Helmet's default; the browser then sends this form with `Origin: null`, and says that it is of the same origin.
    const home = (_, response) => {
      response.setHeader("Referrer-Policy", "no-referrer");
      return '<!doctype html><h1>Home</h1><form method="post" action="/_auth/logout?return_to=/public/out"><button>x</button>';
    };
    const all = await scene(stage, { answers: { "/tickets/17": home, "/public/out": "<!doctype html><h1>Out</h1>" } });
    const { page, portal } = all;
    await all.enter("maya");
    await page.click("button");
    await page.waitForLoadState();
    assert.equal(await heading(page), "Out", `refused: ${refusals(portal)}`);
    await until(() => /audit: signed out/.test(portal.log), "the log has it");
  },

  async without_cookies_it_does_not_go_round_in_circles(stage) {
    const { customer, page, door } = await scene(stage, { browser: { preferences: noCookies } });
    customer.answers["/login"] = (record, response) => {
      const back = new URL(record.url, customer.origin).searchParams.get("return_to");
      response.writeHead(303, { Location: `${back}?token=${customer.token()}` }).end();
    };
    const failure = await page.goto(`${door.origin}/tickets/17`).then(
      () => null,
      (failure) => failure.message.split("\n")[0],
    );
    const asked = customer.at("/login").length;
    assert.ok(!failure && asked <= 2, `asked to log in ${asked} times, then ${failure}`);
  },

  a_double_click_on_a_link_signs_in: (stage) => twiceOnALink(stage),
  a_double_click_on_a_link_signs_in_over_a_slow_network: (stage) => twiceOnALink(stage, { delay: 150 }),
  a_double_click_on_a_form_signs_in: (stage) => twiceOnAForm(stage),
  a_double_click_on_a_form_signs_in_over_a_slow_network: (stage) => twiceOnAForm(stage, { delay: 150 }),
  a_double_click_on_the_question_signs_in: (stage) => twiceOnTheButton(stage),
  a_double_click_on_the_question_signs_in_over_a_slow_network: (stage) => twiceOnTheButton(stage, { delay: 150 }),

  async another_user_is_asked_about(stage) {
    const all = await scene(stage);
    const { page, customer, door, portal, app } = all;
    await all.enter("maya");
    await page.waitForURL(`${door.origin}/tickets/17`);
    for (const choice of ["stay", "switch"]) {
      customer.user = "tom";
      const token = customer.token({ userEmail: "tom@acme.example" });
      await all.visit(`<a id="go" href="${all.link("/tickets/20", token)}">go</a>`);
      const asked = app.requests.length;
      await page.click("#go");
      assert.equal(await heading(page), "Switch accounts?");
      const text = await page.textContent("main");
      assert.match(text, /maya/);
      assert.match(text, /tom@acme\.example/);
      assert.equal(app.requests.length, asked);
      if (choice === "stay") {
        await stage.shot(page, "handoff-switch");
        // A key pressed by accident changes nothing.
        await page.keyboard.press("Enter");
        await page.waitForURL(`${door.origin}/tickets/20`);
        assert.equal(await heading(page), "maya");
        await until(() => exchanges(portal) === 1, "the log counts 1");
      } else {
        await page.click("button");
        await page.waitForURL(`${door.origin}/tickets/20`);
        assert.equal(await heading(page), "tom");
        await until(() => exchanges(portal) === 2, "the log counts 2");
      }
    }
  },

  async a_form_of_the_customers_page_is_not_asked_about(stage) {
    const all = await scene(stage);
    const { page, customer, door } = all;
    await all.enter("maya");
    await page.waitForURL(`${door.origin}/tickets/17`);
    // Behind it stands who is signed in there; a page of another site has no such say.
    customer.user = "tom";
    const elsewhere = await stage.site({ "/": form(customer, door) });
    await page.goto(elsewhere.origin);
    await page.click("#go");
    assert.equal(await heading(page), "This page may not sign you in");
    await all.visit(form(customer, door));
    await page.click("#go");
    await page.waitForURL(`${door.origin}/tickets/17`);
    assert.equal(await heading(page), "tom");
  },

  async a_refused_switch_leads_out(stage) {
    for (const tenant of ['on_switch = "reject"', 'on_switch = "reject"\nlogout_url = "LEFT"']) {
      const customer = await stage.customer({ "/left": "<!doctype html><title>Left</title><h1>Left</h1>" });
      const app = await stage.app();
      const options = { tenant: tenant.replace("LEFT", `${customer.origin}/left`) };
      const portal = await stage.vestibule({ app, customer, ...options });
      const page = await (await stage.browser()).newPage();
      await page.goto(`${portal.origin}/tickets/17?token=${customer.token()}`);
      customer.user = "tom";
      const link = `${portal.origin}/tickets/17?token=${customer.token()}`;
      await page.goto(link);
      assert.equal(await heading(page), "Another account is signed in here");
      await stage.shot(page, "handoff-rejected");
      await page.click("button:has-text('Sign out')");
      const end = options.tenant.includes("/left") ? "Left" : "You are signed out";
      await until(async () => (await heading(page)) === end, `${end} shows`);
      // The link is as good as before.
      await page.goto(link);
      assert.equal(await heading(page), "tom");
      await stage.end();
    }
  },

  async a_sign_out_says_so(stage) {
    const all = await scene(stage);
    const { page, customer, door } = all;
    customer.answers["/login"] = "<!doctype html><title>Log in</title><h1>Log in</h1>";
    await all.enter("maya");
    await page.goto(`${door.origin}/_auth/logout`);
    assert.equal(await heading(page), "You are signed out");
    await stage.shot(page, "handoff-signed-out");
    await page.reload();
    assert.equal(await heading(page), "You are signed out");
    await page.click("main a");
    assert.equal(await heading(page), "Log in");
  },

  async the_customers_page_on_another_site_signs_out_by_a_link(stage) {
    const all = await scene(stage);
    const { page, customer, door } = all;
    const elsewhere = await stage.site({ "/": `<!doctype html><a id="go" href="${door.origin}/_auth/logout">out</a>` });
    await all.enter("maya");
    await page.goto(elsewhere.origin);
    await page.click("#go");
    assert.equal(await heading(page), "This is not allowed");
    await all.visit(`<img src="${door.origin}/_auth/logout"><iframe src="${door.origin}/_auth/logout"></iframe>`);
    await page.goto(`${door.origin}/tickets/17`);
    assert.equal(await heading(page), "maya");
    await all.visit(`<a id="go" href="${door.origin}/_auth/logout">Sign out</a>`);
    await page.click("#go");
    assert.equal(await heading(page), "You are signed out");
  },

  async a_first_try_from_another_machine_says_why(stage) {
    // A name that is not loopback, over plain HTTP: browsers drop the cookie there.
    const args = ["--host-resolver-rules=MAP portal.test 127.0.0.1"];
    const all = await scene(stage, { browser: { args } });
    const { page, customer, portal } = all;
    customer.answers["/login"] = (record, response) => {
      const back = new URL(record.url, customer.origin).searchParams.get("return_to");
      response.writeHead(303, { Location: `${back}?token=${customer.token()}` }).end();
    };
    const origin = `http://portal.test:${portal.port}`;
    await page.goto(`${origin}/tickets/17?token=${customer.token()}`);
    assert.equal(await heading(page), "Your browser did not keep this sign-in");
    await stage.shot(page, "handoff-cookie-lost");
    const text = await page.textContent("main");
    for (const key of ["tls", "trusted_proxies", "insecure_cookie"]) assert.ok(text.includes(key), key);
    await until(() => /exchanged .*caution=.*tls.*trusted_proxies.*insecure_cookie/.test(portal.log), "so does the log");
    // A login that needs no click does not go round and round.
    const before = customer.at("/login").length;
    await page.click("main a");
    assert.equal(await heading(page), "Your browser did not keep this sign-in");
    assert.equal(customer.at("/login").length, before + 1);
  },

  back_after_a_sign_out_shows_nothing: (stage) => goesBack(stage, { leave: signsOut }),
  back_after_a_sign_out_shows_nothing_kept: (stage) => goesBack(stage, { leave: signsOut, browser: { bfcache: true } }),
  back_after_a_switch_shows_nothing: (stage) => goesBack(stage, { leave: switches }),
  back_after_a_switch_shows_nothing_kept: (stage) => goesBack(stage, { leave: switches, browser: { bfcache: true } }),
};
