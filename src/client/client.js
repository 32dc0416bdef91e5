// Vestibule's browser client. A script gets the global `Vestibule`, a module imports client.mjs; see client.d.ts.
(() => {
  "use strict";

  const script = globalThis.document?.currentScript?.src;
  const sleep = (time) => new Promise((resume) => setTimeout(resume, time));
  const misuse = (text) => {
    throw new TypeError(`Vestibule: ${text}`);
  };

  function originOf(url, name) {
    try {
      const { origin, protocol } = new URL(url);
      if (/^https?:$/.test(protocol)) return origin;
    } catch {}
    misuse(`${name} should be like "https://support.acme.example", not ${url}`);
  }

  // Never compared with this browser's clock, which may be wrong.
  function lifetimeOf(token) {
    try {
      const { iat, exp } = JSON.parse(atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/")));
      if (exp > iat) return (exp - iat) * 1000;
    } catch {}
    return Infinity;
  }

  const wantsToken = async (answer) =>
    answer.status === 401 &&
    /^application\/problem\+json/i.test(answer.headers.get("Content-Type")) &&
    (
      await answer
        .clone()
        .json()
        .catch(() => null)
    )?.refresh === true;

  // From the page it replaces, so nothing blocks it. The meta: with no-referrer, browsers send `Origin: null`.
  function post(page, action, fields) {
    const add = (to, name, properties) => to.appendChild(Object.assign(page.createElement(name), properties));
    add(page.documentElement, "meta", { name: "referrer", content: "origin" });
    const form = add(page.documentElement, "form", { method: "post", action, hidden: true });
    for (const name in fields) add(form, "input", { name, value: fields[name] });
    form.submit();
    form.remove();
  }

  // The port goes to that origin alone: who answers through it is there.
  const askParent = (origin, had) =>
    new Promise((resolve) => {
      if (window.parent === window) return resolve();
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = ({ data }) => resolve(data);
      sleep(10_000).then(resolve);
      window.parent.postMessage({ vestibule: "token", had }, origin, [port2]);
    });

  function init({ portal, parent, jwt, onTokenRefresh } = {}) {
    if (parent) parent = originOf(parent, "parent");
    portal = originOf(portal ?? (parent ? location.origin : script), "portal");
    onTokenRefresh ??= () => parent && askParent(parent, token);
    if (typeof onTokenRefresh !== "function") misuse("onTokenRefresh should be a function");
    if (jwt && typeof jwt !== "string") misuse("jwt should be a string");

    let token, dueAt, timer, asking, opening, isOver;
    let spent, unfit;
    let quietUntil = 0;
    let line = Promise.resolve();
    const frames = new Set();

    function at(path) {
      const url = new URL(path, portal);
      if (url.origin !== portal) misuse(`${url.origin} is not the portal, ${portal}`);
      return url;
    }

    const isDue = () => Date.now() >= dueAt;

    function take(fresh) {
      if (isOver || !fresh || typeof fresh !== "string") return;
      token = fresh.trim();
      const lifetime = lifetimeOf(token);
      dueAt = Date.now() + lifetime - Math.min(30_000, lifetime / 10);
      watch();
    }

    function watch() {
      clearTimeout(timer);
      if (isDue()) refresh();
      else if (dueAt < Infinity) timer = setTimeout(watch, Math.min(dueAt - Date.now(), 2 ** 31 - 1));
    }

    // One question for all, and none within 5 s of an answer: a new token that is refused gets no better.
    function refresh(must) {
      if (!asking && (isOver || (!must && performance.now() < quietUntil))) return;
      const question = (asking ??= (async () => take(await onTokenRefresh()))().catch(() => {}));
      const finish = () => {
        if (asking !== question) return;
        asking = null;
        quietUntil = performance.now() + 5000;
      };
      return Promise.race([question, sleep(30_000)]).then(finish);
    }

    async function send(input, given = {}) {
      const url = at(input.url ?? input);
      const second = input.url ? input.clone() : url;
      const signal = given.signal ?? input.signal;

      const attempt = (what) => {
        const options = { ...given, headers: new Headers(given.headers ?? what.headers) };
        if (token) options.headers.set("Authorization", `Bearer ${token}`);
        else if (what.credentials !== "omit") options.credentials ??= "include";
        return fetch(what, options);
      };
      const refreshed = () =>
        Promise.race([refresh(), new Promise((stop) => signal?.addEventListener("abort", stop, { once: true }))]);

      if (isDue()) await refreshed();
      const before = token;
      const answer = await attempt(input.url ? input : url);
      if (!(await wantsToken(answer))) return answer;
      if (token === before) await refreshed();
      signal?.throwIfAborted();
      return !token || token === before || given.body?.getReader ? answer : attempt(second);
    }

    // In line, so that no two hand over the same token: it opens one session.
    function handOver(url, action, place) {
      const next = async () => {
        if (!token || token === spent || isDue()) await refresh(true);
        const page = place();
        if (!page) return false;
        if (token && token !== spent) {
          spent = token;
          post(page, portal + action, { token, return_to: url.pathname + url.search + url.hash });
        } else page.location = url;
        return true;
      };
      return (line = line.then(next).catch(() => false));
    }

    async function openPortal(path = "/", { target } = {}) {
      const url = at(path);
      if (opening) return opening;
      const tab = target === "_self" ? window : open("", "_blank");
      if (!tab) return false;
      if (tab !== window) tab.opener = null;
      opening = handOver(url, "/_auth/exchange", () => !tab.closed && tab.document);
      opening.then(() => sleep(1000)).then(() => (opening = null));
      return opening;
    }

    async function embed(iframe, path = "/") {
      const url = at(path);
      if (!iframe?.contentWindow) misuse("embed takes an iframe that is in the page");
      if (!isOver) frames.add(iframe);
      if (!iframe.contentDocument) {
        iframe.src = "about:blank";
        await new Promise((resume) => iframe.addEventListener("load", resume, { once: true }));
      }
      return handOver(url, "/_auth/exchange?embed=true", () => iframe.contentDocument);
    }

    addEventListener("message", async ({ source, origin, data, ports }) => {
      if (origin !== portal || data?.vestibule !== "token" || !ports[0]) return;
      if (![...frames].some((iframe) => iframe.contentWindow === source)) return;
      if (!token || token === data.had || isDue()) await refresh();
      ports[0].postMessage(token);
    });

    async function websocket(path, protocols = []) {
      const url = at(path);
      if (!token || token === unfit || isDue()) await refresh();
      const used = token;
      url.protocol = url.protocol.replace("http", "ws");
      const socket = new WebSocket(url, [].concat(protocols, used ? `bearer.${used}` : []));
      let hasOpened;
      socket.addEventListener("open", () => (hasOpened = true));
      socket.addEventListener("close", ({ code }) => {
        if (code === 4401 || !hasOpened) unfit = used;
      });
      return socket;
    }

    async function logout() {
      isOver = true;
      token = dueAt = undefined;
      clearTimeout(timer);
      frames.clear();
      try {
        const headers = { Accept: "application/json" };
        return (await fetch(portal + "/_auth/logout", { method: "POST", credentials: "include", headers })).ok;
      } catch {
        return false;
      }
    }

    take(jwt);
    return { fetch: send, openPortal, embed, websocket, logout };
  }

  globalThis.Vestibule = { init };
})();
