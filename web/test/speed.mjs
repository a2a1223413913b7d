// Measures: node web/test/speed.mjs FILE.lbit... For each file, the CPU time that reading, verifying and decoding it take
// in one thread of Node, which a busy machine does not change much; and what the page says of its own speed, with threads
// and without. The figures of web/README.md come from it.
import { readFile } from "node:fs/promises";
import { basename } from "node:path";

import { openLbit } from "@latentbit/reader";
import * as ort from "onnxruntime-web";

import { browser } from "./browser.mjs";
import { serve } from "./server.mjs";

const dist = new URL("../player/dist/", import.meta.url);

async function reading(bytes) {
  const file = await openLbit(bytes);
  const { stream } = file.firstVideo;
  let packed = 0;
  let chunks = 0;
  const before = process.cpuUsage();
  for (const { number, lost } of file.chunks(stream)) {
    chunks++;
    if (!lost) {
      const { tokens, bits } = await file.read(stream, number);
      packed += Math.ceil(tokens.length / 8) * bits;
    }
  }
  const seconds = process.cpuUsage(before).user / 1e6;
  const again = process.cpuUsage();
  await file.verify();
  return { packed, chunks, seconds, verify: process.cpuUsage(again).user / 1e6 };
}

/** CPU time of the networks for a later chunk of a clip: 16 frames. */
async function decoding(width, height) {
  ort.env.wasm.numThreads = 1;
  const folder = new URL("models/f32-int8/", dist);
  const told = JSON.parse(await readFile(new URL("networks.json", folder), "utf8"));
  const session = async (name) => ort.InferenceSession.create(await readFile(new URL(`${name}.onnx`, folder)));
  const [tokenizer, vae] = [await session("tokenizer-decoder"), await session("vae-decoder")];
  const grid = [4, Math.ceil(height / 8), Math.ceil(width / 8)];
  const [count, bits] = [grid[0] * grid[1] * grid[2], told.config.tokenizer.bits];
  const zeros = (dims) => new ort.Tensor("float32", new Float32Array(dims.reduce((a, b) => a * b)), dims);
  const states = told.networks["vae-decoder"].states.map(({ input, frames, channels, divide }) => [
    input,
    zeros([frames, channels, (grid[1] * 8) / divide[0], (grid[2] * 8) / divide[1]]),
  ]);
  const chunk = async () => {
    const { latent } = await tokenizer.run({
      bits: new ort.Tensor("bool", Uint8Array.from({ length: count * bits }, (_, at) => at % 3 & 1), [...grid, bits]),
      depths: new ort.Tensor("int32", new Int32Array(count).fill(bits), grid),
    });
    const first = new ort.Tensor("int64", BigInt64Array.of(0n), [1]);
    const { frames } = await vae.run({ ...Object.fromEntries(states), latent, first });
    return frames.dims[0];
  };
  await chunk();
  const before = process.cpuUsage();
  const frames = await chunk();
  return frames / (process.cpuUsage(before).user / 1e6);
}

async function playing(url, serviceWorkers) {
  const done = [];
  const chromium = await browser({ skip: console.error, after: (end) => done.push(end) }, { serviceWorkers });
  try {
    const page = await chromium.newPage();
    page.setDefaultTimeout(300_000);
    await page.goto(url);
    // All of it is decoded once, from the start to where the last chunk is here.
    await page.waitForFunction(() => document.getElementById("picture").dataset.frame === "0");
    await page.locator("body").press("End");
    await page.waitForFunction(() => document.getElementById("picture").dataset.frame !== "");
    await page.waitForTimeout(2000);
    return await page.textContent("#engine");
  } finally {
    for (const end of done) {
      await end();
    }
  }
}

for (const path of process.argv.slice(2)) {
  const bytes = await readFile(path);
  const { packed, chunks, seconds, verify } = await reading(bytes);
  const rate = (packed / 1e6 / seconds).toFixed(2);
  console.log(`${basename(path)}: ${bytes.length} bytes, ${chunks} chunks; tokens read in ${seconds.toFixed(2)} s of CPU time, ${rate} MB/s of`);
  const verified = (bytes.length / 1e6 / verify).toFixed(1);
  console.log(`  unpacked planes; verified in ${verify.toFixed(2)} s of CPU time, ${verified} MB/s of file`);
  console.log(`  (compare: time latentbit verify ${path})`);
  const { video } = await openLbit(bytes).then((file) => file.firstVideo);
  const perSecond = await decoding(video.width, video.height);
  console.log(`  decoded: ${perSecond.toFixed(1)} frames for a second of CPU time at ${video.width}x${video.height}`);
  const server = await serve(async (name) =>
    name === "/clip.lbit"
      ? { body: bytes }
      : { body: await readFile(new URL(name === "/" ? "index.html" : `.${name}`, dist)), type: name === "/" ? "text/html" : undefined },
  );
  for (const serviceWorkers of ["allow", "block"]) {
    console.log(`  ${await playing(`${server.url}?file=clip.lbit`, serviceWorkers)}`);
  }
  server.close();
}
