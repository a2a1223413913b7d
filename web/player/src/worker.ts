/** Reads the file and runs the networks, beside the page, so that the page never waits for them. */
import { openLbit } from "@latentbit/reader";
import type { Chunk, ChunkInfo, LbitFile, VideoStream } from "@latentbit/reader";

import { Networks } from "./networks.js";
import type { Ask, Decoded, Health, Tell } from "./protocol.js";

function tell(message: Tell, transfer: Transferable[] = []): void {
  self.postMessage(message, { transfer });
}

/** Lets messages in that have come meanwhile. */
const breathe = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** A file that plays. */
class Show {
  /** Bits per token to decode with. */
  private bits: number;
  private wanted: number[] = [];
  private running = false;
  /** The chunk that comes next, and the bits of those before it. */
  private next: { number: number; bits: number } | null = null;
  /** Whether the networks have a state to go on from. */
  private ready = false;
  /** Whether the state lacks a chunk that was lost. */
  private affected = false;
  private last: Uint8ClampedArray | null = null;

  constructor(
    private readonly file: LbitFile,
    private readonly stream: number,
    private readonly video: VideoStream,
    private readonly chunks: ChunkInfo[],
    private readonly networks: Networks,
    private readonly current: () => boolean,
  ) {
    this.bits = video.bits;
  }

  setBits(bits: number): void {
    this.bits = bits;
  }

  want(chunks: number[]): void {
    this.wanted = chunks;
    void this.run();
  }

  private async run(): Promise<void> {
    if (this.running) {
      return;
    }
    this.running = true;
    try {
      for (;;) {
        await breathe();
        const wanted = this.wanted[0];
        if (wanted === undefined || !this.current()) {
          return;
        }
        const number = this.step(wanted);
        await this.decode(number);
        this.wanted = this.wanted.filter((other) => other !== number);
      }
    } catch (error) {
      this.next = null;
      this.wanted = [];
      tell({ type: "failed", during: "want", message: reason(error) });
    } finally {
      this.running = false;
    }
  }

  /** The chunk to decode next on the way to `wanted`: the networks go from key chunk to key chunk. */
  private step(wanted: number): number {
    let key = wanted;
    while (key > 0 && !(this.chunks[key]?.key && !this.chunks[key]?.lost)) {
      key -= 1;
    }
    const next = this.next;
    const goesOn = next !== null && next.bits === this.bits && next.number >= key && next.number <= wanted;
    if (goesOn) {
      return next.number;
    }
    this.ready = false;
    this.last = null;
    return key;
  }

  private async decode(number: number): Promise<void> {
    const info = this.chunks[number];
    if (!info) {
      this.next = null;
      return;
    }
    const bits = this.bits;
    const begin = performance.now();
    let chunk: Chunk | null = null;
    let why: string | null = "its tokens are lost";
    if (!info.lost) {
      try {
        chunk = await this.file.read(this.stream, number);
      } catch (error) {
        why = reason(error);
      }
    }
    if (chunk?.key) {
      [this.ready, this.affected] = [true, false];
    } else if (chunk && !this.ready) {
      why = "the chunk that it depends on is lost";
      chunk = null;
    }
    let health: Health = "lost";
    let pixels: Uint8ClampedArray;
    if (chunk) {
      pixels = await this.networks.decode(this.video, chunk, bits);
      health = this.affected ? "affected" : "good";
      why = null;
    } else {
      // The state stays that of the last good chunk.
      pixels = this.held(info.frames);
      this.affected = true;
    }
    this.next = { number: number + 1, bits };
    const frame = this.video.width * this.video.height * 4;
    this.last = pixels.slice(-frame);
    const decoded: Decoded = {
      number,
      bits,
      health,
      why,
      pixels,
      durations: chunk?.durations ?? null,
      depths: chunk ? depthsOf(chunk) : new Uint8Array(),
      grid: chunk?.grid ?? [0, 0, 0],
      milliseconds: performance.now() - begin,
    };
    tell({ type: "decoded", decoded }, [pixels.buffer]);
  }

  /** The frame before, as often as the lost chunk has frames; black if there is none. */
  private held(frames: number): Uint8ClampedArray {
    const size = this.video.width * this.video.height * 4;
    const pixels = new Uint8ClampedArray(frames * size);
    if (this.last?.length === size) {
      for (let frame = 0; frame < frames; frame += 1) {
        pixels.set(this.last, frame * size);
      }
    } else {
      for (let at = 3; at < pixels.length; at += 4) {
        pixels[at] = 255;
      }
    }
    return pixels;
  }

  async packets(id: number, stream: number, from: bigint, to: bigint): Promise<void> {
    const packets = await this.file.packets(stream, from, to);
    tell({ type: "packets", id, packets });
  }

  close(): void {
    this.wanted = [];
    this.networks.forget();
  }
}

const depthsOf = ({ depths, tokens, bits }: Chunk): Uint8Array => depths ?? new Uint8Array(tokens.length).fill(bits);

let networks: { sha256: string; loaded: Promise<Networks> } | null = null;
let file: LbitFile | null = null;
let show: Show | null = null;
let opening = 0;

async function open(input: Blob | string, models: URL): Promise<void> {
  const mine = ++opening;
  const current = (): boolean => mine === opening;
  show?.close();
  show = null;
  file?.close();
  file = null;
  const opened = await openLbit(input);
  if (!current()) {
    opened.close();
    return;
  }
  file = opened;
  const found = file.firstVideo;
  if (!found) {
    throw new Error("the file has no stream of tokens to show");
  }
  const { stream, video } = found;
  const chunks = file.chunks(stream);
  const [metadata, chapters] = [await file.metadata(), await file.chapters()];
  tell({
    type: "opened",
    opened: {
      header: file.header,
      stream,
      chunks,
      bytes: file.byteLength,
      indexed: file.indexed,
      damage: file.damage,
      metadata,
      chapters,
    },
  });
  if (networks?.sha256 !== video.sha256) {
    const loaded = Networks.load(models, video, (done, total) => tell({ type: "loading", loaded: done, total }));
    networks = { sha256: video.sha256, loaded };
    loaded.catch(() => (networks = null));
  }
  const ready = await networks.loaded;
  if (current()) {
    ready.forget();
    show = new Show(file, stream, video, chunks, ready, current);
    tell({ type: "engine", engine: ready.engine });
  }
}

self.onmessage = async ({ data }: MessageEvent<Ask>) => {
  try {
    switch (data.type) {
      case "open":
        return await open(data.input, new URL(data.models));
      case "bits":
        return show?.setBits(data.bits);
      case "want":
        return show?.want(data.chunks);
      case "packets":
        return await show?.packets(data.id, data.stream, data.from, data.to);
      case "verify":
        if (file) {
          tell({ type: "verified", verification: await file.verify() });
        }
    }
  } catch (error) {
    tell({ type: "failed", during: data.type, message: reason(error) });
  }
};
