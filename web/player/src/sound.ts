/** Sound that lies beside the picture, where the browser can decode it. */
import type { Packet, PacketStream, Stream } from "@latentbit/reader";

import type { Clock } from "./clock.js";

/** Seconds of sound that are decoded ahead. */
const AHEAD = 2;

/** What WebCodecs calls a codec of Matroska; null if it knows none. */
function configOf(stream: PacketStream): AudioDecoderConfig | null {
  const codec = (
    {
      A_OPUS: "opus",
      A_VORBIS: "vorbis",
      A_FLAC: "flac",
      "A_MPEG/L3": "mp3",
      A_AAC: "mp4a.40.2",
    } as Record<string, string>
  )[stream.codec];
  if (codec === undefined || stream.sampleRate === 0 || stream.channels === 0) {
    return null;
  }
  return {
    codec,
    sampleRate: stream.sampleRate,
    numberOfChannels: stream.channels,
    ...(stream.private.length > 0 && { description: stream.private }),
  };
}

/** The first stream of sound that this browser decodes. */
export async function playable(streams: Stream[]): Promise<{ stream: number; config: AudioDecoderConfig } | null> {
  if (typeof AudioDecoder === "undefined") {
    return null;
  }
  for (const [at, stream] of streams.entries()) {
    const config = stream.kind === "packets" && stream.purpose === "audio" ? configOf(stream) : null;
    const supported = config && (await AudioDecoder.isConfigSupported(config).catch(() => null));
    if (config && supported?.supported) {
      return { stream: at, config };
    }
  }
  return null;
}

/** Plays packets in time with the picture. */
export class Sound {
  private context: AudioContext | null = null;
  private decoder: AudioDecoder | null = null;
  private playing: AudioBufferSourceNode[] = [];
  /** What was asked for last, in seconds of the video. */
  private asked = 0;
  /** Time of the context when the video is at 0. */
  private zero = 0;
  private run = 0;

  constructor(
    private readonly clock: Clock,
    private readonly stream: PacketStream,
    private readonly config: AudioDecoderConfig,
    private readonly packets: (from: bigint, to: bigint) => Promise<Packet[]>,
  ) {}

  get on(): boolean {
    return this.decoder !== null;
  }

  /** Begins at `time` seconds of the video. */
  start(time: number): void {
    this.stop();
    this.context ??= new AudioContext({ sampleRate: this.config.sampleRate });
    void this.context.resume();
    const run = this.run;
    this.decoder = new AudioDecoder({
      output: (data) => {
        if (run === this.run) {
          this.schedule(data);
        }
        data.close();
      },
      error: () => this.stop(),
    });
    this.decoder.configure(this.config);
    this.zero = this.context.currentTime + 0.05 - time;
    this.asked = time;
    this.feed(time);
  }

  /** Says where the picture is; sound that has gone elsewhere begins again. */
  at(time: number): void {
    if (!this.context || !this.decoder) {
      return;
    }
    if (Math.abs(this.context.currentTime - this.zero - time) > 0.15) {
      this.start(time);
    } else {
      this.feed(time);
    }
  }

  stop(): void {
    this.run += 1;
    this.playing.forEach((node) => node.stop());
    this.playing = [];
    if (this.decoder && this.decoder.state !== "closed") {
      this.decoder.close();
    }
    this.decoder = null;
  }

  private feed(time: number): void {
    const to = time + AHEAD;
    if (to < this.asked + AHEAD / 2) {
      return;
    }
    const ticks = (seconds: number): bigint => this.clock.ticksAt(seconds, this.stream.timeBase);
    const [run, from] = [this.run, this.asked];
    this.asked = to;
    void this.packets(ticks(from), ticks(to)).then((packets) => {
      for (const packet of packets) {
        const seconds = this.clock.secondsAt(packet.pts, this.stream.timeBase);
        // A packet that lies on the border comes with both parts.
        if (run === this.run && this.decoder && (seconds >= from || from === time)) {
          this.decoder.decode(
            new EncodedAudioChunk({ type: "key", timestamp: Math.round(seconds * 1e6), data: packet.data }),
          );
        }
      }
    });
  }

  private schedule(data: AudioData): void {
    const { context } = this;
    if (!context) {
      return;
    }
    const { numberOfChannels, numberOfFrames, sampleRate } = data;
    const buffer = context.createBuffer(numberOfChannels, numberOfFrames, sampleRate);
    for (let channel = 0; channel < numberOfChannels; channel += 1) {
      data.copyTo(buffer.getChannelData(channel), { planeIndex: channel, format: "f32-planar" });
    }
    const at = this.zero + data.timestamp / 1e6;
    const late = context.currentTime - at;
    if (late >= buffer.duration) {
      return;
    }
    const node = context.createBufferSource();
    node.buffer = buffer;
    node.connect(context.destination);
    node.start(Math.max(at, context.currentTime), Math.max(late, 0));
    node.onended = () => {
      this.playing = this.playing.filter((other) => other !== node);
    };
    this.playing.push(node);
  }
}
