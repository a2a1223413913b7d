/** What a file is, in words. */
import type { Problem, Stream, Verification } from "@latentbit/reader";

import type { Clock } from "./clock.js";
import type { Opened } from "./protocol.js";

const RATES = { "A_OPUS": "Opus", "A_FLAC": "FLAC", "A_VORBIS": "Vorbis", "A_MPEG/L3": "MP3" } as Record<string, string>;

export function bytes(value: number): string {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let at = 0;
  for (; value >= 1000 && at < units.length - 1; at += 1) {
    value /= 1000;
  }
  return `${at === 0 ? value : value.toPrecision(3)} ${units[at]}`;
}

export function time(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${(seconds % 60).toFixed(2).padStart(5, "0")}`;
}

/** Names of what is beside the picture. */
function beside(stream: Stream): string {
  if (stream.kind === "packets") {
    const name = RATES[stream.codec] ?? stream.codec;
    const more = [stream.language, stream.title].filter((part) => part !== "").join(", ");
    return `${stream.purpose} ${name}${more && ` (${more})`}`;
  }
  return stream.kind === "video" ? `video ${stream.width}×${stream.height}` : `unknown (${stream.number})`;
}

/** Pairs of a word and what is to be said about it. */
export function facts(opened: Opened, clock: Clock): [string, string][] {
  const video = opened.header.streams[opened.stream];
  if (video?.kind !== "video") {
    return [];
  }
  const { chunks } = opened;
  const stored = chunks.reduce((sum, chunk) => sum + chunk.bytes, 0);
  const pixels = Math.max(clock.frames * video.width * video.height, 1);
  const lost = chunks.filter((chunk) => chunk.lost).length;
  const [num, den] = video.frameRate;
  const [t, h, w] = video.strides.map((stride, axis) => stride * (video.patch[axis] ?? 1));
  const others = opened.header.streams.filter((_, at) => at !== opened.stream);
  const list: [string, string][] = [
    ["Size", bytes(opened.bytes)],
    ["Picture", `${video.width}×${video.height}${num > 0 ? `, ${+(num / den).toFixed(3)} frames/s` : ""}`],
    ["Length", `${clock.frames} frames, ${time(clock.length)}`],
    ["Tokens", `${video.bits} of ${video.bundleBits} bits for ${t}×${h}×${w} (frames × rows × columns)`],
    ["Depths", video.depthStep ? `elastic, in steps of ${video.depthStep}` : "plain: all tokens have all bits"],
    ["Bits/pixel", ((stored * 8) / pixels).toFixed(4)],
    ["Rate", clock.length > 0 ? `${((stored * 8) / clock.length / 1000).toFixed(1)} kbit/s of tokens` : "–"],
    ["Chunks", `${chunks.length}, ${chunks.filter(({ key }) => key).length} of them key${lost ? `, ${lost} lost` : ""}`],
    ["Model", `${video.bundle} ${video.sha256.slice(0, 12)}…`],
    ["Format", `LBIT ${opened.header.version}, ${opened.indexed ? "with index" : "no index: read from the front"}`],
  ];
  if (others.length > 0) {
    list.push(["Beside it", others.map(beside).join("; ")]);
  }
  const keys = new Map(opened.metadata.flatMap(({ entries }) => entries));
  keys.forEach((value, key) => list.push([key, value]));
  if (opened.chapters.length > 0) {
    const at = (start: bigint): string => time(Number(start) / 1e9);
    list.push(["Chapters", opened.chapters.map(({ start, title }) => `${at(start)} ${title}`).join("; ")]);
  }
  return list;
}

/** What was found wrong, in words. */
export function problems(list: Problem[], more = 0): string[] {
  const lines = list.slice(0, 20).map(({ message }) => message);
  const rest = list.length - lines.length + more;
  return rest > 0 ? [...lines, `and ${rest} more`] : lines;
}

/** What a check found, in a sentence. */
export function verdict(found: Verification): string {
  if (found.whole) {
    return `Whole: ${found.chunks} chunks, every checksum and digest agrees.`;
  }
  const lost = found.lostChunks > 0 ? `; ${found.lostChunks} chunks (${found.lostFrames} frames) are lost` : "";
  const ends = found.status === "truncated" ? "; it is cut off" : "";
  return `Damaged: ${found.chunks} chunks are intact${lost}${ends}.`;
}
