// What the reader finds in a file, in the words of testdata/conformance. It runs in Node and in browsers.

async function hex(...parts) {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
}

const toHex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** The bit-planes of a chunk one after the other, as LBIT §5.3 packs them. */
function planes({ tokens, bits }) {
  const length = Math.ceil(tokens.length / 8);
  const packed = new Uint8Array(length * bits);
  tokens.forEach((token, at) => {
    for (let plane = 0; plane < bits; plane += 1) {
      if ((token >> BigInt(plane)) & 1n) {
        packed[plane * length + (at >> 3)] |= 1 << (at & 7);
      }
    }
  });
  return packed;
}

async function chunk(found) {
  return {
    offset: found.offset,
    stream: found.stream,
    number: found.number,
    first_frame: found.firstFrame,
    frames: found.frames,
    latent_frames: found.latentFrames,
    key: found.key,
    segment: found.segment,
    start: Number(found.start),
    durations: found.durations && Array.from(found.durations),
    bits: found.bits,
    grid: found.grid,
    sha256: await hex(planes(found)),
    depths: found.depths && found.depths.reduce((sum, depth) => sum + depth, 0),
    depths_sha256: found.depths && (await hex(found.depths)),
  };
}

async function packets({ stream, number, packets }) {
  const length = ({ data }) => new Uint8Array(new BigUint64Array([BigInt(data.length)]).buffer);
  const ticks = (value) => (value === null ? null : Number(value));
  return {
    stream,
    number,
    packets: packets.map(({ pts, dts, duration, key }) => [ticks(pts), ticks(dts), ticks(duration), key]),
    sha256: await hex(...packets.flatMap((packet) => [length(packet), packet.data])),
  };
}

function stream(found) {
  if (found.kind === "unknown") {
    return found;
  }
  if (found.kind === "packets") {
    return {
      kind: found.kind,
      purpose: found.purpose,
      time_base: found.timeBase,
      default: found.default,
      forced: found.forced,
      channels: found.channels,
      sample_rate: found.sampleRate,
      bits_per_sample: found.bitsPerSample,
      codec_delay: Number(found.codecDelay),
      seek_preroll: Number(found.seekPreroll),
      codec: found.codec,
      language: found.language,
      title: found.title,
      private: toHex(found.private),
    };
  }
  return {
    kind: found.kind,
    depth_step: found.depthStep ?? 0,
    width: found.width,
    height: found.height,
    frame_rate: found.frameRate,
    time_base: found.timeBase,
    frame_duration: found.frameDuration,
    pixel_aspect: found.pixelAspect,
    frames: found.frames,
    color: found.color,
    range: ["unspecified", "limited", "full"].indexOf(found.range),
    chroma: ["4:2:0", "4:2:2", "4:4:4", "gray", "rgb"].indexOf(found.chroma),
    chroma_location: found.chromaLocation,
    bit_depth: found.bitDepth,
    bits: found.bits,
    bundle_bits: found.bundleBits,
    patch: found.patch,
    strides: found.strides,
    chunk_latent_frames: found.chunkLatentFrames,
    bundle: found.bundle,
    sha256: found.sha256,
  };
}

/** Everything that a lenient reading of `input` finds. */
export async function recovered(reader, input) {
  const found = {
    version: null,
    streams: [],
    chunks: [],
    packets: [],
    metadata: [],
    chapters: [],
    totals: null,
    lost: [],
    missing: [],
    error: null,
  };
  try {
    for await (const event of reader.events(input)) {
      switch (event.type) {
        case "header":
          found.version = event.header.version;
          found.streams = event.header.streams.map(stream);
          break;
        case "chunk":
          found.chunks.push(await chunk(event.chunk));
          break;
        case "packets":
          found.packets.push(await packets(event.packets));
          break;
        case "metadata":
          found.metadata.push(event.metadata);
          break;
        case "chapters":
          found.chapters = event.chapters.map(({ start, end, title }) => ({
            start: Number(start),
            end: Number(end),
            title,
          }));
          break;
        case "attachment":
          // Files that are older than attachments say nothing of them.
          found.attachments ??= [];
          found.attachments.push({
            kind: event.kind,
            name: event.name,
            media_type: event.mediaType,
            description: event.description,
            sha256: await hex(event.data),
          });
          break;
        case "lost":
          found.lost.push({ offset: event.offset, bytes: event.bytes, kind: event.reason.kind });
          break;
        case "missing":
          found.missing.push({ stream: event.stream, chunks: event.chunks, frames: event.frames });
          break;
        case "end":
          found.totals = event.totals;
          break;
      }
    }
  } catch (error) {
    if (!(error instanceof reader.LbitError)) {
      throw error;
    }
    found.error = { kind: error.kind };
  }
  return found;
}

/** The class of the error with which a strict reading of `bytes` stops; they come in parts of `size`. */
export async function strict(reader, bytes, size) {
  async function* parts() {
    for (let at = 0; at < bytes.length; at += size) {
      yield bytes.subarray(at, at + size);
    }
  }
  try {
    for await (const event of reader.readStream(parts())) {
      void event;
    }
    return null;
  } catch (error) {
    if (!(error instanceof reader.LbitError)) {
      throw error;
    }
    return { kind: error.kind };
  }
}

/** Objects with their keys in order, to be compared as text. */
export function text(value) {
  const sorted = (_, part) =>
    part && typeof part === "object" && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part;
  return JSON.stringify(value, sorted, 1);
}
