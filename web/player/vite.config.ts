import { defineConfig } from "vite";

export default defineConfig({
  // Works from any folder of any server.
  base: "./",
  build: {
    target: "es2022",
    // The runtime's files keep their own names beside a hash, which the service worker takes for fixed.
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    chunkSizeWarningLimit: 2000,
  },
  worker: { format: "es" },
  // The runtime's WebAssembly is a file of its own, not bytes within JavaScript.
  resolve: { conditions: ["onnxruntime-web-use-extern-wasm", "module", "browser", "import", "default"] },
  server: {
    headers: {
      "cross-origin-opener-policy": "same-origin",
      "cross-origin-embedder-policy": "require-corp",
    },
  },
});
