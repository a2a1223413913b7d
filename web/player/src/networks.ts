/** The networks of a bundle in ONNX Runtime: tokens in, frames out. */
import type * as Ort from "onnxruntime-web/wasm";
import type { Chunk, VideoStream } from "@latentbit/reader";

import type { Engine } from "./protocol.js";

type Runtime = typeof Ort;
type Tensor = Ort.Tensor;

/** `networks.json`, as `latentbit-train export-onnx` writes it. */
interface Description {
  format: string;
  bundle: { name: string; sha256: string };
  dtype: "f32" | "f16";
  networks: Record<string, Network | undefined>;
}

interface Network {
  files: { name: string; bytes: number; sha256: string }[];
  states?: { input: string; output: string; frames: number; channels: number; divide: [number, number] }[];
}

const FORMAT = "latentbit.onnx/1";
/** Threads beyond these do not pay for networks of this size. */
const MOST_THREADS = 8;

/** The networks are for other tokens than those of the file. */
export class OtherBundle extends Error {}

/** Fetches what a page keeps in its cache. */
async function fetched(url: URL, told?: (bytes: number) => void): Promise<Uint8Array> {
  const answer = await fetch(url);
  if (!answer.ok || !answer.body) {
    throw new Error(`cannot load ${url.pathname}: the server says ${answer.status}`);
  }
  const parts: Uint8Array[] = [];
  let length = 0;
  const reader = answer.body.getReader();
  for (let part; !(part = await reader.read()).done; ) {
    parts.push(part.value);
    length += part.value.length;
    told?.(length);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

async function sha256(bytes: Uint8Array): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as BufferSource));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The networks in `folder`, compared with what their description says of them. */
class Files {
  private constructor(
    private readonly base: URL,
    readonly description: Description,
  ) {}

  static async at(base: URL): Promise<Files> {
    const text = new TextDecoder().decode(await fetched(new URL("networks.json", base)));
    const description = JSON.parse(text) as Description;
    if (description.format !== FORMAT) {
      throw new Error(`${base.pathname}networks.json: expected format ${FORMAT}, found ${description.format}`);
    }
    return new Files(base, description);
  }

  network(name: string): Network {
    const network = this.description.networks[name];
    if (!network) {
      throw new Error(`${this.base.pathname}networks.json: expected a network ${name}, found none`);
    }
    return network;
  }

  bytes(name: string): number {
    return this.network(name).files.reduce((sum, file) => sum + file.bytes, 0);
  }

  async load(name: string, told: (bytes: number) => void): Promise<Uint8Array> {
    const [file, ...more] = this.network(name).files;
    if (!file || more.length > 0) {
      throw new Error(`network ${name}: expected one file, found ${more.length + (file ? 1 : 0)}`);
    }
    // With its content in its address it can be kept for good.
    const url = new URL(`${file.name}?sha256=${file.sha256}`, this.base);
    const bytes = await fetched(url, told);
    // Only pages on https or on this machine can compute it.
    if (globalThis.crypto?.subtle && (await sha256(bytes)) !== file.sha256) {
      throw new Error(`${url.pathname}: expected the SHA-256 ${file.sha256}, found another; load the page anew`);
    }
    return bytes;
  }
}

/** The fastest runtime that this browser has. */
async function runtime(): Promise<{ ort: Runtime; engine: Omit<Engine, "bytes"> }> {
  let why: string | null = null;
  const gpu = (navigator as { gpu?: { requestAdapter(): Promise<{ features: Set<string> } | null> } }).gpu;
  const adapter = gpu ? await gpu.requestAdapter().catch(() => null) : null;
  if (adapter) {
    const ort = (await import("./runtime-webgpu.js")).ort as unknown as Runtime;
    const networks = adapter.features.has("shader-f16") ? "f16-int8" : "f32-int8";
    return { ort, engine: { provider: "webgpu", threads: 1, networks, why } };
  }
  why = gpu ? "WebGPU found no adapter" : "this browser has no WebGPU";
  return { ...(await wasm(why)) };
}

async function wasm(why: string): Promise<{ ort: Runtime; engine: Omit<Engine, "bytes"> }> {
  const { ort } = await import("./runtime-wasm.js");
  const threads = globalThis.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency || 1, MOST_THREADS) : 1;
  ort.env.wasm.numThreads = threads;
  const reason = globalThis.crossOriginIsolated ? why : `${why}; one thread, as the page is not isolated`;
  return { ort, engine: { provider: "wasm", threads, networks: "f32-int8", why: reason } };
}

const NETWORKS = ["tokenizer-decoder", "vae-decoder"] as const;

/** Decodes the chunks of a stream, one group after the other. */
export class Networks {
  private states = new Map<string, Tensor>();

  private constructor(
    private readonly ort: Runtime,
    readonly engine: Engine,
    private readonly files: Files,
    private readonly tokenizer: Ort.InferenceSession,
    private readonly vae: Ort.InferenceSession,
  ) {}

  /**
   * Loads the networks for the tokens of `video` from folders in `base`; `told` hears how much of them is here.
   * Throws {@link OtherBundle} if they are for another bundle.
   */
  static async load(base: URL, video: VideoStream, told: (loaded: number, total: number) => void): Promise<Networks> {
    const found = await runtime();
    try {
      return await Networks.with(found, base, video, told);
    } catch (error) {
      if (found.engine.provider !== "webgpu" || error instanceof OtherBundle) {
        throw error;
      }
      return Networks.with(await wasm(`WebGPU failed: ${String(error)}`), base, video, told);
    }
  }

  private static async with(
    { ort, engine }: { ort: Runtime; engine: Omit<Engine, "bytes"> },
    base: URL,
    video: VideoStream,
    told: (loaded: number, total: number) => void,
  ): Promise<Networks> {
    const files = await Files.at(new URL(`${engine.networks}/`, base));
    const { bundle } = files.description;
    if (bundle.sha256 !== video.sha256) {
      throw new OtherBundle(
        `this file needs the model ${video.bundle} (${video.sha256.slice(0, 12)}…), and this page has ` +
          `${bundle.name} (${bundle.sha256.slice(0, 12)}…)`,
      );
    }
    const total = NETWORKS.reduce((sum, name) => sum + files.bytes(name), 0);
    let before = 0;
    const sessions = [];
    for (const name of NETWORKS) {
      const bytes = await files.load(name, (loaded) => told(before + loaded, total));
      before += bytes.length;
      const states = files.network(name).states ?? [];
      sessions.push(
        await ort.InferenceSession.create(bytes, {
          executionProviders: [engine.provider],
          graphOptimizationLevel: "all",
          ...(engine.provider === "webgpu" && {
            preferredOutputLocation: Object.fromEntries(states.map(({ output }) => [output, "gpu-buffer" as const])),
          }),
        }),
      );
    }
    const [tokenizer, vae] = sessions as [Ort.InferenceSession, Ort.InferenceSession];
    return new Networks(ort, { ...engine, bytes: total }, files, tokenizer, vae);
  }

  /**
   * The frames of `chunk`, RGBA one after the other, with at most `bits` bits of each token. A key chunk begins a group;
   * another one goes on where the call before ended.
   */
  async decode(video: VideoStream, chunk: Chunk, bits: number): Promise<Uint8ClampedArray> {
    const latent = await this.latent(video, chunk, bits);
    const [steps] = latent.dims as [number];
    const size = video.width * video.height * 4;
    const pixels = new Uint8ClampedArray(chunk.frames * size);
    let frame = 0;
    for (let step = 0; step < steps && frame < chunk.frames; ) {
      const first = chunk.key && step === 0;
      if (first) {
        this.reset(video);
      }
      const count = first ? 1 : steps - step;
      const frames = await this.run(latent, step, count, first);
      const [made, rows, columns] = frames.dims as [number, number, number, number];
      const data = frames.data as Float32Array;
      for (let at = 0; at < made && frame < chunk.frames; at += 1, frame += 1) {
        const from = data.subarray(at * rows * columns * 3);
        paint(from, columns, video, pixels.subarray(frame * size, (frame + 1) * size));
      }
      step += count;
    }
    return pixels;
  }

  /** Begins anew, as if no chunk had been decoded. */
  private reset(video: VideoStream): void {
    this.forget();
    const [, strideRows, strideColumns] = video.strides;
    const height = Math.ceil(video.height / strideRows) * strideRows;
    const width = Math.ceil(video.width / strideColumns) * strideColumns;
    const half = this.files.description.dtype === "f16";
    for (const { input, frames, channels, divide } of this.files.network("vae-decoder").states ?? []) {
      const dims = [frames, channels, height / divide[0], width / divide[1]];
      const length = dims.reduce((product, side) => product * side, 1);
      const zeros = half
        ? new this.ort.Tensor("float16", new Uint16Array(length), dims)
        : new this.ort.Tensor("float32", new Float32Array(length), dims);
      this.states.set(input, zeros);
    }
  }

  /** Lets go of the states. */
  forget(): void {
    this.states.forEach((state) => state.dispose());
    this.states.clear();
  }

  /** The normalised latent of a chunk. */
  private async latent(video: VideoStream, { grid, tokens, depths, latentFrames }: Chunk, bits: number): Promise<Tensor> {
    const width = video.bundleBits;
    const flags = new Uint8Array(tokens.length * width);
    // Two halves of 32 bits: arithmetic with bigint is slow.
    const halves = new Uint32Array(tokens.buffer, tokens.byteOffset, tokens.length * 2);
    for (let token = 0; token < tokens.length; token += 1) {
      for (let bit = 0; bit < width; bit += 1) {
        flags[token * width + bit] = ((halves[token * 2 + (bit >> 5)] ?? 0) >>> (bit & 31)) & 1;
      }
    }
    const counted = Int32Array.from(tokens, (_, token) => Math.min(depths ? (depths[token] ?? 0) : video.bits, bits));
    const { latent } = await this.tokenizer.run({
      bits: new this.ort.Tensor("bool", flags, [...grid, width]),
      depths: new this.ort.Tensor("int32", counted, grid),
    });
    if (!latent) {
      throw new Error("the tokenizer's network gave no latent");
    }
    const [, strideRows, strideColumns] = video.strides;
    const size = [latentFrames, Math.ceil(video.height / strideRows), Math.ceil(video.width / strideColumns)] as const;
    return new this.ort.Tensor("float32", cropped(latent, size), [...size, latent.dims[3] ?? 0]);
  }

  /** Some steps of a latent as frames. */
  private async run(latent: Tensor, step: number, count: number, first: boolean): Promise<Tensor> {
    const [, rows, columns, channels] = latent.dims as [number, number, number, number];
    const size = rows * columns * channels;
    const part = (latent.data as Float32Array).slice(step * size, (step + count) * size);
    const results = await this.vae.run({
      ...Object.fromEntries(this.states),
      latent: new this.ort.Tensor("float32", part, [count, rows, columns, channels]),
      first: new this.ort.Tensor("int64", BigInt64Array.of(first ? 1n : 0n), [1]),
    });
    this.forget();
    for (const { input, output } of this.files.network("vae-decoder").states ?? []) {
      const state = results[output];
      if (!state) {
        throw new Error(`the VAE's network gave no ${output}`);
      }
      this.states.set(input, state);
    }
    const { frames } = results;
    if (!frames) {
      throw new Error("the VAE's network gave no frames");
    }
    return frames;
  }
}

/** A latent without what its last patches have too much, t × h × w × channels. */
function cropped(latent: Tensor, [steps, rows, columns]: readonly [number, number, number]): Float32Array {
  const [, height = 0, width = 0, channels = 0] = latent.dims;
  const from = latent.data as Float32Array;
  if (height === rows && width === columns) {
    return from.slice(0, steps * rows * columns * channels);
  }
  const to = new Float32Array(steps * rows * columns * channels);
  const line = columns * channels;
  for (let step = 0, at = 0; step < steps; step += 1) {
    for (let row = 0; row < rows; row += 1, at += line) {
      const place = (step * height + row) * width * channels;
      to.set(from.subarray(place, place + line), at);
    }
  }
  return to;
}

/** Crops a frame of numbers from -1 to 1, `columns` wide, to the size of the video, as bytes. */
function paint(from: Float32Array, columns: number, video: VideoStream, to: Uint8ClampedArray): void {
  for (let y = 0, at = 0; y < video.height; y += 1) {
    for (let x = 0, place = y * columns * 3; x < video.width; x += 1, at += 4, place += 3) {
      // Rounded and clamped by the array.
      to[at] = ((from[place] ?? 0) + 1) * 127.5;
      to[at + 1] = ((from[place + 1] ?? 0) + 1) * 127.5;
      to[at + 2] = ((from[place + 2] ?? 0) + 1) * 127.5;
      to[at + 3] = 255;
    }
  }
}
