// Plays one scenario: `node tests/browser/run.mjs <theme> <scenario>`, or all of a theme's without its name. It passed
// when the exit code is 0. `--list` prints them all. VESTIBULE_BIN is the binary, SHOTS the folder for pictures.

import { Stage } from "./support.mjs";

const themes = {};
for (const theme of ["client", "demo", "handoff", "pages", "frames", "chat", "cors", "leftovers"]) {
  themes[theme] = await import(`./${theme}.mjs`);
}

// What fails, and is known to: played by name alone.
const pending = {
  handoff: {
    a_confirmed_link_leaves_no_token_in_the_history: "the question stands at the address of the link",
    without_cookies_it_does_not_go_round_in_circles: "nothing tells that a browser keeps no cookie",
  },
};
const names = (theme) => Object.keys(themes[theme].scenarios).filter((name) => !pending[theme]?.[name]);

async function play(theme, name) {
  const stage = new Stage(name);
  try {
    await themes[theme].scenarios[name](stage);
    console.log(`passed: ${theme} ${name}`);
  } catch (failure) {
    process.exitCode = 1;
    console.error(`failed: ${theme} ${name}\n${failure.stack ?? failure}\n${stage.log}`);
  } finally {
    await stage.end();
  }
}

const [theme, scenario] = process.argv.slice(2);
if (theme === "--list") {
  for (const theme of Object.keys(themes)) for (const name of names(theme)) console.log(`${theme} ${name}`);
} else if (!themes[theme] || (scenario && !themes[theme].scenarios[scenario])) {
  console.error("usage: node run.mjs --list | <theme> [<scenario>]");
  process.exitCode = 2;
} else {
  for (const name of scenario ? [scenario] : names(theme)) await play(theme, name);
}
// A server's idle connection is no reason to stay.
process.exit();
