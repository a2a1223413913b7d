// Debian's Chromium for tests, or none.
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { chromium } from "playwright-core";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--autoplay-policy=no-user-gesture-required",
];

/** A browser with an empty profile for a test, which is skipped if there is no Chromium. CHROMIUM says where it is. */
export async function browser(context, options = {}) {
  const executablePath = [process.env.CHROMIUM, ...PLACES].find((place) => place && existsSync(place));
  if (!executablePath) {
    context.skip("no Chromium here; make setup-web installs it");
    return null;
  }
  const profile = await mkdtemp(join(tmpdir(), "latentbit-chromium-"));
  const found = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    args: FLAGS,
    ...options,
  });
  context.after(async () => {
    await found.close();
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  });
  return found;
}
