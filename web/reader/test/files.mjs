// The conformance files.
import { readFile, readdir } from "node:fs/promises";

const root = new URL("../../../testdata/conformance/", import.meta.url);

export async function conformance() {
  const files = [];
  for (const folder of ["subset", "uncommon", "faulty"]) {
    const names = (await readdir(new URL(`${folder}/`, root))).filter((name) => name.endsWith(".lbit"));
    for (const name of names.sort()) {
      const place = new URL(`${folder}/${name}`, root);
      const told = await readFile(new URL(place.href.replace(/lbit$/, "json")), "utf8");
      const bytes = new Uint8Array(await readFile(place));
      files.push({ name: `${folder}/${name}`, bytes, told: JSON.parse(told) });
    }
  }
  if (files.length < 90) {
    throw new Error(`only ${files.length} conformance files in ${root.pathname}`);
  }
  return files;
}
