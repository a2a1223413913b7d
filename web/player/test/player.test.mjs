// The page in Chromium, beside what the command decodes.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

import { openLbit } from "@latentbit/reader";

import { browser } from "../../test/browser.mjs";
import { serve } from "../../test/server.mjs";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const dist = new URL("../dist/", import.meta.url);
const command = process.env.LATENTBIT ?? `${process.env.CARGO_TARGET_DIR ?? join(root, "target")}/debug/latentbit`;

const [WIDTH, HEIGHT, FRAMES, RATE] = [72, 56, 40, 10];
const SIZE = WIDTH * HEIGHT * 3;

const folder = await mkdtemp(join(tmpdir(), "latentbit-player-"));
after(() => rm(folder, { recursive: true, force: true }));
const clip = join(folder, "clip.lbit");

/** A coloured disc that moves over a gradient. */
function frames() {
  const pixels = Buffer.alloc(FRAMES * SIZE);
  for (let frame = 0; frame < FRAMES; frame += 1) {
    const [cx, cy] = [12 + frame * 1.2, 28 + 12 * Math.sin(frame / 6)];
    for (let y = 0; y < HEIGHT; y += 1) {
      for (let x = 0; x < WIDTH; x += 1) {
        const inside = Math.hypot(x - cx, y - cy) < 11;
        const color = inside ? [230, 90, 40] : [x * 2, 60 + y * 2, 160 - x];
        pixels.set(color, frame * SIZE + (y * WIDTH + x) * 3);
      }
    }
  }
  return pixels;
}

const decode = (...options) =>
  execFileSync(command, ["decode", "-q", "--dtype", "f32", ...options, clip, "-o", "-", "--raw", "rgb24"], {
    maxBuffer: 2 ** 28,
  });

/** A page with a file. */
async function opened(context, url, options) {
  const chromium = await browser(context, options);
  if (!chromium) {
    return null;
  }
  const page = await chromium.newPage();
  page.setDefaultTimeout(120_000);
  await page.goto(url);
  // The first visit loads the page twice.
  await page.waitForFunction(() => crossOriginIsolated);
  return page;
}

/** Waits until a frame is shown, and gives its pixels. */
async function shown(page, frame, bits) {
  await page.waitForFunction(
    ([frame, bits]) => {
      const { dataset } = document.getElementById("picture");
      return dataset.frame === String(frame) && (bits === undefined || dataset.bits === String(bits));
    },
    [frame, bits],
  );
  const pixels = await page.evaluate(() => {
    const canvas = document.getElementById("picture");
    return Array.from(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data);
  });
  return Buffer.from(pixels.filter((_, at) => at % 4 !== 3));
}

const set = (page, id, value) =>
  page.evaluate(
    ([id, value]) => {
      const input = document.getElementById(id);
      input.value = value;
      input.dispatchEvent(new Event("input"));
    },
    [id, String(value)],
  );

/** How far two pictures are apart: the largest difference of a byte. */
function apart(one, other) {
  assert.equal(one.length, other.length);
  return one.reduce((most, byte, at) => Math.max(most, Math.abs(byte - other[at])), 0);
}

const ready = existsSync(command) && existsSync(new URL("models/f32-int8/networks.json", dist));
const skip = ready ? false : `needs ${command} and a page that was built`;
if (ready) {
  execFileSync(command, ["encode", "-q", "--raw", `${WIDTH}x${HEIGHT}@${RATE}:rgb24`, "--bits", "48", "--group", "2", "-", "-o", clip], {
    input: frames(),
  });
}
const server = await serve(async (path) => {
  if (path.startsWith("/files/")) {
    return { body: await readFile(join(folder, path.slice(7))) };
  }
  if (path.startsWith("/conformance/")) {
    return { body: await readFile(join(root, "testdata", path)) };
  }
  return { body: await readFile(new URL(path === "/" ? "index.html" : `.${path}`, dist)), type: path === "/" ? "text/html" : undefined };
});
after(() => server.close());

test("frames are those of the command, at any place and with any bits", { skip }, async (context) => {
  const page = await opened(context, `${server.url}?file=files/clip.lbit`);
  if (!page) {
    return;
  }
  const right = decode();
  const frame = (pixels, at) => pixels.subarray(at * SIZE, (at + 1) * SIZE);
  const first = await shown(page, 0, 48);
  assert.ok(apart(first, frame(right, 0)) <= 1);
  // In the second group, then back into the first.
  for (const at of [33, 20, 39]) {
    await set(page, "seek", at);
    assert.ok(apart(await shown(page, at, 48), frame(right, at)) <= 1, `frame ${at}`);
  }
  await page.locator("body").press("Home");
  await page.locator("body").press("PageDown");
  const chunks = await openLbit(await readFile(clip)).then((file) => file.chunks(0));
  assert.ok(apart(await shown(page, chunks[1].firstFrame), frame(right, chunks[1].firstFrame)) <= 1);
  await page.locator("body").press("Home");
  await set(page, "bits", 6);
  const coarse = await shown(page, 0, 6);
  assert.ok(apart(coarse, frame(decode("--bits", "6"), 0)) <= 1);
  assert.ok(apart(coarse, first) > 8, "fewer bits, another picture");
  // The page tells what it computes with, and how fast.
  assert.match(await page.textContent("#engine"), /WebAssembly with \d+ thread.* frames\/s/);
  assert.match(await page.textContent("#facts"), /72×56, 10 frames\/s.*40 frames/);
});

test("it plays, and shows depths, and works on a phone and without a network", { skip }, async (context) => {
  const page = await opened(context, `${server.url}?file=files/clip.lbit`, { viewport: { width: 360, height: 740 } });
  if (!page) {
    return;
  }
  await shown(page, 0);
  await page.locator("#play").click();
  await page.waitForFunction(() => Number(document.getElementById("picture").dataset.frame) > 3);
  await page.locator("#play").click();
  await page.locator("#depths").check();
  assert.ok(await page.locator("#overlay").isVisible());
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "wider than a phone");
  const unnamed = await page.evaluate(() =>
    [...document.querySelectorAll("button, input, select")]
      .filter((part) => !part.ariaLabel && !part.labels?.length && !part.textContent.trim())
      .map(({ id }) => id),
  );
  assert.deepEqual(unnamed, []);
  // All that it needs is kept; a file of this machine needs no network.
  assert.ok(await page.evaluate(() => crossOriginIsolated), "threads");
  await page.context().setOffline(true);
  await page.goto(server.url);
  await page.locator("#file").setInputFiles(clip);
  await shown(page, 0);
});

test("what is wrong with a file is said", { skip }, async (context) => {
  const page = await opened(context, server.url);
  if (!page) {
    return;
  }
  const bytes = await readFile(clip);
  const chunks = await openLbit(bytes).then((file) => file.chunks(0));
  const damaged = Buffer.from(bytes);
  damaged[chunks[1].offset + 70] ^= 1;
  await writeFile(join(folder, "damaged.lbit"), damaged);
  await page.locator("#file").setInputFiles(join(folder, "damaged.lbit"));
  await shown(page, 0);
  await page.locator("#verify").click();
  await page.waitForFunction(() => /Damaged/.test(document.getElementById("verified").textContent));
  assert.match(await page.textContent("#verified"), /1 chunks .* lost.*checksum/s);
  await set(page, "seek", chunks[1].firstFrame);
  await shown(page, chunks[1].firstFrame);
  assert.equal(await page.textContent("#mark"), "lost");
  await set(page, "seek", chunks[2].firstFrame);
  await shown(page, chunks[2].firstFrame);
  assert.ok(await page.locator("#mark").isHidden(), "a key chunk ends the loss");

  // Tokens of another model, no file at all, and an address where there is none.
  const says = (text) => page.waitForFunction((text) => document.getElementById("message").textContent.includes(text), text);
  await page.goto(`${server.url}?file=conformance/subset/clip-cm.lbit`);
  await says("this file needs the model conformance");
  assert.match(await page.textContent("#facts"), /48×32/);
  await page.goto(`${server.url}?file=conformance/faulty/no-lbit.lbit`);
  await says("Cannot open the file: bad");
  await page.goto(`${server.url}?file=files/none.lbit`);
  await says("the server says 404");
});
