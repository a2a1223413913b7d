/** Decoded chunks, as many as fit into the memory that they may take. */
import type { Decoded } from "./protocol.js";

export class Cache {
  private readonly chunks = new Map<number, Decoded>();
  private held = 0;

  constructor(private readonly most: number) {}

  get(number: number): Decoded | undefined {
    return this.chunks.get(number);
  }

  has(number: number): boolean {
    return this.chunks.has(number);
  }

  /** Whether `bytes` more would fit. */
  fits(bytes: number): boolean {
    return this.held + bytes <= this.most;
  }

  /** Keeps a chunk, and lets go of those that will not be shown soon: behind `current`, or far after it. */
  put(decoded: Decoded, current: number, count: number): void {
    this.drop(decoded.number);
    this.chunks.set(decoded.number, decoded);
    this.held += decoded.pixels.length;
    while (this.held > this.most && this.chunks.size > 1) {
      const ahead = (number: number): number => (number - current + count) % count;
      this.drop([...this.chunks.keys()].reduce((a, b) => (ahead(a) > ahead(b) ? a : b)));
    }
  }

  clear(): void {
    this.chunks.clear();
    this.held = 0;
  }

  private drop(number: number): void {
    this.held -= this.chunks.get(number)?.pixels.length ?? 0;
    this.chunks.delete(number);
  }
}
