/**
 * Types of Vestibule's browser client, which carries a support widget's token to the portal.
 *
 * As a script, `<script src="https://support.acme.example/_auth/client.js"></script>`, it sets the global `Vestibule`.
 *
 * As a module it is `/_auth/client.mjs`: `import Vestibule, { init } from "https://support.acme.example/_auth/client.mjs"`.
 * (Two files, because a classic script may hold no `export`.) For the types, copy this file into your project and say in
 * tsconfig.json: `"paths": { "https://support.acme.example/_auth/client.mjs": ["./client.d.ts"] }`.
 *
 * A page with a Content-Security-Policy needs the portal in `script-src`, `connect-src` (with `wss:` for WebSockets),
 * `form-action`, and for `embed` in `frame-src`. The page's origin must be among the tenant's `origins`.
 */
export as namespace Vestibule;

export interface Options {
  /**
   * The portal's origin, such as `"https://support.acme.example"`. Default: where the script was loaded from; with
   * `parent`, the page's own.
   */
  portal?: string;
  /** The tenant, as in the vendors' widgets. It is told by the token anyway, so this is sent nowhere. */
  tenantKey?: string;
  /** The first token, if there is one yet. Without one, requests go by the session cookie until that is refused. */
  jwt?: string | null;
  /**
   * Gets a new token from the customer's own backend; nothing where it cannot. Each must be a new one, because a token
   * opens only one session.
   *
   * It is called shortly before a token expires (30 s, or a tenth of its lifetime if that is less), when the portal
   * refuses one, and for a session when the last token was already used for one. One call at a time serves all who
   * wait; after 30 s they wait no longer. `fetch` and `websocket` do not call it again within 5 s of its last answer or
   * failure, so a new token that is refused leads to no loop.
   */
  onTokenRefresh?: () => string | null | undefined | Promise<string | null | undefined>;
  /**
   * For a page of the portal that another site shows by `embed`: that site's origin. The default of `onTokenRefresh`
   * then asks the page around, for at most 10 s. No other origin is asked, and none other can answer.
   */
  parent?: string;
}

export interface Portal {
  /**
   * Like `window.fetch`, for the portal: a path, or a URL of it. A URL of another origin is refused with a `TypeError`.
   *
   * The token goes in `Authorization`, in place of any the caller gave. Without one, `credentials` defaults to
   * `"include"`. A 401 that says a new token would help gets one and is repeated, once; the second answer is returned
   * whatever it is, and the first where no token could be had. A body that is a `ReadableStream` cannot be sent twice:
   * then the 401 is returned, and the next call has the new token. (A `Request` is copied, so its body stays in memory.)
   *
   * Browsers drop `Authorization` when an answer redirects to another origin.
   */
  fetch(input: string | URL | Request, options?: RequestInit): Promise<Response>;

  /**
   * Opens a page of the portal in a new tab, signed in, with the token in no URL. Call it in the click itself, before
   * any `await`: later a browser takes it for a pop-up.
   *
   * Resolves to `false` when no tab was opened, because the browser blocked it, or when it was closed before the token
   * was there. Then `{ target: "_self" }` leads there in this tab. Otherwise `true`: where no token could be had, the page
   * opens without one, as a session finds it or with the way to log in. A second call while one is under way, or within a
   * second after it, is a double click and gets the result of the first.
   */
  openPortal(path?: string, options?: { target?: "_blank" | "_self" }): Promise<boolean>;

  /**
   * Shows a page of the portal in an iframe, signed in by a cookie that counts only within this site. Hands the iframe's
   * pages a token when they ask for one (`parent`), for browsers that block such cookies too. Leave out the iframe's `src`;
   * with `sandbox` it needs `allow-forms allow-same-origin allow-scripts`.
   * Resolves to `false` when the iframe was removed before the token was there.
   */
  embed(iframe: HTMLIFrameElement, path?: string): Promise<boolean>;

  /**
   * A WebSocket to the portal. Give at least one protocol that the app speaks and answers with: the token goes beside
   * them as `bearer.…`, which the app never sees, and a browser drops a WebSocket whose server chose no protocol offered.
   *
   * Close code 4401 means that the session or token ended. Call this again: it gets a new token first, as it does after
   * a WebSocket that never opened. Wait a little longer each time, as for any reconnection.
   */
  websocket(path: string, protocols?: string | string[]): Promise<WebSocket>;

  /**
   * Ends the portal's session in this browser as far as it is sent from this page (a page of another site reaches only
   * the sessions of `embed`), forgets the token and asks for none any more: call `init` anew when somebody signs in.
   * Resolves to whether the portal said yes.
   */
  logout(): Promise<boolean>;
}

/** Throws a `TypeError` when `portal` or `parent` is no http(s) URL, `jwt` no string, or `onTokenRefresh` no function. */
export function init(options?: Options): Portal;

declare const Vestibule: { readonly init: typeof init };
export default Vestibule;
