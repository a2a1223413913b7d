// A static server as plain as they come, with ranges.
import { createServer } from "node:http";

const TYPES = {
  css: "text/css",
  html: "text/html",
  js: "text/javascript",
  json: "application/json",
  mjs: "text/javascript",
  svg: "image/svg+xml",
  wasm: "application/wasm",
  webmanifest: "application/manifest+json",
};

/** Serves what `find` gives for a path: `{ body, type }`; an error is a 404. */
export async function serve(find) {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, "http://localhost");
    try {
      const { body, type } = await find(decodeURIComponent(pathname));
      const headers = { "content-type": type ?? TYPES[pathname.split(".").at(-1)] ?? "application/octet-stream" };
      const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
      if (!range) {
        response.writeHead(200, headers).end(body);
      } else if (Number(range[1]) >= body.length) {
        response.writeHead(416, { ...headers, "content-range": `bytes */${body.length}` }).end();
      } else {
        const part = body.subarray(Number(range[1]), Number(range[2]) + 1);
        const end = Number(range[1]) + part.length - 1;
        response
          .writeHead(206, { ...headers, "content-range": `bytes ${range[1]}-${end}/${body.length}` })
          .end(part);
      }
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${server.address().port}/`, close };
}
