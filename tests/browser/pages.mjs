// The pages that refuse or ask: in the reader's language, in any light, on any screen, by keyboard, without scripts.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { until } from "./support.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const LANGUAGES = {
  en: { locale: "en-GB", dir: "ltr", spent: "This sign-in link was already used", ask: "Switch accounts?" },
  de: { locale: "de-AT", dir: "ltr", spent: "Dieser Anmeldelink wurde schon benutzt", ask: "Konto wechseln?" },
  es: { locale: "es-MX", dir: "ltr", spent: "Este enlace de acceso ya se ha utilizado", ask: "¿Cambiar de cuenta?" },
  fr: { locale: "fr-CA", dir: "ltr", spent: "Ce lien de connexion a déjà servi", ask: "Changer de compte\u202f?" },
  ar: { locale: "ar-EG", dir: "rtl", spent: "سبق استخدام رابط الدخول هذا", ask: "تبديل الحساب؟" },
};

const LONG = "maria.von.und.zu.hohenstein-wittelsbach@a-very-long-department.acme.example";

/** A customer, an app nobody reaches at /down, Vestibule, and a browser whose contexts are made by `open`. */
async function scene(stage, options = {}) {
  const customer = await stage.customer();
  customer.answers["/login"] = "<!doctype html><title>Log in</title><h1>Log in</h1>";
  const app = await stage.app();
  const routes = `
[upstreams.down]
servers = ["127.0.0.1:9"]
[[routes]]
path = "/down"
auth = "public"
upstream = "down"
[[routes]]
path = "/staff"
roles = ["agent"]
upstream = "app"
[[routes]]
path = "/closed"
auth = "deny"
`;
  const portal = await stage.vestibule({ app, customer, routes, ...options });
  const persistent = await stage.browser();
  /** A page of a browser that has nothing yet, with Playwright's options of a context. */
  const open = async (wishes = {}) => {
    const context = await persistent.browser().newContext({ viewport: { width: 1000, height: 700 }, ...wishes });
    context.setDefaultTimeout(10_000);
    return context.newPage();
  };
  const spent = customer.token();
  assert.equal((await fetch(`${portal.origin}/_auth/exchange`, bearer(spent))).status, 200);
  const addresses = {
    token_spent: `/tickets/17?token=${spent}`,
    token_invalid: "/tickets/17?token=eyJhbGciOiJIUzI1NiJ9.e30.AAAA",
    origin_forbidden: "/closed/door",
    bad_request: "/a//b?page=2",
    upstream_unreachable: "/down",
  };
  return { customer, app, portal, open, addresses };
}

const bearer = (token) => ({ method: "POST", headers: { Authorization: `Bearer ${token}` } });

/** Signs somebody in, and opens a link of another user. */
async function asked({ customer, portal }, page, path = "/tickets/17") {
  customer.user = "maya";
  await page.goto(`${portal.origin}${path}?token=${customer.token({ userEmail: LONG })}`);
  customer.user = "tom";
  await page.goto(`${portal.origin}${path}?token=${customer.token({ userEmail: "tom@acme.example" })}`);
}

/** Nothing of weight is in the way of people with disabilities. */
export async function isAccessible(page, name) {
  await page.evaluate(axe);
  const found = await page.evaluate(async () => (await globalThis.axe.run()).violations);
  const heavy = found.filter(({ impact }) => ["serious", "critical"].includes(impact));
  const told = heavy.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`);
  assert.deepEqual(told, [], name);
}

/** Nothing is cut off or has to be scrolled sideways to be read, and what can be clicked can be hit. */
async function fits(page, name) {
  const found = await page.evaluate(() => {
    const wide = [...document.querySelectorAll("body *")].filter((element) => {
      const { left, right } = element.getBoundingClientRect();
      return left < -0.5 || right > innerWidth + 0.5 || element.scrollWidth > element.clientWidth + 1;
    });
    const small = [...document.querySelectorAll("main a, main button")].filter((element) => {
      const { width, height } = element.getBoundingClientRect();
      return width < 24 || height < 24;
    });
    const { scrollWidth } = document.documentElement;
    return { wide: wide.map((e) => e.outerHTML.slice(0, 80)), small: small.length, over: scrollWidth - innerWidth };
  });
  assert.ok(found.over <= 0 && found.small === 0, `${name}: ${JSON.stringify(found)}`);
  // Inline elements have no box of their own to be too wide.
  assert.deepEqual(
    found.wide.filter((html) => !/^<(bdi|code|input)/.test(html)),
    [],
    name,
  );
}

const focused = (page) =>
  page.evaluate(() => {
    const element = document.activeElement;
    const { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(element);
    const { top, bottom } = element.getBoundingClientRect();
    return {
      text: element.textContent.trim(),
      tag: element.tagName,
      isSeen: outlineStyle === "solid" && parseFloat(outlineWidth) >= 2 && outlineColor !== "rgba(0, 0, 0, 0)",
      isInView: top >= 0 && bottom <= innerHeight,
    };
  });

export const scenarios = {
  async they_speak_the_readers_language(stage) {
    const all = await scene(stage);
    for (const [language, { locale, dir, spent, ask }] of Object.entries(LANGUAGES)) {
      const page = await all.open({ locale });
      for (const [code, path] of Object.entries(all.addresses)) {
        await page.goto(`${all.portal.origin}${path}`);
        const seen = await page.evaluate(() => [document.documentElement.lang, document.documentElement.dir]);
        assert.deepEqual(seen, [language, dir], code);
        assert.equal(await page.title(), await page.textContent("h1"));
        if (code === "token_spent") {
          assert.equal(await page.textContent("h1"), spent);
          await stage.shot(page, `pages-${language}-spent`);
        }
        // They are of one make: one in each language will do.
        if (language === "en" || code === "token_spent") await isAccessible(page, `${language} ${code}`);
      }
      await asked(all, page);
      assert.equal(await page.textContent("h1"), ask);
      assert.ok((await page.textContent("main")).includes(LONG));
      await isAccessible(page, `${language} switch`);
      await stage.shot(page, `pages-${language}-switch`);
      await page.context().close();
    }
  },

  async they_are_dark_in_the_dark(stage) {
    const all = await scene(stage);
    const light = async (page, selector) => {
      const color = await page.evaluate((s) => getComputedStyle(document.querySelector(s)).backgroundColor, selector);
      return (
        color
          .match(/\d+/g)
          .slice(0, 3)
          .map(Number)
          .reduce((sum, part) => sum + part) / 765
      );
    };
    for (const [scheme, isRight] of [
      ["light", (value) => value > 0.8],
      ["dark", (value) => value < 0.2],
    ]) {
      const page = await all.open({ colorScheme: scheme });
      for (const path of [all.addresses.token_spent, all.addresses.bad_request]) {
        await page.goto(`${all.portal.origin}${path}`);
        for (const selector of ["body", "main"])
          assert.ok(isRight(await light(page, selector)), `${scheme} ${selector}`);
        await isAccessible(page, scheme);
        await stage.shot(page, `pages-${scheme}`);
      }
      await asked(all, page);
      await isAccessible(page, `${scheme} switch`);
      await stage.shot(page, `pages-${scheme}-switch`);
    }
  },

  async they_fit_a_narrow_screen_and_a_large_zoom(stage) {
    const all = await scene(stage);
    const screens = {
      narrow: { viewport: { width: 320, height: 568 } },
      frame: { viewport: { width: 280, height: 280 } },
      // What 400 % leave of a window of 1280 by 1024.
      zoomed: { viewport: { width: 320, height: 256 }, deviceScaleFactor: 4 },
      wide: { viewport: { width: 2560, height: 1200 } },
    };
    for (const [screen, wishes] of Object.entries(screens)) {
      for (const language of screen === "narrow" ? Object.keys(LANGUAGES) : ["de", "ar"]) {
        const page = await all.open({ ...wishes, locale: LANGUAGES[language].locale });
        await page.goto(`${all.portal.origin}${all.addresses.token_spent}`);
        await fits(page, `${screen} ${language} token_spent`);
        await asked(all, page);
        await fits(page, `${screen} ${language} switch`);
        // The ways on are seen without scrolling, in a small frame too.
        const boxes = await page.$$eval("form.do > :not(input)", (all) => all.map((e) => e.getBoundingClientRect().bottom));
        if (screen === "frame") assert.ok(boxes.every((bottom) => bottom <= 280) && boxes.length === 2, `${boxes}`);
        await page.locator("button").scrollIntoViewIfNeeded();
        await stage.shot(page, `pages-${screen}-${language}`);
        await page.click("button", { trial: true });
        await page.context().close();
      }
    }
  },

  async a_keyboard_is_enough(stage) {
    const all = await scene(stage);
    const page = await all.open();
    await page.goto(`${all.portal.origin}${all.addresses.token_spent}`);
    await page.keyboard.press("Tab");
    assert.deepEqual(await focused(page), { text: "Continue", tag: "A", isSeen: true, isInView: true });
    await stage.shot(page, "pages-focus");
    await page.keyboard.press("Tab");
    assert.deepEqual(await focused(page), { text: "Sign in", tag: "A", isSeen: true, isInView: true });
    await page.keyboard.press("Enter");
    await page.waitForURL(`${all.customer.origin}/login**`);
    await page.goto(`${all.portal.origin}/down`);
    await page.keyboard.press("Tab");
    assert.deepEqual(await focused(page), { text: "Try again", tag: "A", isSeen: true, isInView: true });
    await asked(all, page);
    // The way that changes nothing has the focus from the start, and shows it.
    // `autofocus` takes effect a moment after the page is there.
    await page.waitForFunction(() => document.activeElement !== document.body);
    const stay = await focused(page);
    assert.match(stay.text, /^Stay signed in as /);
    assert.deepEqual([stay.isSeen, stay.isInView], [true, true]);
    await page.keyboard.press("Tab");
    const go = await focused(page);
    assert.deepEqual([go.text, go.tag, go.isSeen, go.isInView], ["Switch to tom@acme.example", "BUTTON", true, true]);
    await page.keyboard.press("Enter");
    await page.waitForURL(`${all.portal.origin}/tickets/17`);
    assert.equal(await page.textContent("h1"), "tom");
  },

  async they_have_no_scripts_and_need_none(stage) {
    const all = await scene(stage, { tenant: 'handoff = "confirm"' });
    const page = await all.open({ javaScriptEnabled: false });
    for (const [code, path] of Object.entries(all.addresses)) {
      const answer = await page.goto(`${all.portal.origin}${path}`);
      const html = await answer.text();
      assert.ok(!/<script|\son\w+=|javascript:/i.test(html), `${code}: ${html}`);
      const policy = answer.headers()["content-security-policy"];
      assert.match(policy, /default-src 'none'/);
      assert.ok(!/script-src/.test(policy), policy);
      assert.ok(await page.locator("h1").isVisible());
    }
    await page.goto(`${all.portal.origin}/tickets/17?token=${all.customer.token()}`);
    await page.click("button");
    await page.waitForURL(`${all.portal.origin}/tickets/17`);
    assert.equal(await page.textContent("h1"), "maya");
    // And none that got in would run.
    const curious = await all.open();
    const heard = [];
    curious.on("console", (message) => heard.push(message.text()));
    await curious.goto(`${all.portal.origin}/a//b?<script>document.title="in"</script>`);
    await curious.evaluate(() => {
      document.body.append(Object.assign(document.createElement("script"), { textContent: 'document.title = "in"' }));
    });
    assert.notEqual(await curious.title(), "in");
    await until(() => heard.some((text) => /Content Security Policy/.test(text)), "the browser says why");
  },

  async an_operators_own_templates_are_shown(stage) {
    const picture =
      "<svg xmlns='http://www.w3.org/2000/svg' width='160' height='40'><rect width='160' height='40' fill='#b3261e'/></svg>";
    const files = {
      "pages/page.html": `{% extends "builtin/page.html" %}
{% block style %}
{{ super() }}
main { border-top: .4rem solid rgb(179, 38, 30) }
{% endblock %}
{% block header %}<img src="/public/logo.svg" alt="Acme" height="40"><script>document.title = "in"</script>{% endblock %}
{% block footer %}<p id="help"><a href="https://acme.example/help?id={{ request_id }}">{{ own.help }}</a></p>{{ super() }}{% endblock %}
`,
      "pages/en.toml": '[own]\nhelp = "Need help?"\n[token_spent]\ntitle = "Used up"\n',
      "pages/nl.toml": 'dir = "ltr"\n[own]\nhelp = "Hulp nodig?"\n[token_spent]\ntitle = "Deze link is al gebruikt"\n',
    };
    const all = await scene(stage, { files, more: '[pages]\ntemplates = "pages"\n' });
    all.app.answers["/public/logo.svg"] = (_, response) =>
      void response.writeHead(200, { "Content-Type": "image/svg+xml" }).end(picture);
    for (const [locale, title, help] of [
      ["en-US", "Used up", "Need help?"],
      ["nl-NL", "Deze link is al gebruikt", "Hulp nodig?"],
      ["de-DE", LANGUAGES.de.spent, "Need help?"],
    ]) {
      const page = await all.open({ locale });
      const answer = await page.goto(`${all.portal.origin}${all.addresses.token_spent}`);
      assert.deepEqual([answer.status(), await page.textContent("h1"), await page.title()], [401, title, title]);
      assert.equal(await page.textContent("#help a"), help);
      const seen = await page.evaluate(() => [
        document.querySelector("img").naturalWidth,
        getComputedStyle(document.querySelector("main")).borderTopColor,
      ]);
      assert.deepEqual(seen, [160, "rgb(179, 38, 30)"]);
      const id = await page.textContent("footer code");
      assert.ok((await page.getAttribute("#help a", "href")).endsWith(id));
      await until(() => all.portal.log.includes(id), "the log has it");
      await isAccessible(page, locale);
      await stage.shot(page, `pages-own-${locale}`);
    }
    const page = await all.open();
    await asked(all, page);
    assert.equal(await page.textContent("#help a"), "Need help?");
    await page.click("button");
    await page.waitForURL(`${all.portal.origin}/tickets/17`);
    assert.equal(await page.textContent("h1"), "tom");
  },
};
