/** What the reader gives. Ticks are `bigint`; counts and offsets are `number`, exact below 2^53. */

/** A fraction: numerator, denominator. */
export type Rational = [number, number];

/** A file of LBIT 1: what a decoder must know before the first chunk (LBIT §4). */
export interface Header {
  /** Version of the format that the file was written in, such as "1.0". */
  version: string;
  streams: Stream[];
}

export type Stream = VideoStream | PacketStream | { kind: "unknown"; number: number };

/** A stream of tokens (LBIT §4.3). */
export interface VideoStream {
  kind: "video";
  /** Of a frame, in pixels. */
  width: number;
  height: number;
  /** Frames per second; 0/1 if unknown. */
  frameRate: Rational;
  /** Seconds per tick. */
  timeBase: Rational;
  /** Ticks from one frame to the next in chunks that do not say otherwise. */
  frameDuration: number;
  /** Width over height of a pixel; 0/1 if unknown. */
  pixelAspect: Rational;
  /** Frames in the stream, if they were known when the file began. */
  frames: number | null;
  /** Primaries, transfer and matrix: code points of ISO/IEC 23091-2, where 2 is "unspecified". */
  color: [number, number, number];
  range: "unspecified" | "limited" | "full";
  chroma: "4:2:0" | "4:2:2" | "4:4:4" | "gray" | "rgb" | "unknown";
  chromaLocation: number;
  bitDepth: number;
  /** Most bits of a token in this stream. */
  bits: number;
  /** Bits of a token of the bundle. */
  bundleBits: number;
  /** Planes from one depth to the next in an elastic stream (LBIT §5.8). */
  depthStep: number | null;
  /** Latent positions per token: time, height, width. */
  patch: [number, number, number];
  /** Frames and pixels per latent position: time, height, width. */
  strides: [number, number, number];
  /** Latent frames in a full chunk. */
  chunkLatentFrames: number;
  /** Name of the bundle, for people. */
  bundle: string;
  /** SHA-256 of the bundle, which a decoder must compare. */
  sha256: string;
}

/** A stream of packets of another codec (LBIT §4.4). */
export interface PacketStream {
  kind: "packets";
  purpose: "audio" | "subtitles" | "other";
  /** Matroska's identifier of the codec, such as `A_OPUS`. */
  codec: string;
  /** Matroska's CodecPrivate. */
  private: Uint8Array;
  timeBase: Rational;
  sampleRate: number;
  channels: number;
  bitsPerSample: number;
  /** Nanoseconds. */
  codecDelay: bigint;
  seekPreroll: bigint;
  language: string;
  title: string;
  default: boolean;
  forced: boolean;
}

/** Where a chunk belongs. */
export interface ChunkHead {
  /** Place of its stream in the header. */
  stream: number;
  /** Number in its stream, from 0. */
  number: number;
  /** Index of its first frame. */
  firstFrame: number;
  /** Frames of the video in it. */
  frames: number;
  latentFrames: number;
  /** Whether decoding can begin here. */
  key: boolean;
  segment: number;
}

/** An entry of the list of chunks. */
export interface ChunkInfo extends ChunkHead {
  /** When its first frame is shown, in ticks. */
  start: bigint;
  /** Bits per token; 0 if it is lost. */
  bits: number;
  /** Where its record begins, and how long it is; 0 if it is not in the file. */
  offset: number;
  bytes: number;
  /** Whether its tokens are gone. */
  lost: boolean;
}

/** A chunk with its tokens. */
export interface Chunk extends ChunkHead {
  offset: number;
  start: bigint;
  /** Ticks of each frame, if they differ from the stream's duration of a frame. */
  durations: Uint32Array | null;
  bits: number;
  /** Tokens in time, height and width. */
  grid: [number, number, number];
  /** The tokens, width fastest, then height, then time. Bit 0 is the most important one. */
  tokens: BigUint64Array;
  /** How many bits each token has, if its stream is elastic; its other bits are absent, not zero. */
  depths: Uint8Array | null;
}

/** A packet of another codec; times are in ticks of its stream. */
export interface Packet {
  pts: bigint;
  dts: bigint | null;
  /** 0 if unknown. */
  duration: bigint;
  key: boolean;
  data: Uint8Array;
}

export interface PacketRecord {
  stream: number;
  number: number;
  packets: Packet[];
}

/** Keys and values about a stream, or about the file (null). */
export interface Metadata {
  stream: number | null;
  entries: [string, string][];
}

/** A chapter, in nanoseconds. */
export interface Chapter {
  start: bigint;
  end: bigint;
  title: string;
}

/** What a stream holds in all. */
export interface Totals {
  frames: number;
  /** Chunks, or records of packets. */
  chunks: number;
  /** SHA-256 of the contents (LBIT §8.1). */
  digest: string | null;
}

/** The chunks that some frames need. */
export interface Needed {
  /** Number of the chunk where decoding begins. */
  fromKey: number;
  /** Number of the chunk with the first wanted frame. */
  first: number;
  /** Number after the chunk with the last wanted frame. */
  end: number;
  /** The wanted frames that there are: the first, and the one after the last. */
  frames: [number, number];
  /** The first frame that decoding from `fromKey` gives. */
  decodedFrom: number;
}

export type ProblemKind = "io" | "format" | "truncated" | "unsupported" | "limits" | "parameter" | "unknown";

/** What is wrong with a file. */
export interface Problem {
  kind: ProblemKind;
  message: string;
  /** Byte offset, where there is one. */
  offset: number | null;
  /** Number of the chunk that it is about, where known. */
  chunk: number | null;
}

/** What a check of a whole file found. */
export interface Verification {
  /** Whether nothing is wrong and nothing is lost. */
  whole: boolean;
  header: Header | null;
  bytes: number;
  /** Intact chunks. */
  chunks: number;
  lostChunks: number;
  lostFrames: number;
  status: Status;
  totals: Totals[] | null;
  problems: Problem[];
  /** Problems that were only counted. */
  moreProblems: number;
}

export type Status = "complete" | "complete-without-tail" | "truncated" | "reading" | "failed" | "unknown";

/** A stretch of a file that could not be read. */
export interface Lost {
  offset: number;
  bytes: number;
  reason: Problem;
}

/** A whole file, made of what was left of a damaged one. */
export interface Recovered {
  bytes: Uint8Array;
  /** Whether nothing was wrong. */
  whole: boolean;
  chunks: number;
  lostChunks: number;
  lostFrames: number;
  lost: Lost[];
  moreLost: number;
  truncated: boolean;
  /** Whether a copy of the header had to serve. */
  headerCopy: boolean;
}

/** What comes when a file is read from front to back. The header comes first, "end" last. */
export type Event =
  | { type: "header"; header: Header }
  | { type: "chunk"; chunk: Chunk }
  | { type: "packets"; packets: PacketRecord }
  | { type: "metadata"; metadata: Metadata }
  | { type: "chapters"; chapters: Chapter[] }
  /** A file that goes along: kind 1 is a file such as a font, 2 a cover picture. The name is not to be used as a path. */
  | { type: "attachment"; kind: number; name: string; mediaType: string; description: string; data: Uint8Array }
  | ({ type: "lost" } & Lost)
  | { type: "missing"; stream: number; chunks: [number, number]; frames: [number, number] }
  | { type: "end"; status: Status; totals: Totals[] | null };

/**
 * What a reader is willing to spend on a file that it does not trust (LBIT §9). What is left out has its default;
 * `Infinity` switches a limit off.
 */
export interface Limits {
  maxFrameSide?: number;
  maxHeaderBytes?: number;
  maxStreams?: number;
  maxChunkBytes?: number;
  maxChunkFrames?: number;
  maxChunkTokens?: number;
  maxPacketBytes?: number;
  maxPackets?: number;
  maxWaitingBytes?: number;
  maxMetadataEntries?: number;
  maxMetadataBytes?: number;
  maxAttachmentBytes?: number;
  maxIndexBytes?: number;
  maxMissingFrames?: number;
  maxProblems?: number;
}
