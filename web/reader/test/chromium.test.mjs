// The reader in Chromium: the conformance files once more, and a file on a server.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { browser } from "../../test/browser.mjs";
import { serve } from "../../test/server.mjs";
import { conformance } from "./files.mjs";

const root = new URL("../", import.meta.url);

test("the conformance files are read in Chromium as elsewhere", async (context) => {
  const chromium = await browser(context);
  if (!chromium) {
    return;
  }
  const files = new Map((await conformance()).map((file) => [file.name, file]));
  const server = await serve(async (path) => {
    const file = files.get(path.replace("/files/", ""));
    if (path === "/") {
      return { type: "text/html", body: Buffer.from("<!doctype html><title>reader</title>") };
    }
    return file ? { body: Buffer.from(file.bytes) } : { body: await readFile(new URL(`.${path}`, root)) };
  });
  try {
    const page = await chromium.newPage();
    await page.goto(server.url);
    const wrong = await page.evaluate(
      async (files) => {
        const reader = await import("/dist/index.js");
        const { recovered, strict, text } = await import("/test/findings.mjs");
        const wrong = [];
        for (const [name, told] of files) {
          const bytes = new Uint8Array(await (await fetch(`/files/${name}`)).arrayBuffer());
          const inputs = [new Blob([bytes]), bytes, `/files/${name}`];
          for (const [at, input] of inputs.entries()) {
            // An address where one is enough: requests take time.
            if (at === 2 && !name.startsWith("subset/")) {
              continue;
            }
            const found = await recovered(reader, input);
            if (text(found) !== text(told.recover)) {
              wrong.push(`${name}, input ${at}: ${text(found)}`);
            }
          }
          if (text(await strict(reader, bytes, 64)) !== text(told.strict)) {
            wrong.push(`${name}: strict`);
          }
        }
        return wrong;
      },
      [...files.values()].map(({ name, told }) => [name, told]),
    );
    assert.deepEqual(wrong, []);
  } finally {
    server.close();
  }
});
