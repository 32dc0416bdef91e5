// What the scenarios are played on: a customer's site, the app, Vestibule between them, and Chromium.
// The site is at http://127.0.0.1:…, the portal at http://localhost:…: to a browser two different sites, and both secure
// enough for `__Host-` cookies.

import { spawn } from "node:child_process";
import { createHash, createHmac, randomBytes, randomUUID } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, request } from "node:http";
import { createConnection, createServer as createSocketServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { chromium } from "playwright-core";

export { sleep };
export const root = resolve(import.meta.dirname, "../..");

/** Waits until `look` finds something, and returns it. */
export async function until(look, what = "it happens", patience = 10_000) {
  const end = Date.now() + patience;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`${what}: waited ${patience} ms in vain`);
    await sleep(20);
  }
}

const encoded = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A widget token as a customer's backend signs it. */
export function signed(claims, secret) {
  const text = `${encoded({ alg: "HS256", typ: "JWT" })}.${encoded(claims)}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

/** Whether any of these texts holds the token. */
export const holds = (token, ...texts) => texts.some((text) => decodeURIComponent(String(text)).includes(token));

const given = new Set();

/** A port that nothing listens on, and that was not given before: the system may name one twice. */
async function freePort() {
  const server = createSocketServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  if (given.has(port)) return freePort();
  given.add(port);
  return port;
}

async function bodyOf(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** A server that records what it is asked, and answers from a map of paths: text (HTML), an object (JSON), or a function. */
class Site {
  requests = [];
  sockets = new Set();

  async start(answers, fallback) {
    this.answers = answers;
    this.server = createServer(async (request, response) => {
      const url = new URL(request.url, "http://site");
      const record = { method: request.method, url: request.url, path: url.pathname, headers: request.headers };
      this.requests.push(record);
      try {
        record.body = await bodyOf(request);
        const answer = this.answers[url.pathname] ?? fallback;
        const told = typeof answer === "function" ? await answer(record, response) : answer;
        if (response.headersSent) return;
        if (told === undefined) response.writeHead(404).end();
        else if (typeof told === "string") response.setHeader("Content-Type", "text/html; charset=utf-8").end(told);
        else response.setHeader("Content-Type", "application/json").end(JSON.stringify(told));
      } catch (failure) {
        response.destroy(failure);
      }
    });
    this.server.on("connection", (socket) => {
      this.sockets.add(socket);
      socket.on("close", () => this.sockets.delete(socket));
      socket.on("error", () => {});
    });
    this.server.listen(0, "127.0.0.1");
    await once(this.server, "listening");
    this.port = this.server.address().port;
    this.origin = `http://127.0.0.1:${this.port}`;
    return this;
  }

  /** The requests to a path. */
  at(path) {
    return this.requests.filter((request) => request.path === path);
  }

  end() {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }
}

/** The customer's site, whose backend signs tokens at /token. */
class Customer extends Site {
  secret = randomBytes(32).toString("base64url");
  /** What the next token says, and for how many seconds. */
  user = "maya";
  roles = ["customer"];
  lifetime = 300;
  /** The tokens that were fetched from /token, and what is done before each: wait, fail. */
  tokens = [];
  beforeToken = async () => {};

  async start(pages) {
    const token = async (_, response) => {
      const fresh = this.token();
      this.tokens.push(fresh);
      await this.beforeToken(response);
      return response.headersSent ? null : { token: fresh };
    };
    return super.start({ "/token": token, ...pages });
  }

  token(claims = {}, secret = this.secret) {
    const now = Math.floor(Date.now() / 1000);
    const who = { tenantId: "ten_acme", userId: this.user, userRoles: this.roles };
    return signed({ ...who, iat: now, exp: now + this.lifetime, jti: randomUUID(), ...claims }, secret);
  }
}

/** The app behind: shows who calls as a page or as JSON, /events streams, and WebSockets echo. */
class App extends Site {
  async start(answers) {
    const events = (_, response) => {
      response.writeHead(200, { "Content-Type": "text/event-stream" });
      let count = 0;
      const timer = setInterval(() => response.write(`data: ${(count += 1)}\n\n`), 100);
      response.on("close", () => clearInterval(timer));
    };
    const who = ({ method, url, headers, body }) => {
      const user = headers["x-user-id"] ?? null;
      if (!headers.accept?.includes("text/html")) return { method, url, user, roles: headers["x-roles"] ?? null, body };
      return `<!doctype html><title>Portal</title><h1>${user ?? "nobody"}</h1><p>${url}</p>`;
    };
    await super.start({ "/events": events, ...answers }, who);
    this.server.on("upgrade", (request, socket) => this.echo(request, socket));
    return this;
  }

  /** Chooses the first protocol that was offered, and sends each message back as it came. */
  echo(request, socket) {
    const { headers, url } = request;
    this.requests.push({ method: "UPGRADE", url, path: new URL(url, "http://site").pathname, headers });
    const accept = createHash("sha1").update(`${headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
    const protocol = headers["sec-websocket-protocol"]?.split(",")[0].trim();
    const lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"];
    lines.push(`Sec-WebSocket-Accept: ${accept.digest("base64")}`);
    if (protocol) lines.push(`Sec-WebSocket-Protocol: ${protocol}`);
    socket.write(`${lines.join("\r\n")}\r\n\r\n`);
    let bytes = Buffer.alloc(0);
    socket.on("data", (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      // Short messages will do: a length in one byte, masked as a client's are.
      while (bytes.length >= 6 && bytes.length >= 6 + (bytes[1] & 127)) {
        const length = bytes[1] & 127;
        if (length > 125) throw new Error("the echo takes short messages only");
        const mask = bytes.subarray(2, 6);
        const text = Buffer.from(bytes.subarray(6, 6 + length).map((byte, at) => byte ^ mask[at % 4]));
        const kind = bytes[0] & 15;
        bytes = bytes.subarray(6 + length);
        socket.write(Buffer.concat([Buffer.from([0x80 | (kind === 9 ? 10 : kind), length]), text]));
        if (kind === 8) socket.end();
      }
    });
  }
}

/** A slow network: every byte to the port and back comes `delay` ms late. */
class Tunnel {
  sockets = new Set();

  async start({ port, delay }) {
    this.server = createSocketServer((near) => {
      const far = createConnection(port, "127.0.0.1");
      for (const [from, to] of [
        [near, far],
        [far, near],
      ]) {
        this.sockets.add(from);
        from.setNoDelay();
        from.on("data", (chunk) => setTimeout(() => to.writable && to.write(chunk), delay));
        from.on("end", () => setTimeout(() => to.end(), delay));
        from.on("error", () => {});
        from.on("close", () => {
          this.sockets.delete(from);
          setTimeout(() => to.destroy(), delay);
        });
      }
    });
    this.server.listen(0, "127.0.0.1");
    await once(this.server, "listening");
    this.port = this.server.address().port;
    this.origin = `http://localhost:${this.port}`;
    return this;
  }

  end() {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }
}

/** A proxy that records requests and their answers. */
class Recorder extends Site {
  async start({ port }) {
    const pass = (record, response) =>
      new Promise((resolve, reject) => {
        const { method, url, headers, body } = record;
        const asked = request({ port, host: "127.0.0.1", method, path: url, headers, agent: false }, (answer) => {
          Object.assign(record, { status: answer.statusCode, answer: answer.headers });
          response.writeHead(answer.statusCode, answer.rawHeaders);
          answer.pipe(response).on("close", resolve);
        });
        asked.on("error", reject).end(body);
      });
    await super.start({}, pass);
    this.origin = `http://localhost:${this.port}`;
    return this;
  }
}

/** The real helpdesk of examples/django-helpdesk, with a database of its own. */
class Helpdesk {
  log = "";

  async start() {
    this.data = mkdtempSync(join(tmpdir(), "vestibule-helpdesk-"));
    const script = join(root, "examples/django-helpdesk/helpdesk");
    this.child = spawn(script, ["serve", "--port", "0", "--data", this.data], { stdio: ["ignore", "pipe", "pipe"] });
    this.child.on("error", (failure) => (this.log += failure));
    for (const stream of [this.child.stdout, this.child.stderr]) stream.on("data", (chunk) => (this.log += chunk));
    const ready = () => {
      if (this.child.exitCode !== null) throw new Error(`the helpdesk ended; \`make setup\` installs it\n${this.log}`);
      return this.log.match(/^ready http:\/\/127\.0\.0\.1:(\d+)/m);
    };
    this.port = Number((await until(ready, "the helpdesk is ready", 60_000))[1]);
    return this;
  }

  kill() {
    this.child?.kill("SIGKILL");
    if (this.data) rmSync(this.data, { recursive: true, force: true, maxRetries: 3 });
  }

  end() {
    this.kill();
  }
}

/** Vestibule before the app, in a folder of its own. */
class Portal {
  log = "";

  async start({
    app,
    customer,
    origins = [],
    tenant = "",
    upstream = "",
    route = "",
    routes = "",
    more = "",
    files = {},
    config,
  }) {
    const binary = process.env.VESTIBULE_BIN;
    if (!binary) throw new Error("VESTIBULE_BIN is to be the path of the binary");
    this.folder = mkdtempSync(join(tmpdir(), "vestibule-browser-"));
    this.port = await freePort();
    this.origin = `http://localhost:${this.port}`;
    this.adminPort = await freePort();
    writeFileSync(join(this.folder, "session.key"), randomBytes(32).toString("base64url"), { mode: 0o600 });
    writeFileSync(join(this.folder, "acme.key"), customer.secret, { mode: 0o600 });
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(this.folder, path)), { recursive: true });
      writeFileSync(join(this.folder, path), text);
    }
    const text = config
      ? config({ app, customer, portal: this })
      : `
[listen]
address = "127.0.0.1:${this.port}"
admin = "127.0.0.1:${this.adminPort}"
[session]
keys = [{ id = "1", file = "session.key" }]
[ledger]
memory = true
[tenants.ten_acme]
dialect = "gateway"
keys = [{ id = "1", file = "acme.key" }]
leeway = "0s"
origins = ${JSON.stringify([customer.origin, ...origins])}
login_url = "${customer.origin}/login"
${tenant}
[upstreams.app]
servers = ["127.0.0.1:${app.port}"]
${upstream}
[[routes]]
path = "/"
upstream = "app"
handoff_param = "token"
${route}
[[routes]]
path = "/public"
auth = "public"
upstream = "app"
${routes}
${more}`;
    writeFileSync(join(this.folder, "proxy.toml"), text);
    this.child = spawn(resolve(binary), ["run", "-c", join(this.folder, "proxy.toml")], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child.on("error", (failure) => (this.log += failure));
    for (const stream of [this.child.stdout, this.child.stderr]) stream.on("data", (chunk) => (this.log += chunk));
    await until(() => this.listens(), "Vestibule listens");
    return this;
  }

  async listens() {
    if (this.child.exitCode !== null) throw new Error("Vestibule ended");
    const socket = createConnection(this.port, "127.0.0.1");
    const outcome = await once(socket, "connect").then(
      () => true,
      () => false,
    );
    socket.destroy();
    return outcome;
  }

  async end() {
    const isUp = this.child && this.child.exitCode === null && this.child.signalCode === null;
    const ended = isUp && once(this.child, "exit");
    this.kill();
    await ended;
  }

  kill() {
    this.child?.kill("SIGKILL");
    if (this.folder) rmSync(this.folder, { recursive: true, force: true });
  }
}

/** All that one scenario starts. It ends with it, whatever happens. */
export class Stage {
  started = [];

  constructor(name) {
    this.name = name;
    // Killed from outside, as by a test runner that waited too long.
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.once(signal, () => process.exit(1));
    process.once("exit", () => this.started.forEach((thing) => thing.kill?.()));
  }

  async begin(thing, ...options) {
    this.started.push(thing);
    return thing.start(...options);
  }

  customer(pages = {}) {
    return this.begin(new Customer(), pages);
  }

  app(answers = {}) {
    return this.begin(new App(), answers);
  }

  site(answers = {}) {
    return this.begin(new Site(), answers);
  }

  helpdesk() {
    return this.begin(new Helpdesk());
  }

  vestibule(options) {
    return this.begin(new Portal(), options);
  }

  /** A slow network before the port. */
  tunnel(port, delay) {
    return this.begin(new Tunnel(), { port, delay });
  }

  recorder(port) {
    return this.begin(new Recorder(), { port });
  }

  /**
   * Chromium with a profile of its own. `preferences` are Chromium's; `blocksPopups` leaves its blocker on; with `bfcache`
   * pages that were left are kept as they were; `page` are Playwright's options of a context.
   */
  async browser({ args = [], preferences, blocksPopups = false, bfcache = false, scale = 1, page = {} } = {}) {
    const paths = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/google-chrome"];
    const executablePath = paths.find((path) => path && existsSync(path));
    if (!executablePath) throw new Error("no Chromium: run `make setup`");
    const folder = mkdtempSync(join(tmpdir(), "vestibule-chromium-"));
    const clear = () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
    const things = { kill: clear, end: clear };
    this.started.push(things);
    if (preferences) {
      mkdirSync(join(folder, "Default"));
      writeFileSync(join(folder, "Default/Preferences"), JSON.stringify(preferences));
    }
    const quiet = [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
    ];
    quiet.push("--disable-component-update", "--disable-sync");
    const ignoreDefaultArgs = [];
    if (blocksPopups) ignoreDefaultArgs.push("--disable-popup-blocking");
    if (bfcache) ignoreDefaultArgs.push("--disable-back-forward-cache");
    const options = { executablePath, headless: true, args: [...quiet, ...args], ignoreDefaultArgs };
    const context = await chromium.launchPersistentContext(folder, {
      ...options,
      viewport: { width: 1000, height: 700 },
      deviceScaleFactor: scale,
      ...page,
    });
    context.setDefaultTimeout(10_000);
    things.end = async () => {
      await context.close();
      things.kill();
    };
    return context;
  }

  /** A picture of the page, for people to look at. */
  async shot(page, name) {
    const folder = process.env.SHOTS || join(root, "target/browser");
    mkdirSync(folder, { recursive: true });
    await page.screenshot({ path: join(folder, `${name}.png`) });
  }

  get log() {
    return this.started.map((thing) => thing.log ?? "").join("");
  }

  async end() {
    for (const thing of this.started.reverse()) await thing.end?.();
    this.started = [];
  }
}
