/** What the page and its worker say to each other. */
import type { Chapter, ChunkInfo, Header, Metadata, Packet, Problem, Verification } from "@latentbit/reader";

/** From the page. */
export type Ask =
  /** `models` is the address of the folder with the networks. */
  | { type: "open"; input: Blob | string; models: string }
  /** Bits per token to decode with, from now on. */
  | { type: "bits"; bits: number }
  /** Chunks to decode, the most urgent first. Replaces what was wanted before. */
  | { type: "want"; chunks: number[] }
  | { type: "packets"; id: number; stream: number; from: bigint; to: bigint }
  | { type: "verify" };

/** What stands for the tokens of a chunk. */
export type Health =
  | "good"
  /** Its tokens are gone; the picture before it stays. */
  | "lost"
  /** It is intact, but depends on a chunk that is lost. */
  | "affected";

/** The frames of a chunk. */
export interface Decoded {
  number: number;
  /** Bits per token that it was decoded with. */
  bits: number;
  health: Health;
  /** What was wrong with it, if it is lost. */
  why: string | null;
  /** RGBA, one frame after the other. */
  pixels: Uint8ClampedArray;
  /** Ticks of each frame, if they differ. */
  durations: Uint32Array | null;
  /** Depth of each token, t × h × w. */
  depths: Uint8Array;
  grid: [number, number, number];
  /** How long the networks took. */
  milliseconds: number;
}

/** A file as the page shows it. */
export interface Opened {
  header: Header;
  /** The stream that is shown. */
  stream: number;
  chunks: ChunkInfo[];
  bytes: number;
  indexed: boolean;
  damage: Problem[];
  metadata: Metadata[];
  chapters: Chapter[];
}

/** What computes. */
export interface Engine {
  provider: "webgpu" | "wasm";
  threads: number;
  /** Folder of the networks: type and storage of the weights. */
  networks: string;
  /** Why it is not a faster one. */
  why: string | null;
  /** Bytes of the networks. */
  bytes: number;
}

/** From the worker. */
export type Tell =
  | { type: "opened"; opened: Opened }
  | { type: "loading"; loaded: number; total: number }
  | { type: "engine"; engine: Engine }
  | { type: "decoded"; decoded: Decoded }
  | { type: "packets"; id: number; packets: Packet[] }
  | { type: "verified"; verification: Verification }
  | { type: "failed"; during: Ask["type"]; message: string };
