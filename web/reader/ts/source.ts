/** Where bytes come from. */

/** Anything whose bytes can be read in any order. */
export interface ByteSource {
  /** Length in bytes. */
  readonly size: number;
  /** The bytes from `offset` up to `offset + length`, all of them. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** What a file can be opened from: bytes, a Blob or File, an address, or a source of the caller's own. */
export type Input = ArrayBuffer | ArrayBufferView | Blob | URL | string | ByteSource;

/** A source for `input`. Asks a server for the length. */
export async function sourceOf(input: Input, signal?: AbortSignal): Promise<ByteSource> {
  if (typeof input === "string" || input instanceof URL) {
    return HttpSource.open(String(input), signal);
  }
  if (input instanceof Blob) {
    return {
      size: input.size,
      read: async (offset, length) => new Uint8Array(await input.slice(offset, offset + length).arrayBuffer()),
    };
  }
  if (input instanceof ArrayBuffer || ArrayBuffer.isView(input)) {
    const bytes =
      input instanceof ArrayBuffer
        ? new Uint8Array(input)
        : new Uint8Array(input.buffer, input.byteOffset, input.byteLength);
    return { size: bytes.length, read: async (offset, length) => bytes.subarray(offset, offset + length) };
  }
  return input;
}

/** A file on a server: parts of it by range requests, or all of it where the server knows none. */
class HttpSource implements ByteSource {
  private constructor(
    private readonly url: string,
    readonly size: number,
    /** What the server calls this version of the file, so that parts of two versions are not mixed. */
    private readonly version: string | null,
    private readonly signal: AbortSignal | undefined,
  ) {}

  static async open(url: string, signal?: AbortSignal): Promise<ByteSource> {
    const first = await fetch(url, { headers: { range: "bytes=0-65535" }, signal });
    const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(first.headers.get("content-range") ?? "");
    if (first.status === 206 && range && range[1] === "0") {
      const start = new Uint8Array(await first.arrayBuffer());
      const version = first.headers.get("etag") ?? first.headers.get("last-modified");
      const source = new HttpSource(url, Number(range[3]), version, signal);
      return new StartInHand(source, start);
    }
    // An empty file has no range; a server without ranges sends everything.
    if (first.status === 416 && /^bytes \*\/0$/.test(first.headers.get("content-range") ?? "")) {
      return sourceOf(new Uint8Array());
    }
    if (!first.ok || first.status === 206) {
      throw new Error(`cannot read ${url}: the server says ${first.status} ${first.statusText}`);
    }
    return sourceOf(await first.arrayBuffer());
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const headers = { range: `bytes=${offset}-${offset + length - 1}` };
    const response = await fetch(this.url, { headers, signal: this.signal });
    if (response.status !== 206) {
      throw new Error(`cannot read ${this.url} at byte ${offset}: the server says ${response.status}`);
    }
    const version = response.headers.get("etag") ?? response.headers.get("last-modified");
    if (version !== this.version) {
      throw new Error(`cannot read ${this.url} at byte ${offset}: the file has changed since it was opened`);
    }
    return new Uint8Array(await response.arrayBuffer());
  }
}

/** A source whose first bytes came with the answer that told its length. */
class StartInHand implements ByteSource {
  readonly size: number;

  constructor(
    private readonly source: ByteSource,
    private readonly start: Uint8Array,
  ) {
    this.size = source.size;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    if (offset + length <= this.start.length) {
      return this.start.subarray(offset, offset + length);
    }
    return this.source.read(offset, length);
  }
}
