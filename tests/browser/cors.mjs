// Who reads answers: pages of the customer do, refusals too; foreign pages read none, whatever the app says.

import assert from "node:assert/strict";

const own = { "Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "true" };

/** A customer, a foreign site, the app, which says what it likes of CORS, Vestibule, and a browser. */
async function scene(stage) {
  const customer = await stage.customer();
  const foreign = await stage.site();
  for (const site of [customer, foreign]) site.answers["/"] = "<!doctype html><title>A page</title><h1>A page</h1>";
  const says = (headers) => (record, response) => {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    return {
      user: record.headers["x-user-id"],
      method: record.method,
      thing: record.headers["x-thing"],
      body: record.body,
    };
  };
  const app = await stage.app({
    "/api/plain": says({}),
    "/api/any": says(own),
    "/api/echo": (record, response) =>
      says({ ...own, "Access-Control-Allow-Origin": record.headers.origin ?? "*" })(record, response),
    "/api/two": says({ "Access-Control-Allow-Origin": ["https://a.example", "https://b.example"] }),
    "/api/evil": says({ ...own, "Access-Control-Allow-Origin": foreign.origin }),
    "/public/evil": says({ ...own, "Access-Control-Allow-Origin": foreign.origin }),
  });
  const portal = await stage.vestibule({ app, customer });
  const context = await stage.browser();
  const page = await context.newPage();
  return { customer, foreign, app, portal, context, page };
}

const paths = ["/api/plain", "/api/any", "/api/echo", "/api/two", "/api/evil"];

/** In the page: what a script learns of an answer; `failed` where the browser keeps it from it. */
const reads = (page, url, options = {}) =>
  page.evaluate(
    async ([url, options]) => {
      try {
        const answer = await fetch(url, options);
        const headers = Object.fromEntries(answer.headers);
        return { status: answer.status, headers, told: answer.status === 204 ? null : await answer.json() };
      } catch (failure) {
        return { failed: failure.name };
      }
    },
    [url, options],
  );

const FAILED = { failed: "TypeError" };
const bearer = (customer) => ({ Authorization: `Bearer ${customer.token()}` });

export const scenarios = {
  async the_customers_page_reads_answers_whatever_the_app_says(stage) {
    const { customer, portal, page } = await scene(stage);
    await page.goto(customer.origin);
    for (const path of paths) {
      const { status, told, headers, failed } = await reads(page, `${portal.origin}${path}`, {
        headers: bearer(customer),
      });
      assert.deepEqual([failed, status, told?.user], [undefined, 200, "maya"], path);
      assert.match(headers["x-request-id"], /^[0-9a-f]{32}$/);
    }
  },

  async the_customers_page_reads_refusals(stage) {
    const { customer, portal, page } = await scene(stage);
    await page.goto(customer.origin);
    for (const [headers, code, title] of [
      [{}, "token_missing", "Authentication required"],
      [{ Authorization: "Bearer x.y.z" }, "token_invalid", "Invalid token"],
    ]) {
      const answer = await reads(page, `${portal.origin}/api/plain`, { headers });
      assert.equal(answer.status, 401);
      assert.deepEqual([answer.told.code, answer.told.title, answer.told.refresh], [code, title, true]);
      assert.match(answer.headers["www-authenticate"], /^Bearer/);
      assert.equal(answer.headers["x-request-id"], answer.told.request_id);
      assert.equal(answer.headers["content-type"], "application/problem+json");
    }
  },

  async preflights_are_answered(stage) {
    const { customer, portal, page, app } = await scene(stage);
    await page.goto(customer.origin);
    for (const method of ["PUT", "PATCH", "DELETE", "POST"]) {
      const headers = { ...bearer(customer), "X-Thing": "yes", "Content-Type": "application/json" };
      const options = { method, headers, body: '{"a":1}' };
      const { status, told } = await reads(page, `${portal.origin}/api/plain`, options);
      assert.deepEqual([status, told], [200, { user: "maya", method, thing: "yes", body: '{"a":1}' }]);
    }
    assert.deepEqual([...new Set(app.requests.map(({ method }) => method))].sort(), ["DELETE", "PATCH", "POST", "PUT"]);
    // Of the exchange, too: a script signs in, and asks who it is.
    const session = await reads(page, `${portal.origin}/_auth/exchange?embed=true`, {
      method: "POST",
      credentials: "include",
      headers: { ...bearer(customer), Accept: "application/json" },
    });
    assert.deepEqual([session.status, session.told.user.id], [200, "maya"]);
    const put = { method: "PUT", credentials: "include", headers: { "X-Thing": "yes" }, body: "b" };
    const written = await reads(page, `${portal.origin}/api/plain`, put);
    assert.deepEqual([written.status, written.told?.user], [200, "maya"], "by the cookie it was given");
  },

  async a_foreign_page_reads_nothing(stage) {
    const { customer, foreign, portal, page, app, context } = await scene(stage);
    // Its visitor is signed in, in a tab; and the page even has a token.
    await page.goto(`${portal.origin}/api/plain?token=${customer.token()}`);
    assert.equal((await context.cookies(portal.origin)).length, 1);
    const sibling = foreign.origin.replace("127.0.0.1", "localhost");
    for (const origin of [foreign.origin, sibling]) {
      await page.goto(origin);
      const asked = app.requests.length;
      for (const path of [...paths, "/api/nothing", "/_auth/session", "/public/evil"]) {
        const url = `${portal.origin}${path}`;
        assert.deepEqual(await reads(page, url), FAILED, `${origin} ${path}`);
        assert.deepEqual(
          await reads(page, url, { credentials: "include" }),
          FAILED,
          `${origin} ${path} with the cookie`,
        );
        assert.deepEqual(
          await reads(page, url, { headers: bearer(customer) }),
          FAILED,
          `${origin} ${path} with a token`,
        );
      }
      const put = { method: "PUT", credentials: "include", headers: { "X-Thing": "yes" } };
      assert.deepEqual(await reads(page, `${portal.origin}/api/plain`, put), FAILED);
      // Not even what needs no preflight is written.
      const post = { method: "POST", credentials: "include", body: "x=1" };
      assert.deepEqual(await reads(page, `${portal.origin}/api/plain`, post), FAILED);
      const blind = { method: "POST", credentials: "include", mode: "no-cors", body: "x=1" };
      await page.evaluate(
        ([url, options]) => fetch(url, options).catch(() => {}),
        [`${portal.origin}/api/plain`, blind],
      );
      const written = app.requests.slice(asked).filter(({ method }) => method !== "GET");
      assert.deepEqual(written, [], origin);
    }
    await stage.shot(page, "cors-foreign");
  },
};
