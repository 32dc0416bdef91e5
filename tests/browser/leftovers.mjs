// The app's own login does not outlive the identity it was used with (`session_cookies`): two people at one browser.

import assert from "node:assert/strict";
import { until } from "./support.mjs";

const upstream = 'session_cookies = ["sessionid"]';

/** Opens a link on the customer's page as somebody, and agrees if somebody else is signed in. */
async function enter({ customer, portal, page }, user, path, { switches = false } = {}) {
  const token = customer.token({ userId: user, userEmail: `${user}@acme.example` });
  customer.answers["/"] = `<!doctype html><a id="go" href="${portal.origin}${path}?token=${token}">My tickets</a>`;
  await page.goto(customer.origin);
  await page.click("#go");
  if (switches) {
    assert.equal(await page.textContent("h1"), "Switch accounts?");
    await page.click("button");
  }
  await page.waitForURL(`${portal.origin}${path}`);
}

/** The value of a cookie of the portal's. */
async function kept({ context, portal }, name) {
  const jar = await context.cookies(portal.origin);
  return jar.find((cookie) => cookie.name === name)?.value;
}

/** With which of the app's logins somebody's requests came. */
const logins = (requests, user) => {
  const theirs = requests.filter(({ headers }) => headers["x-user-id"] === user);
  return new Set(theirs.map(({ headers }) => headers.cookie?.match(/(?:^|; )sessionid=([^;]*)/)?.[1]));
};

/** An app with a login of its own, which it trusts more than who calls: its pages are of whom the login was begun for. */
function trusting(own = "") {
  const owners = new Map();
  return (record, response) => {
    const user = record.headers["x-user-id"] ?? "nobody";
    let id = record.headers.cookie?.match(/(?:^|; )sessionid=([^;]*)/)?.[1];
    if (!owners.has(id)) {
      id = `${user}-${owners.size}`;
      owners.set(id, user);
      response.setHeader("Set-Cookie", `sessionid=${id}; Path=/; HttpOnly${own}`);
    }
    return `<!doctype html><title>Portal</title><h1>Tickets of ${owners.get(id)}</h1>`;
  };
}

async function scene(stage, { own, ...options } = {}) {
  const customer = await stage.customer();
  const tickets = trusting(own);
  const app = await stage.app({
    "/tickets": tickets,
  });
  const portal = await stage.vestibule({ app, customer, ...options });
  const context = await stage.browser();
  const page = await context.newPage();
  return { customer, app, portal, context, page };
}

export const scenarios = {
  async toms_helpdesk_is_not_mayas(stage) {
    const customer = await stage.customer();
    const helpdesk = await stage.helpdesk();
    const app = await stage.recorder(helpdesk.port);
    const routes = '[[routes]]\npath = "/static"\nauth = "public"\nupstream = "app"\n';
    const portal = await stage.vestibule({ app, customer, upstream, routes });
    const context = await stage.browser();
    const page = await context.newPage();
    const all = { customer, app, portal, context, page };
    const title = "The printer on floor 3 eats paper";

    await enter(all, "maya", "/tickets/submit/");
    await page.fill("[name=title]", title);
    await page.fill("[name=body]", "Every second page.");
    await page.click("form:has([name=title]) [type=submit]");
    await until(async () => (await page.textContent("body")).includes(title), "the ticket shows");
    const ticket = page.url();
    await stage.shot(page, "leftovers-maya");
    await page.goto(`${portal.origin}/tickets/my-tickets/`);
    await page.waitForSelector(`text=${title}`);
    const mayas = await kept(all, "sessionid");
    assert.ok(mayas, "Django has given her a login of its own");
    assert.ok(logins(app.requests, "maya").has(mayas));

    await enter(all, "tom", "/tickets/my-tickets/", { switches: true });
    await page.waitForLoadState("networkidle");
    assert.ok(!(await page.content()).includes(title));
    await stage.shot(page, "leftovers-tom");
    for (const path of [new URL(ticket).pathname + new URL(ticket).search, "/api/user_tickets/", "/tickets/submit/"]) {
      await page.goto(`${portal.origin}${path}`);
      assert.ok(!(await page.content()).includes(title), path);
    }
    // Her login is gone from the browser, none of his requests came with it, and Django has begun another for him.
    const toms = await kept(all, "sessionid");
    assert.ok(toms && toms !== mayas, `${toms}`);
    const his = logins(app.requests, "tom");
    const hers = logins(app.requests, "maya");
    assert.ok(his.has(toms) && [...his].every((login) => !login || !hers.has(login)));

    // And back: hers is not his.
    await enter(all, "maya", "/tickets/my-tickets/", { switches: true });
    await page.waitForSelector(`text=${title}`);
    assert.ok([...logins(app.requests, "maya")].every((login) => !login || !his.has(login)));
    // Signing out takes Django's login along.
    await page.evaluate(() => fetch("/_auth/logout", { method: "POST", redirect: "manual" }));
    assert.equal(await kept(all, "sessionid"), undefined);
  },

  async an_app_that_trusts_its_own_login_is_not_misled(stage) {
    // What it is about: without the setting such an app shows the other's pages.
    const without = await scene(stage);
    await enter(without, "maya", "/tickets");
    await enter(without, "tom", "/tickets", { switches: true });
    assert.equal(await without.page.textContent("h1"), "Tickets of maya");
    await stage.end();

    const all = await scene(stage, { upstream });
    const { page, app, portal } = all;
    await enter(all, "maya", "/tickets");
    assert.equal(await page.textContent("h1"), "Tickets of maya");
    await page.reload();
    assert.equal(await page.textContent("h1"), "Tickets of maya");
    await enter(all, "tom", "/tickets", { switches: true });
    for (let time = 0; time < 2; time += 1) {
      assert.equal(await page.textContent("h1"), "Tickets of tom");
      await page.reload();
    }
    await enter(all, "maya", "/tickets", { switches: true });
    assert.equal(await page.textContent("h1"), "Tickets of maya");
    const [his, hers] = ["tom", "maya"].map((user) => [...logins(app.requests, user)].filter(Boolean));
    assert.ok(his.length && hers.length && his.every((login) => !hers.includes(login)), `${his} ${hers}`);
    assert.ok((await kept(all, "sessionid")).startsWith("maya"));
    assert.ok(!JSON.stringify(await all.context.cookies(portal.origin)).includes("tom-"));
  },

  async a_form_that_replaces_somebody_brings_no_login_along(stage) {
    // A form on another site comes without the session's cookie: nobody is asked, and the app's login may still lie there.
    const all = await scene(stage, { upstream });
    const { page, customer, portal } = all;
    await enter(all, "maya", "/tickets");
    customer.answers["/"] = `<!doctype html><form method="post" action="${portal.origin}/_auth/exchange">
      <input type="hidden" name="token" value="${customer.token({ userId: "tom" })}">
      <input type="hidden" name="return_to" value="/tickets"><button>go</button></form>`;
    await page.goto(customer.origin);
    await page.click("button");
    await page.waitForURL(`${portal.origin}/tickets`);
    assert.equal(await page.textContent("h1"), "Tickets of tom");
    assert.ok((await kept(all, "sessionid")).startsWith("tom"));
  },

  async a_login_under_another_path_is_kept_from_the_next(stage) {
    // What no expiry for the root path removes.
    const all = await scene(stage, { upstream, own: "; Path=/tickets" });
    const { page, app } = all;
    await enter(all, "maya", "/tickets");
    await page.reload();
    assert.ok([...logins(app.requests, "maya")].some((login) => login?.startsWith("maya")));
    await enter(all, "tom", "/tickets", { switches: true });
    await page.reload();
    assert.equal(await page.textContent("h1"), "Tickets of tom");
    assert.ok([...logins(app.requests, "tom")].every((login) => !login?.startsWith("maya")));
  },

  async a_frame_has_logins_of_its_own(stage) {
    const all = await scene(stage, { upstream, own: "; Secure; SameSite=None; Partitioned" });
    const { page, customer, portal, app } = all;
    const show = async (user) => {
      const token = customer.token({ userId: user });
      customer.answers["/"] = `<!doctype html><iframe name="frame"></iframe>
        <form method="post" id="form" target="frame" action="${portal.origin}/_auth/exchange">
        <input type="hidden" name="token" value="${token}"><input type="hidden" name="return_to" value="/tickets"></form>
        <script>form.submit();</script>`;
      await page.goto(customer.origin);
      await until(() => heading().then(Boolean), "it shows");
    };
    const inside = () => page.frames().find((frame) => frame.url().startsWith(portal.origin));
    const heading = async () =>
      inside()
        ?.evaluate(() => document.querySelector("h1")?.textContent)
        .catch(() => null);
    await show("maya");
    assert.equal(await heading(), "Tickets of maya");
    // The customer's page vouches for who is there.
    await show("tom");
    await until(async () => (await heading()) === "Tickets of tom", "his tickets show");
    const his = [...logins(app.requests, "tom")].filter(Boolean);
    assert.ok(
      his.every((login) => login.startsWith("tom")),
      `${his}`,
    );
  },
};
