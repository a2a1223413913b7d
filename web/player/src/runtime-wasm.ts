/** ONNX Runtime on the CPU. A module of its own, so that a page loads only what it uses. */
import * as ort from "onnxruntime-web/wasm";
import mjs from "onnxruntime-web/ort-wasm-simd-threaded.mjs?url";
import wasm from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";

const absolute = (url: string): string => new URL(url, self.location.href).href;

ort.env.wasm.wasmPaths = { mjs: absolute(mjs), wasm: absolute(wasm) };

export { ort };
