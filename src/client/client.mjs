// The browser client as a module: a classic script may hold no `export`, so it is a file of its own.
import "./client.js";

const { init: start } = globalThis.Vestibule;
const { origin } = new URL(import.meta.url);

export const init = (options) => start({ ...options, portal: options?.portal ?? origin });
export default Object.freeze({ init });
