// `vestibule demo`: the whole story, as a visitor of the README walks through it.

import assert from "node:assert/strict";
import { board, demo, opened, say, visitor } from "./story.mjs";
import { isAccessible } from "./pages.mjs";
import { until } from "./support.mjs";

const texts = (page, selector) => page.locator(selector).allInnerTexts();

export const scenarios = {
  async the_chat_leads_to_the_tickets_signed_in(stage) {
    const place = await demo(stage);
    const { context, page } = await visitor(stage, place, "maya");
    await say(page, "Who am I to you?");
    await page.waitForSelector("#chat .typing:not([hidden])");
    await page.waitForSelector("#chat .assistant:has-text('X-User-Id: maya')");
    await say(page, "Where are my tickets?");
    await page.waitForSelector("#chat .offer");
    await stage.shot(page, "demo-chat");
    const urls = [];
    context.on("request", (request) => urls.push(request.url()));
    const tab = await opened(context, page, "#chat .offer");
    assert.equal(await tab.innerText("h1"), "Maya Sørensen’s tickets");
    assert.equal(new URL(tab.url()).hostname, "localhost");
    assert.equal(new URL(tab.url()).search, "");
    assert.ok(!urls.some((url) => /[?&](token|jwt)=|eyJ/.test(url) || url.includes("/support?")), urls.join("\n"));
    // The log shows the request of the page it stands on, and the chat.
    await tab.waitForSelector(".seen li:has-text('GET /tickets'):has-text('maya')");
    await tab.waitForSelector(".seen li:has-text('GET /chat'):has-text('customer')");
    await tab.click(".forge button");
    await tab.waitForSelector("output:has-text('The helpdesk received X-User-Id: maya')");
    await stage.shot(tab, "demo-portal");
    await tab.goto(tab.url().replace("/tickets", "/agents"));
    assert.match(await tab.innerText("body"), /role|allowed/i);
  },

  async everything_is_live(stage) {
    const place = await demo(stage);
    const maya = await visitor(stage, place, "maya");
    const ada = await visitor(stage, place, "ada");
    const rows = board(maya.page).locator(".rows li");
    await until(async () => (await rows.count()) === 3, "the board shows her tickets");
    await maya.page.click(".launcher");
    const portal = await opened(maya.context, maya.page, "#chat .ways [data-open]");
    await portal.fill("[name=subject]", "Scales show grams as ounces");
    await portal.click("main form button");
    await board(maya.page).locator("li:has-text('Scales show grams')").waitFor();
    await board(maya.page).locator("[name=subject]").fill("And the clock is wrong");
    await board(maya.page).locator("button").click();
    await portal.waitForSelector(".tickets li:has-text('And the clock is wrong')");

    await ada.page.click(".launcher");
    const desk = await opened(ada.context, ada.page, "#chat .ways [data-open]");
    await maya.page.waitForSelector("#chat .state:has-text('Ada is here')");
    await say(maya.page, "Is somebody there?");
    await desk.waitForSelector(".log .customer:has-text('Is somebody there?')");
    await desk.fill(".say input", "I am, good day Maya!");
    await desk.press(".say input", "Enter");
    await maya.page.waitForSelector("#chat .agent:has-text('I am, good day Maya!')");
    // A drop is mended, and what was said is still there.
    await maya.page.evaluate("sockets.at(-1).close()");
    await maya.page.waitForSelector("#chat[data-state=again]");
    await maya.page.waitForSelector("#chat[data-state=on] .agent:has-text('good day Maya!')");
    await desk.click(".tickets li:has-text('Scales') summary");
    const ticket = desk.locator(".tickets li:has-text('Scales')");
    await ticket.locator("[name=text]").fill("Hold the left button for five seconds.");
    await stage.shot(desk, "demo-staff");
    await ticket.locator("form button").click();
    await board(maya.page).locator("li:has-text('Scales'):has-text('answered')").waitFor();
    await maya.page.bringToFront();
    await stage.shot(maya.page, "demo-live");
  },

  async another_user_is_asked_for_first(stage) {
    const place = await demo(stage);
    const { context, page } = await visitor(stage, place, "maya");
    await page.click(".launcher");
    const tab = await opened(context, page, "#chat .ways [data-open]");
    const desk = async () => (await context.cookies()).find(({ name }) => name === "desk_session")?.value;
    const before = await desk();
    await tab.reload();
    assert.match(await tab.innerText("aside"), new RegExp(`desk_session=${before}, was opened for Maya Sørensen;`));
    await page.click("header a:has-text('Be somebody else')");
    await page.click("button[value=tom]");
    await page.click("[data-way='/tickets']");
    await page.waitForURL((url) => url.hostname === "localhost");
    assert.match(await page.innerText("body"), /Switch accounts\?[^]*Maya Sørensen[^]*Tom Okafor/);
    await stage.shot(page, "demo-switch");
    await page.click("form button");
    await page.waitForSelector("h1:has-text('Tom Okafor’s tickets')");
    assert.equal(new URL(page.url()).search, "");
    assert.match(await page.innerText("aside"), /was opened for Tom Okafor just now/);
    assert.ok(!(await page.innerText("aside")).includes(before));
    assert.notEqual(await desk(), before);
    // The tab that was Maya's is his by now, or it would show his tickets under her name.
    await tab.bringToFront();
    await tab.waitForSelector("h1:has-text('Tom Okafor’s tickets')");
    await page.bringToFront();
    assert.ok((await texts(page, ".tickets b")).includes("Card terminal loses its connection"));
    // Out of the portal; Nordwind still knows him.
    await page.click(".who button");
    await page.waitForSelector(".notice:has-text('signed out of the helpdesk, and still signed in here')");
  },

  async a_sign_out_in_nordwind_ends_the_portal_too(stage) {
    const place = await demo(stage);
    const { context, page } = await visitor(stage, place, "maya");
    await page.click(".launcher");
    const tab = await opened(context, page, "#chat .ways [data-open]");
    await board(page).locator(".rows li").first().waitFor();
    await page.bringToFront();
    await page.click("header form button");
    await page.waitForSelector(".notice:has-text('signed out of the helpdesk and of Nordwind')");
    await tab.bringToFront();
    await tab.waitForSelector("[data-out]:has-text('You were signed out')");
    await page.bringToFront();
    await page.click("button[value=tom]");
    // Nobody is asked about her: not in his frame, and not in the tab of his own.
    await board(page).locator(".rows li:has-text('Card terminal')").waitFor();
    const his = await opened(context, page, "#chat .ways [data-open]");
    assert.equal(await his.innerText("h1"), "Tom Okafor’s tickets");
  },

  async a_tab_of_the_one_before_becomes_that_of_the_next(stage) {
    const place = await demo(stage);
    const { context, page } = await visitor(stage, place, "maya");
    await page.click(".launcher");
    const tab = await opened(context, page, "#chat .ways [data-open]");
    await page.bringToFront();
    await page.click("header a:has-text('Be somebody else')");
    await page.click("button[value=tom]");
    // Nordwind vouches for him: the board and the tab it opens are his without a question.
    await board(page).locator(".rows li:has-text('Card terminal')").waitFor();
    const his = await opened(context, page, "#chat .ways [data-open]");
    assert.equal(await his.innerText("h1"), "Tom Okafor’s tickets");
    await tab.bringToFront();
    await tab.waitForSelector("h1:has-text('Tom Okafor’s tickets')");
    // What was written for her is not his.
    await tab.evaluate(() => (document.querySelector("main form [name=as]").value = "maya"));
    await tab.fill("[name=subject]", "Written as Maya");
    await tab.click("main form button");
    await tab.waitForLoadState();
    assert.ok(!(await tab.innerText("main")).includes("Written as Maya"));
  },

  async a_revocation_ends_all_of_it(stage) {
    const place = await demo(stage);
    const { context, page } = await visitor(stage, place, "maya");
    await say(page, "Hello");
    const tab = await opened(context, page, "#chat .ways [data-open]");
    await board(page).locator(".rows li").first().waitFor();
    await page.bringToFront();
    await page.click("[data-revoke]");
    await page.waitForSelector("[data-revoked]:has-text('Done.')");
    await page.waitForSelector("#chat .ended:has-text('You were signed out')");
    assert.deepEqual(await page.evaluate("closeCodes"), [4401]);
    await board(page).locator("[data-out]:has-text('Signed out')").waitFor();
    await tab.waitForSelector("[data-out]:has-text('You were signed out')");
    await stage.shot(page, "demo-revoked");
    await stage.shot(tab, "demo-revoked-portal");
    // The way back, in the chat and from the portal.
    await page.click("#chat .ended button");
    await page.waitForSelector("#chat[data-state=on]");
    await page.waitForSelector("#chat .customer:has-text('Hello')");
    await board(page).locator(".rows li").first().waitFor();
    await tab.click("[data-out] a");
    await tab.waitForSelector("#chat .sent:has-text('sent you here')");
    await tab.click("#chat .ways [data-open]");
    await tab.waitForSelector("h1:has-text('Maya Sørensen’s tickets')");
  },

  async it_fits_every_screen(stage) {
    const place = await demo(stage);
    const { context, page } = await visitor(stage, place, "maya");
    await say(page, "Hello");
    await page.waitForSelector("#chat .assistant");
    const tab = await opened(context, page, "#chat .ways [data-open]");
    const looks = [
      ["light", 1280, 860],
      ["dark", 1280, 860],
      ["phone", 390, 844],
      ["narrow", 360, 740],
    ];
    const start = await context.newPage();
    await start.goto(`${place.url}/people`);
    assert.match(await start.innerText("main"), /Vestibule/);
    const about = await context.newPage();
    await about.goto(`${new URL(tab.url()).origin}/public`);
    assert.ok((await about.locator(".guide [aria-current=page]").textContent()).includes(new URL(about.url()).host));
    for (const [look, width, height] of looks) {
      const colorScheme = look === "dark" ? "dark" : "light";
      for (const [what, at] of Object.entries({ nordwind: page, portal: tab, about, start })) {
        await at.bringToFront();
        await at.setViewportSize({ width, height });
        await at.emulateMedia({ colorScheme });
        if (what === "nordwind" && look === "phone") await at.click("[data-close]");
        const overflow = await at.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(overflow <= 0, `${what} is ${overflow} px too wide at ${width}`);
        await stage.shot(at, `demo-${what}-${look}`);
        await isAccessible(at, `${what} ${look}`);
      }
    }
  },
};
