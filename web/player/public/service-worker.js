// Keeps what the page loads, so that it works offline, and lets it use threads: browsers share memory between threads only
// in pages with two headers, which a plain static server does not send.
const CACHE = "latentbit-player-1";

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  const ours = url.href.startsWith(self.registration.scope);
  // Parts of a file are the reader's business, and so are files.
  if (request.method !== "GET" || !ours || request.headers.has("range") || url.pathname.endsWith(".lbit")) {
    return;
  }
  event.respondWith(answer(request, url));
});

/** What has its content in its name never changes; of everything else the newest is wanted. */
const isFixed = (url) => /-[\w-]{8}\.\w+$/.test(url.pathname) || url.searchParams.has("sha256");

async function answer(request, url) {
  const cache = await caches.open(CACHE);
  // The page is the same whatever it is asked to open.
  const key = request.mode === "navigate" ? url.origin + url.pathname : request;
  const kept = await cache.match(key);
  if (kept && isFixed(url)) {
    return kept;
  }
  try {
    const fresh = await fetch(request);
    if (fresh.status !== 200) {
      return fresh;
    }
    const isolated = withHeaders(fresh);
    await cache.put(key, isolated.clone());
    return isolated;
  } catch (error) {
    if (kept) {
      return kept;
    }
    throw error;
  }
}

function withHeaders(response) {
  const headers = new Headers(response.headers);
  headers.set("cross-origin-opener-policy", "same-origin");
  headers.set("cross-origin-embedder-policy", "require-corp");
  headers.set("cross-origin-resource-policy", "same-origin");
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}
