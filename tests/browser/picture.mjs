// Makes docs/demo.png, the README's picture: `VESTIBULE_BIN=target/debug/vestibule node tests/browser/picture.mjs`.
// Both sides of the demo's story, as they look in two windows beside each other.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32, deflateSync } from "node:zlib";
import { board, demo, opened, say, visitor } from "./story.mjs";
import { Stage, root } from "./support.mjs";

const stage = new Stage("picture");
const [width, height] = [836, 1070];

const shown = (name, address, bytes, tint) => `<figure>
  <figcaption><i></i><i></i><i></i><span style="color:${tint}">${name}</span><code>${address}</code></figcaption>
  <img src="data:image/png;base64,${bytes.toString("base64")}">
</figure>`;

/** A PNG (RFC 2083) of a page, compressed as well as it goes: Chromium is in a hurry. */
async function png(page) {
  const shot = (await page.screenshot()).toString("base64");
  const pixels = await page.evaluate(async (shot) => {
    const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${shot}`)).blob());
    const context = new OffscreenCanvas(image.width, image.height).getContext("2d");
    context.drawImage(image, 0, 0);
    const { data, width, height } = context.getImageData(0, 0, image.width, image.height);
    // Each line begins with its filter, none; three bytes a pixel.
    const lines = new Uint8Array(height * (width * 3 + 1));
    for (let at = 0, to = 0; at < data.length; at += 4) {
      if (at % (width * 4) === 0) to += 1;
      lines.set(data.subarray(at, at + 3), to);
      to += 3;
    }
    const parts = [];
    for (let at = 0; at < lines.length; at += 30_000) parts.push(btoa(String.fromCharCode(...lines.subarray(at, at + 30_000))));
    return { parts, width, height };
  }, shot);
  const size = Buffer.alloc(13);
  size.writeUInt32BE(pixels.width, 0);
  size.writeUInt32BE(pixels.height, 4);
  size.set([8, 2], 8);
  const lines = Buffer.concat(pixels.parts.map((part) => Buffer.from(part, "base64")));
  const chunks = { IHDR: size, IDAT: deflateSync(lines, { level: 9, memLevel: 9 }), IEND: Buffer.alloc(0) };
  const written = Object.entries(chunks).map(([kind, body]) => {
    const [length, sum, named] = [Buffer.alloc(4), Buffer.alloc(4), Buffer.concat([Buffer.from(kind), body])];
    length.writeUInt32BE(body.length);
    sum.writeUInt32BE(crc32(named));
    return Buffer.concat([length, named, sum]);
  });
  return Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), ...written]);
}

try {
  const place = await demo(stage);
  const { context, page } = await visitor(stage, place, "maya", { scale: 2 });
  await page.setViewportSize({ width, height });
  await say(page, "Who am I to you?");
  await page.waitForSelector("#chat .assistant:has-text('X-User-Id')");
  await say(page, "Where are my tickets?");
  await page.waitForSelector("#chat .offer");
  const portal = await opened(context, page, "#chat .offer");
  await portal.setViewportSize({ width, height });
  await portal.reload();
  await portal.waitForSelector(".seen li:nth-child(6)");
  const addresses = await Promise.all([page, portal].map((at) => at.evaluate("location.host + location.pathname")));
  const right = await portal.screenshot();
  await page.bringToFront();
  await board(page).locator(".rows li").first().waitFor();
  await page.evaluate("document.activeElement.blur()");
  const left = await page.screenshot();

  const sheet = await (await stage.browser()).newPage();
  await sheet.setViewportSize({ width: 1200, height: 800 });
  await sheet.setContent(`<!doctype html><style>
    body { margin: 0; display: flex; gap: 20px; padding: 18px; height: 800px; box-sizing: border-box; background: #dfe4ee; font: 13px system-ui, sans-serif }
    figure { flex: 1; margin: 0; overflow: hidden; border-radius: 10px; background: #fff; box-shadow: 0 8px 28px #1a24421f, 0 0 0 1px #1a24421a }
    figcaption { display: flex; align-items: center; gap: 6px; height: 32px; padding: 0 12px; background: #f4f6fa }
    figcaption i { width: 9px; height: 9px; border-radius: 50%; background: #cbd2e0 }
    figcaption span { margin-left: 8px; font-weight: 650 }
    figcaption code { color: #5b6785; font: 12px ui-monospace, Menlo, Consolas, monospace }
    img { display: block; width: 100% }
  </style>${shown("Nordwind", addresses[0], left, "#0b6b6b")}${shown("Harbour Helpdesk", addresses[1], right, "#86481f")}`);
  await sheet.waitForFunction("[...document.images].every((image) => image.complete)");
  writeFileSync(join(root, "docs/demo.png"), await png(sheet));
} finally {
  await stage.end();
}
process.exit();
