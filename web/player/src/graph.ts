/** Bits of each chunk over time. */
import type { ChunkInfo } from "@latentbit/reader";

import type { Health } from "./protocol.js";

const COLORS = { good: "#5ad1a4", affected: "#f2b84b", lost: "#ff7b72", key: "#e8ecf4", here: "#ffffff" };

export class Graph {
  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly chunks: ChunkInfo[],
    private readonly frames: number,
    private readonly health: Map<number, Health>,
  ) {}

  /** Draws it, with a line at `frame`. */
  draw(frame: number): void {
    const { canvas } = this;
    const scale = devicePixelRatio || 1;
    const [width, height] = [Math.round(canvas.clientWidth * scale), Math.round(canvas.clientHeight * scale)];
    if (canvas.width !== width || canvas.height !== height) {
      [canvas.width, canvas.height] = [width, height];
    }
    const context = canvas.getContext("2d");
    if (!context) {
      return;
    }
    context.clearRect(0, 0, width, height);
    // Bits of a frame, so that chunks of different lengths can be compared.
    const rate = (chunk: ChunkInfo): number => (chunk.bytes * 8) / Math.max(chunk.frames, 1);
    const most = this.chunks.reduce((most, chunk) => Math.max(most, rate(chunk)), 1);
    const at = (frame: number): number => (frame / Math.max(this.frames, 1)) * width;
    for (const chunk of this.chunks) {
      const health = chunk.lost ? "lost" : (this.health.get(chunk.number) ?? "good");
      const [left, right] = [at(chunk.firstFrame), at(chunk.firstFrame + chunk.frames)];
      const high = health === "lost" ? height : Math.max((rate(chunk) / most) * (height - 8 * scale), 1);
      context.globalAlpha = health === "lost" ? 0.45 : 0.9;
      context.fillStyle = COLORS[health];
      context.fillRect(left, height - high, Math.max(right - left - scale, 1), high);
      if (chunk.key) {
        context.globalAlpha = 1;
        context.fillStyle = COLORS.key;
        context.fillRect(left, 0, Math.max(2 * scale, 2), 5 * scale);
      }
    }
    context.globalAlpha = 1;
    context.fillStyle = COLORS.here;
    context.fillRect(at(frame + 0.5) - scale, 0, 2 * scale, height);
  }

  /** The frame at a place of the canvas, in pixels of the page. */
  frameAt(x: number): number {
    const frame = Math.floor((x / Math.max(this.canvas.clientWidth, 1)) * this.frames);
    return Math.min(Math.max(frame, 0), this.frames - 1);
  }

  /** In words, for those who cannot see it. */
  text(): string {
    const bits = this.chunks.filter(({ lost }) => !lost).map(({ bytes }) => bytes * 8);
    if (bits.length === 0) {
      return "No chunks.";
    }
    const mean = bits.reduce((sum, part) => sum + part, 0) / bits.length;
    const number = (value: number): string => Math.round(value).toLocaleString("en");
    const keys = this.chunks.filter(({ key }) => key).length;
    return (
      `Bits of a frame, chunk by chunk. A chunk has ${number(mean)} bits on average, ` +
      `${number(Math.min(...bits))} to ${number(Math.max(...bits))}; decoding can begin at ${keys} of ${this.chunks.length}.`
    );
  }
}
