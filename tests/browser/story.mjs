// What the scenarios of the demo and its picture share: `vestibule demo`, and ways to walk through it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { until } from "./support.mjs";

/** `vestibule demo` on a port of its own. */
class Demo {
  log = "";

  async start() {
    const binary = process.env.VESTIBULE_BIN;
    if (!binary) throw new Error("VESTIBULE_BIN is to be the path of the binary");
    this.child = spawn(resolve(binary), ["demo", "--port", "0"], { stdio: ["ignore", "pipe", "pipe"] });
    this.child.on("error", (failure) => (this.log += failure));
    for (const stream of [this.child.stdout, this.child.stderr]) stream.on("data", (chunk) => (this.log += chunk));
    const [url] = await until(() => this.log.match(/http:\/\/127\.0\.0\.1:\d+/), "the demo prints its URL");
    this.url = url;
    return this;
  }

  async end() {
    const isUp = this.child.exitCode === null && this.child.signalCode === null;
    const ended = isUp && once(this.child, "exit");
    this.kill();
    await ended;
  }

  kill() {
    this.child?.kill("SIGKILL");
  }
}

export const demo = (stage) => stage.begin(new Demo());

/** Notes a page's WebSockets, and their close codes. */
export async function notesSockets(context) {
  await context.addInitScript(() => {
    window.sockets = [];
    window.closeCodes = [];
    window.WebSocket = class extends WebSocket {
      constructor(...options) {
        super(...options);
        window.sockets.push(this);
        this.addEventListener("close", ({ code }) => window.closeCodes.push(code));
      }
    };
  });
}

/** A browser whose visitor has chosen who to be in Nordwind. */
export async function visitor(stage, { url }, user, options = {}) {
  const context = await stage.browser(options);
  await notesSockets(context);
  const page = context.pages()[0] ?? (await context.newPage());
  await page.setViewportSize({ width: 1280, height: 860 });
  await page.goto(url);
  await page.click(`button[value=${user}]`);
  await page.waitForSelector("#chat[data-state=on]", { state: "attached" });
  return { context, page };
}

/** Opens the chat where it is closed, and says something. */
export async function say(page, text) {
  if (await page.locator(".launcher").isVisible()) await page.click(".launcher");
  await page.fill("#chat .say input", text);
  await page.keyboard.press("Enter");
}

/** The tab that a click opens, when it shows a page of the portal's. */
export async function opened(context, page, selector) {
  const [tab] = await Promise.all([context.waitForEvent("page"), page.click(selector)]);
  await tab.waitForSelector(".top h1, .columns h1");
  return tab;
}

/** The board inside Nordwind. */
export const board = (page) => page.frameLocator(".board iframe");
