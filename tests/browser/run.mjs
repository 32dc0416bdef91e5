// Plays one scenario: `node tests/browser/run.mjs <theme> <scenario>`, or all of a theme's without its name. It passed
// when the exit code is 0. `--list` prints them all. VESTIBULE_BIN is the binary, SHOTS the folder for pictures.

import { Stage } from "./support.mjs";

const themes = {};
for (const theme of ["client", "demo", "handoff", "pages", "frames", "chat", "cors", "leftovers"]) {
  themes[theme] = await import(`./${theme}.mjs`);
}

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
  for (const [theme, { scenarios }] of Object.entries(themes)) {
    for (const name of Object.keys(scenarios)) console.log(`${theme} ${name}`);
  }
} else if (!themes[theme] || (scenario && !themes[theme].scenarios[scenario])) {
  console.error("usage: node run.mjs --list | <theme> [<scenario>]");
  process.exitCode = 2;
} else {
  for (const name of scenario ? [scenario] : Object.keys(themes[theme].scenarios)) await play(theme, name);
}
// A server's idle connection is no reason to stay.
process.exit();
