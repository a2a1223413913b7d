// The reader in Node.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { crc32 } from "node:zlib";

import * as reader from "@latentbit/reader";

import { conformance } from "./files.mjs";
import { recovered, strict, text } from "./findings.mjs";

const files = await conformance();
const named = (name) => files.find((file) => file.name === name).bytes;

test("the conformance files are read as the other readers read them", async () => {
  for (const { name, bytes, told } of files) {
    assert.equal(text(await recovered(reader, bytes)), text(told.recover), name);
    assert.equal(text(await strict(reader, bytes, 100)), text(told.strict), name);
  }
});

test("verify and recover agree with what is known of a file", async () => {
  for (const { name, bytes, told } of files) {
    const found = await reader.verify(bytes);
    if (told.strict !== null) {
      assert.ok(!found.whole, name);
    }
    assert.equal(found.bytes, bytes.length, name);
    const { error, version } = told.recover;
    if (version === null) {
      await assert.rejects(reader.recover(bytes), { name: "LbitError" }, name);
      continue;
    }
    if (error !== null && error.kind !== "truncated") {
      // What is unsupported or over a limit here need not be so in what is copied.
      await reader.recover(bytes).catch((error) => assert.ok(error instanceof reader.LbitError, name));
      continue;
    }
    if (told.recover.streams.some(({ kind }) => kind === "unknown")) {
      await assert.rejects(reader.recover(bytes), { name: "LbitError", kind: "parameter" });
      continue;
    }
    const { bytes: mended, chunks } = await reader.recover(bytes);
    const again = await reader.verify(mended);
    assert.deepEqual(again.problems, [], name);
    assert.equal(again.chunks, chunks, name);
  }
});

test("all that a file holds can be looked up", async () => {
  const file = await reader.openLbit(new Blob([named("subset/sound.lbit")]));
  assert.ok(file.indexed);
  const { stream, video } = file.firstVideo;
  assert.deepEqual([stream, video.width, video.height, video.bits], [0, 48, 32, 12]);
  const chunks = file.chunks(stream);
  assert.deepEqual(
    chunks.map(({ number, frames, key, lost }) => [number, frames, key, lost]),
    [[0, 5, true, false], [1, 8, false, false], [2, 5, true, false], [3, 3, false, false]],
  );
  assert.deepEqual(file.chunks(1), []);
  const chunk = await file.read(stream, 1);
  assert.deepEqual(chunk.grid, [2, 4, 6]);
  assert.ok(chunk.tokens instanceof BigUint64Array && chunk.tokens.length === 48);
  const fewer = await file.read(stream, 1, 5);
  assert.equal(fewer.bits, 5);
  assert.deepEqual(fewer.tokens, chunk.tokens.map((token) => token & 31n));
  assert.deepEqual(file.chunksFor(stream, 6, 9), {
    fromKey: 0, first: 1, end: 2, frames: [6, 9], decodedFrom: 0,
  });
  assert.equal(file.chunksFor(stream, 21, 30), null);
  assert.equal(await file.timeOf(stream, 21), 21n);
  assert.equal(await file.frameAt(stream, 7n), 7);
  const keys = Object.fromEntries((await file.metadata()).flatMap(({ entries }) => entries));
  assert.equal(keys.title, "A clip");
  assert.deepEqual((await file.chapters()).map(({ title }) => title), ["Anfang", ""]);
  const all = await file.packets(1, 0n, 1_000_000n);
  const some = await file.packets(1, 9600n, 19200n);
  assert.ok(some.length > 0 && some.length < all.length && some[0].data instanceof Uint8Array);
  await assert.rejects(file.read(stream, 4), RangeError);
  await assert.rejects(file.packets(0, 0n, 1n), { kind: "parameter" });
  file.close();
});

test("elastic tokens have depths", async () => {
  const file = await reader.openLbit(named("subset/elastic-cm.lbit"));
  const { depths, tokens } = await file.read(0, 0);
  assert.ok(depths instanceof Uint8Array && depths.length === tokens.length);
  tokens.forEach((token, at) => assert.ok(token < 1n << BigInt(depths[at])));
  file.close();
});

test("limits are kept", async () => {
  const bytes = named("subset/clip-cm.lbit");
  await assert.rejects(reader.openLbit(bytes, { limits: { maxFrameSide: 32 } }), { kind: "limits" });
  await assert.rejects(reader.openLbit(bytes, { limits: { maxFrameSides: 32 } }), /maxFrameSides/);
  await assert.rejects(reader.openLbit(bytes, { limits: { maxFrameSide: NaN } }), RangeError);
  const none = Object.fromEntries(["maxFrameSide", "maxChunkBytes"].map((name) => [name, Infinity]));
  (await reader.openLbit(bytes, { limits: none })).close();
});

/** Runs `use` with a server that gives `bytes`, and counts what it sends. */
async function served(bytes, ranges, use) {
  const sent = { bytes: 0, version: '"1"' };
  const server = createServer((request, response) => {
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
    const part = ranges && range ? bytes.subarray(Number(range[1]), Number(range[2]) + 1) : bytes;
    sent.bytes += part.length;
    if (ranges && range) {
      const end = Number(range[1]) + part.length - 1;
      response.writeHead(206, { "content-range": `bytes ${range[1]}-${end}/${bytes.length}`, etag: sent.version });
    }
    response.end(part);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await use(`http://127.0.0.1:${server.address().port}/clip.lbit`, sent);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** A file of 4 MiB with an index: the packets of the sound follow each other for long after the last chunk. */
async function long() {
  const short = named("subset/sound.lbit");
  const file = await reader.openLbit(short);
  const { offset, bytes } = file.chunks(0).at(-1);
  file.close();
  const end = offset + bytes;
  const records = Array.from({ length: 8 }, (_, at) => packetRecord(1, 4 + at, new Uint8Array(2 ** 19).fill(at)));
  const whole = await new Blob([short.subarray(0, end), ...records, short.subarray(end)]).arrayBuffer();
  // With a new index.
  return (await reader.recover(whole)).bytes;
}

/** A record with one packet (LBIT §3.1 and §7.1). */
function packetRecord(stream, number, data) {
  const varint = (value) => (value < 128 ? [value] : [(value & 127) | 128, ...varint(value >> 7)]);
  const payload = new Uint8Array([1, ...varint(2 * 40_000), 1, 0, ...varint(data.length), ...data]);
  const record = new Uint8Array(28 + payload.length + 4);
  const fields = new DataView(record.buffer);
  record.set([0xa7, 0x4c, 0x42, 0x0a, ...new TextEncoder().encode("pack")]);
  fields.setUint16(10, stream, true);
  fields.setUint32(12, payload.length, true);
  fields.setUint32(16, number, true);
  fields.setUint32(24, crc32(record.subarray(0, 24)), true);
  record.set(payload, 28);
  fields.setUint32(28 + payload.length, crc32(payload), true);
  return record;
}

test("a file on a server is read in parts, if the server can", async () => {
  const bytes = await long();
  assert.ok(bytes.length > 2 ** 22);
  await served(bytes, true, async (url, sent) => {
    const file = await reader.openLbit(url, { keptBytes: 2 ** 18 });
    assert.equal((await file.read(0, 2)).number, 2);
    assert.equal(file.byteLength, bytes.length);
    assert.ok(file.indexed);
    // The start, the end, and the heads of the records after the last chunk.
    assert.ok(sent.bytes < 2 ** 20, `${sent.bytes} bytes of ${bytes.length}`);
    assert.ok((await file.verify()).whole);
    assert.ok(sent.bytes < bytes.length + 2 ** 20, `${sent.bytes} bytes of ${bytes.length}`);
    // Parts of two versions must not be mixed.
    sent.version = '"2"';
    await assert.rejects(file.packets(1, 0n, 1_000_000n), /has changed/);
    file.close();
  });
  await served(bytes, false, async (url, sent) => {
    const file = await reader.openLbit(url);
    assert.ok((await file.verify()).whole);
    assert.equal(sent.bytes, bytes.length);
    file.close();
  });
  await assert.rejects(reader.openLbit("http://127.0.0.1:9/none.lbit"));
});

test("a source that gives too little is an error, and none is asked for what is not needed", async () => {
  const bytes = named("subset/large-cm.lbit");
  const short = { size: bytes.length, read: async (offset, length) => bytes.subarray(offset, offset + length - 1) };
  await assert.rejects(reader.openLbit(short), { kind: "io" });
  const padded = new Uint8Array(40 * 2 ** 20);
  padded.set(bytes.subarray(0, 8));
  let asked = 0;
  const source = {
    size: padded.length,
    read: async (offset, length) => {
      asked += length;
      return padded.subarray(offset, offset + length);
    },
  };
  // No header: that is known from the start of it.
  await assert.rejects(reader.openLbit(source), { kind: "format" });
  assert.ok(asked <= 2 ** 17, `${asked} bytes`);
  // Looking for a copy of the header takes all of it, which is more than may be held.
  await assert.rejects(reader.verify(source, { maxHeldBytes: 2 ** 20 }), /maxHeldBytes/);
});
