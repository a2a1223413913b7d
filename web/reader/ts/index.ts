/**
 * Reads `.lbit` files, the container of LatentBit, in browsers and in Node.
 *
 * ```ts
 * const file = await openLbit(await fetch("clip.lbit").then((answer) => answer.blob()));
 * const chunk = await file.read(0, 0);
 * console.log(chunk.grid, chunk.tokens);
 * ```
 */
import init, { Source, StreamParser } from "../pkg/wasm.js";
import { sourceOf } from "./source.js";
import type { ByteSource, Input } from "./source.js";
import type {
  Chapter,
  Chunk,
  ChunkInfo,
  Event,
  Header,
  Limits,
  Metadata,
  Needed,
  Packet,
  Problem,
  ProblemKind,
  Recovered,
  Totals,
  Verification,
  VideoStream,
} from "./types.js";

export type * from "./types.js";
export type { ByteSource, Input } from "./source.js";

/** What goes wrong while a file is read. */
export class LbitError extends Error {
  readonly kind: ProblemKind;
  /** Byte offset, where there is one. */
  readonly offset: number | null;
  /** Number of the chunk that it is about, where known. */
  readonly chunk: number | null;

  constructor(problem: Problem) {
    super(problem.message);
    this.name = "LbitError";
    this.kind = problem.kind;
    this.offset = problem.offset;
    this.chunk = problem.chunk;
  }
}

export interface Options {
  limits?: Limits;
  /** Most bytes of the file kept between two readings. Default 32 MiB. */
  keptBytes?: number;
  /**
   * Most bytes of the file held while one reading runs. `verify`, `recover`, and opening a file without an index hold
   * all of it. Default 1 GiB.
   */
  maxHeldBytes?: number;
  /** Ends all requests. */
  signal?: AbortSignal;
}

let loaded: Promise<unknown> | undefined;

/**
 * Loads the WebAssembly; the functions below do so by themselves. `from` says where it is, if it does not lie beside the
 * JavaScript: an address, its bytes, or a compiled module.
 */
export function load(from?: URL | string | BufferSource | WebAssembly.Module): Promise<unknown> {
  loaded ??= start(from).catch((error: unknown) => {
    loaded = undefined;
    throw error;
  });
  return loaded;
}

async function start(from?: URL | string | BufferSource | WebAssembly.Module): Promise<unknown> {
  const place = from ?? new URL("../pkg/wasm_bg.wasm", import.meta.url);
  if (place instanceof URL && place.protocol === "file:") {
    // Node, whose fetch does not read files.
    const node = "node:fs/promises";
    const { readFile } = (await import(/* @vite-ignore */ node)) as { readFile(path: URL): Promise<Uint8Array> };
    return init({ module_or_path: (await readFile(place)) as BufferSource });
  }
  return init({ module_or_path: place });
}

/** What comes out of a call into WebAssembly, with its errors made ours. */
function ask<T>(call: () => unknown): T {
  try {
    return call() as T;
  } catch (error) {
    if (typeof error === "object" && error !== null && "kind" in error && "message" in error) {
      throw new LbitError(error as Problem);
    }
    throw error;
  }
}

const LIMITS: Record<keyof Limits, true> = {
  maxFrameSide: true,
  maxHeaderBytes: true,
  maxStreams: true,
  maxChunkBytes: true,
  maxChunkFrames: true,
  maxChunkTokens: true,
  maxPacketBytes: true,
  maxPackets: true,
  maxWaitingBytes: true,
  maxMetadataEntries: true,
  maxMetadataBytes: true,
  maxAttachmentBytes: true,
  maxIndexBytes: true,
  maxMissingFrames: true,
  maxProblems: true,
};

/** The limits, if there is none that does not exist: a wrong name would leave its default in force. */
function checked(limits: Limits | undefined): Limits | undefined {
  const unknown = Object.keys(limits ?? {}).find((name) => !(name in LIMITS));
  if (unknown !== undefined) {
    throw new RangeError(`limits: expected ${Object.keys(LIMITS).join(", ")}, found ${unknown}`);
  }
  return limits;
}

/** A file in WebAssembly, whose bytes are fetched as they are needed; one reading at a time. */
class Session {
  private last: Promise<unknown> = Promise.resolve();

  private constructor(
    readonly wasm: Source,
    private readonly bytes: ByteSource,
  ) {}

  static async of(input: Input, options: Options): Promise<Session> {
    const [bytes] = await Promise.all([sourceOf(input, options.signal), load()]);
    const { keptBytes = 32 * 2 ** 20, maxHeldBytes = 2 ** 30 } = options;
    const wasm = ask<Source>(() => new Source(bytes.size, keptBytes, maxHeldBytes, checked(options.limits)));
    return new Session(wasm, bytes);
  }

  /** Runs `reading`, fetches what it lacks, and runs it again until it lacks nothing. */
  run<T>(reading: () => unknown): Promise<T> {
    const result = this.last.then(() => this.now<T>(reading));
    this.last = result.catch(() => undefined);
    return result;
  }

  private async now<T>(reading: () => unknown): Promise<T> {
    this.wasm.begin();
    try {
      for (;;) {
        let outcome: { value: T } | { error: unknown };
        try {
          outcome = { value: ask<T>(reading) };
        } catch (error) {
          outcome = { error };
        }
        // Also a reading that seems to have come to a result may have taken bytes that are not here for damage.
        const missing = this.wasm.missing();
        if (missing === undefined) {
          if ("error" in outcome) {
            throw outcome.error;
          }
          return outcome.value;
        }
        const [offset, length] = missing as unknown as [number, number];
        const bytes = await this.bytes.read(offset, length);
        if (bytes.length !== length) {
          throw new LbitError({
            kind: "io",
            message: `cannot read at byte ${offset}: expected ${length} bytes, found ${bytes.length}`,
            offset,
            chunk: null,
          });
        }
        this.wasm.put(offset, bytes);
      }
    } finally {
      this.wasm.end();
    }
  }
}

/** A file that is open: any part of it, without reading the rest. */
export class LbitFile {
  private constructor(
    private readonly session: Session,
    readonly header: Header,
    /** Whether the list of chunks comes from the index, so that the chunks themselves have not been looked at. */
    readonly indexed: boolean,
    /** What was found wrong while the file was read to list its chunks; empty if it has an index. */
    readonly damage: Problem[],
    /** Length of the file. */
    readonly byteLength: number,
  ) {}

  /** See {@link openLbit}. */
  static async open(input: Input, options: Options = {}): Promise<LbitFile> {
    const session = await Session.of(input, options);
    const { wasm } = session;
    await session.run(() => wasm.open());
    return new LbitFile(
      session,
      ask(() => wasm.header()),
      ask(() => wasm.indexed()),
      ask(() => wasm.damage()),
      ask(() => wasm.size()),
    );
  }

  /** The first stream of tokens and its place in the header, or null. */
  get firstVideo(): { stream: number; video: VideoStream } | null {
    const stream = this.header.streams.findIndex(({ kind }) => kind === "video");
    const video = this.header.streams[stream];
    return video?.kind === "video" ? { stream, video } : null;
  }

  /** The chunks of a stream of tokens, in order, those that are lost too; empty if it is another kind of stream. */
  chunks(stream: number): ChunkInfo[] {
    return ask(() => this.session.wasm.chunks(stream));
  }

  /** What each stream holds. */
  totals(): Totals[] {
    return ask(() => this.session.wasm.totals());
  }

  /** Which chunks the frames `from` up to `to` need; null if the stream has none of these frames. */
  chunksFor(stream: number, from: number, to: number): Needed | null {
    return ask(() => this.session.wasm.chunksFor(stream, from, to));
  }

  /** Keys and values: all records; a later value of a key replaces an earlier one. */
  metadata(): Promise<Metadata[]> {
    return this.session.run(() => this.session.wasm.metadata());
  }

  chapters(): Promise<Chapter[]> {
    return this.session.run(() => this.session.wasm.chapters());
  }

  /** The tokens of a chunk, in at most `bits` bits each: fewer are less work. */
  read(stream: number, number: number, bits = 64): Promise<Chunk> {
    return this.session.run(() => this.session.wasm.read(stream, number, Math.min(Math.max(bits, 1), 64)));
  }

  /** The first frame shown at or after a time in ticks. */
  frameAt(stream: number, time: bigint): Promise<number> {
    return this.session.run(() => this.session.wasm.frameAt(stream, time));
  }

  /** When a frame is shown, in ticks; after the last frame, when that ends. */
  timeOf(stream: number, frame: number): Promise<bigint> {
    return this.session.run(() => this.session.wasm.timeOf(stream, frame));
  }

  /** The packets that are heard or shown from tick `from` up to tick `to` of their stream. */
  packets(stream: number, from: bigint, to: bigint): Promise<Packet[]> {
    return this.session.run(() => this.session.wasm.packets(stream, from, to));
  }

  /** Checks everything that can be checked: reads the whole file. */
  verify(): Promise<Verification> {
    return this.session.run(() => this.session.wasm.verify());
  }

  /** Makes a whole file of all that is intact. */
  recover(): Promise<Recovered> {
    return this.session.run(() => this.session.wasm.recover());
  }

  /** Lets go of the memory. */
  close(): void {
    this.session.wasm.free();
  }
}

/**
 * Opens a file. With an index, that takes the start and the end of it; without one, or with one that cannot be
 * trusted, all of it. Damage is no error, see {@link LbitFile.damage}; a file without a header is.
 */
export function openLbit(input: Input, options?: Options): Promise<LbitFile> {
  return LbitFile.open(input, options);
}

/** Checks a file that need not open. */
export async function verify(input: Input, options: Options = {}): Promise<Verification> {
  const session = await Session.of(input, options);
  try {
    return await session.run(() => session.wasm.verify());
  } finally {
    session.wasm.free();
  }
}

/** Makes a whole file of what is left of one that need not open. */
export async function recover(input: Input, options: Options = {}): Promise<Recovered> {
  const session = await Session.of(input, options);
  try {
    return await session.run(() => session.wasm.recover());
  } finally {
    session.wasm.free();
  }
}

/**
 * Reads a file from front to back, over all damage, which comes as events; if its header is damaged, under a copy of it.
 * Throws where reading cannot go on, after everything before that.
 */
export async function* events(input: Input, options: Options = {}): AsyncGenerator<Event, void> {
  const session = await Session.of(input, options);
  try {
    let event = await session.run<Event>(() => session.wasm.beginEvents());
    for (;;) {
      yield event;
      if (event.type === "end") {
        return;
      }
      event = await session.run<Event>(() => session.wasm.nextEvent());
    }
  } finally {
    session.wasm.free();
  }
}

/**
 * Reads a stream as its bytes come, such as the body of a `fetch` or a pipe. `strict` stops at the first fault; `resync`
 * goes on at the next intact record; `join` may begin in the middle.
 */
export async function* readStream(
  stream: AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>,
  options: { mode?: "strict" | "resync" | "join"; limits?: Limits } = {},
): AsyncGenerator<Event, void> {
  await load();
  const parser = ask<StreamParser>(() => new StreamParser(options.mode ?? "strict", checked(options.limits)));
  try {
    for await (const bytes of iterate(stream)) {
      parser.push(bytes);
      for (let event; (event = ask<Event | undefined>(() => parser.next())); ) {
        yield event;
        if (event.type === "end") {
          return;
        }
      }
    }
    parser.finish();
    for (let event; (event = ask<Event | undefined>(() => parser.next())); ) {
      yield event;
      if (event.type === "end") {
        return;
      }
    }
  } finally {
    parser.free();
  }
}

/** Not every browser can iterate over a stream. */
async function* iterate(stream: AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (Symbol.asyncIterator in stream) {
    yield* stream as AsyncIterable<Uint8Array>;
    return;
  }
  const reader = (stream as ReadableStream<Uint8Array>).getReader();
  try {
    for (let part; !(part = await reader.read()).done; ) {
      yield part.value;
    }
  } finally {
    reader.releaseLock();
  }
}
