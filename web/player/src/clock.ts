/** When frames are shown. */
import type { ChunkInfo, VideoStream } from "@latentbit/reader";

/** The frames of a stream and their times, in seconds from the start of the first one. */
export class Clock {
  private readonly seconds: number;
  private readonly zero: bigint;
  /** Durations of the frames of chunks that differ, as far as they are known. */
  private readonly durations = new Map<number, Uint32Array>();

  constructor(
    private readonly video: VideoStream,
    readonly chunks: ChunkInfo[],
  ) {
    this.seconds = video.timeBase[0] / video.timeBase[1];
    this.zero = chunks[0]?.start ?? 0n;
  }

  /** Frames of the stream. */
  get frames(): number {
    const last = this.chunks.at(-1);
    return last ? last.firstFrame + last.frames : 0;
  }

  /** Length of the stream in seconds. */
  get length(): number {
    return this.timeOf(this.frames);
  }

  learn(number: number, durations: Uint32Array | null): void {
    if (durations) {
      this.durations.set(number, durations);
    }
  }

  /** Number of the chunk that holds a frame. */
  chunkOf(frame: number): number {
    return this.search((chunk) => chunk.firstFrame <= frame);
  }

  /** When a frame is shown; after the last one, when that ends. */
  timeOf(frame: number): number {
    const number = this.chunkOf(frame);
    const chunk = this.chunks[number];
    if (!chunk) {
      return 0;
    }
    let ticks = 0;
    const durations = this.durations.get(number);
    for (let at = 0; at < frame - chunk.firstFrame; at += 1) {
      ticks += durations?.[at] ?? this.video.frameDuration;
    }
    return (Number(chunk.start - this.zero) + ticks) * this.seconds;
  }

  /** The frame that is shown at a time. */
  frameAt(time: number): number {
    const ticks = time / this.seconds + 1e-6;
    const number = this.search((chunk) => Number(chunk.start - this.zero) <= ticks);
    const chunk = this.chunks[number];
    if (!chunk) {
      return 0;
    }
    const durations = this.durations.get(number);
    let left = ticks - Number(chunk.start - this.zero);
    let frame = 0;
    while (frame < chunk.frames - 1 && left >= (durations?.[frame] ?? this.video.frameDuration)) {
      left -= durations?.[frame] ?? this.video.frameDuration;
      frame += 1;
    }
    return chunk.firstFrame + frame;
  }

  /** Ticks of a stream of packets at a time. */
  ticksAt(time: number, [num, den]: [number, number]): bigint {
    const start = Number(this.zero) * this.seconds;
    return BigInt(Math.round(((start + time) * den) / num));
  }

  /** Seconds from the first frame to a tick of a stream of packets. */
  secondsAt(ticks: bigint, [num, den]: [number, number]): number {
    return (Number(ticks) * num) / den - Number(this.zero) * this.seconds;
  }

  /** Number of the last chunk for which `is` holds; 0 if it holds for none. */
  private search(is: (chunk: ChunkInfo) => boolean): number {
    let [low, high] = [0, this.chunks.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      const chunk = this.chunks[middle];
      if (chunk && is(chunk)) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    return Math.max(low, 0);
  }
}
