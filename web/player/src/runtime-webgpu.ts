/** ONNX Runtime on the GPU. A module of its own, so that a page loads only what it uses. */
import * as ort from "onnxruntime-web/webgpu";
import mjs from "onnxruntime-web/ort-wasm-simd-threaded.asyncify.mjs?url";
import wasm from "onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url";

const absolute = (url: string): string => new URL(url, self.location.href).href;

ort.env.wasm.wasmPaths = { mjs: absolute(mjs), wasm: absolute(wasm) };

export { ort };
