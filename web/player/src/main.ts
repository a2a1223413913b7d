/** The page. */
import "./style.css";

import type { PacketStream, Packet, Problem, VideoStream } from "@latentbit/reader";

import { Cache } from "./cache.js";
import { Clock } from "./clock.js";
import { bytes, facts, problems, time, verdict } from "./facts.js";
import { Graph } from "./graph.js";
import type { Ask, Decoded, Engine, Health, Opened, Tell } from "./protocol.js";
import { Sound, playable } from "./sound.js";

/** Memory for decoded frames: 40 s of 256×256 at 25 frames/s. */
const CACHE_BYTES = 256 * 2 ** 20;
/** Chunks to decode ahead of what is shown. */
const AHEAD = 6;

function element<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) {
    throw new Error(`the page has no ${id}`);
  }
  return found as T;
}

const page = {
  message: element<HTMLParagraphElement>("message"),
  player: element<HTMLElement>("player"),
  picture: element<HTMLCanvasElement>("picture"),
  overlay: element<HTMLCanvasElement>("overlay"),
  mark: element<HTMLParagraphElement>("mark"),
  seek: element<HTMLInputElement>("seek"),
  graph: element<HTMLCanvasElement>("graph"),
  graphText: element<HTMLParagraphElement>("graph-text"),
  play: element<HTMLButtonElement>("play"),
  position: element<HTMLOutputElement>("position"),
  speed: element<HTMLSelectElement>("speed"),
  loop: element<HTMLInputElement>("loop"),
  sound: element<HTMLInputElement>("sound"),
  bits: element<HTMLInputElement>("bits"),
  bitsText: element<HTMLOutputElement>("bits-text"),
  depths: element<HTMLInputElement>("depths"),
  engine: element<HTMLParagraphElement>("engine"),
  facts: element<HTMLDListElement>("facts"),
  verify: element<HTMLButtonElement>("verify"),
  verified: element<HTMLDivElement>("verified"),
};

const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
const ask = (message: Ask): void => worker.postMessage(message);

function say(text: string, bad = false): void {
  page.message.textContent = text;
  page.message.classList.toggle("bad", bad);
}

/** A file that is shown. */
class Player {
  private readonly video: VideoStream;
  private readonly clock: Clock;
  private readonly cache = new Cache(CACHE_BYTES);
  private readonly health = new Map<number, Health>();
  private readonly graph: Graph;
  private engine: Engine | null = null;
  private sound: Sound | null = null;
  /** What is shown, and the time that playing has come to, in seconds. */
  private frame = 0;
  private time = 0;
  private playing = false;
  private last = 0;
  private bits: number;
  private wanted = "";
  /** Frames that the networks have made, and the milliseconds that they took. */
  private made = { frames: 0, milliseconds: 0 };

  constructor(private readonly opened: Opened) {
    const video = opened.header.streams[opened.stream];
    if (video?.kind !== "video") {
      throw new Error("the file has no stream of tokens to show");
    }
    this.video = video;
    this.bits = video.bits;
    this.clock = new Clock(video, opened.chunks);
    this.graph = new Graph(page.graph, opened.chunks, this.clock.frames, this.health);
    [page.picture.width, page.picture.height] = [video.width, video.height];
    const [num, den] = video.pixelAspect;
    const ratio = `${video.width * (num > 0 ? num / den : 1)} / ${video.height}`;
    page.picture.style.aspectRatio = page.overlay.style.aspectRatio = ratio;
    page.picture.style.imageRendering = video.width < 200 ? "pixelated" : "auto";
    page.seek.max = String(Math.max(this.clock.frames - 1, 0));
    page.bits.max = page.bits.value = String(video.bits);
    page.play.disabled = this.clock.frames < 2;
    this.showBits();
    this.showFacts();
    page.graphText.textContent = this.graph.text();
    void this.findSound();
    this.draw();
  }

  private async findSound(): Promise<void> {
    const { streams } = this.opened.header;
    const found = await playable(streams);
    page.sound.disabled = found === null;
    page.sound.checked = found !== null;
    const any = streams.some((stream) => stream.kind === "packets" && stream.purpose === "audio");
    page.sound.parentElement?.setAttribute(
      "title",
      found ? "Play the sound, at normal speed" : any ? "This browser cannot decode the sound" : "The file has no sound",
    );
    if (found) {
      const stream = streams[found.stream] as PacketStream;
      this.sound = new Sound(this.clock, stream, found.config, (from, to) => packets(found.stream, from, to));
    }
  }

  private showFacts(): void {
    page.facts.replaceChildren(
      ...facts(this.opened, this.clock).flatMap(([word, said]) => {
        const [term, text] = [document.createElement("dt"), document.createElement("dd")];
        term.textContent = word;
        text.textContent = said;
        return [term, text];
      }),
    );
  }

  setEngine(engine: Engine): void {
    this.engine = engine;
    this.showEngine();
    ask({ type: "bits", bits: this.bits });
    this.wanted = "";
    this.want();
  }

  private showEngine(): void {
    if (!this.engine) {
      return;
    }
    const { provider, threads, networks, why, bytes: size } = this.engine;
    const name = provider === "webgpu" ? "WebGPU" : `WebAssembly with ${threads} thread${threads > 1 ? "s" : ""}`;
    const speed = this.made.frames / (this.made.milliseconds / 1000);
    const [num, den] = this.video.frameRate;
    const real = num > 0 ? ` (${(speed / (num / den)).toFixed(1)}× real time)` : "";
    const told = this.made.frames > 0 ? `${speed.toFixed(1)} frames/s${real}` : "decoding…";
    page.engine.textContent = `${name}, networks ${networks} (${bytes(size)}): ${told}${why ? `; ${why}` : ""}`;
    page.engine.dataset["fps"] = speed.toFixed(2);
  }

  take(decoded: Decoded): void {
    if (decoded.bits !== this.bits) {
      return;
    }
    const frames = this.opened.chunks[decoded.number]?.frames ?? 0;
    if (decoded.health !== "lost") {
      this.made.frames += frames;
      this.made.milliseconds += decoded.milliseconds;
    }
    this.clock.learn(decoded.number, decoded.durations);
    this.health.set(decoded.number, decoded.health);
    this.cache.put(decoded, this.clock.chunkOf(this.frame), Math.max(this.opened.chunks.length, 1));
    this.showEngine();
    this.draw();
    this.want();
  }

  /** Asks for what is not here: the chunk that is shown, and those after it. */
  private want(): void {
    if (!this.engine) {
      return;
    }
    const count = this.opened.chunks.length;
    const current = this.clock.chunkOf(this.frame);
    const wanted: number[] = [];
    let room = this.cache.has(current) ? AHEAD : AHEAD + 1;
    for (let ahead = 0; ahead < count && room > 0; ahead += 1) {
      const number = current + ahead;
      if (number >= count && !page.loop.checked) {
        break;
      }
      const chunk = this.opened.chunks[number % count];
      const size = (chunk?.frames ?? 0) * this.video.width * this.video.height * 4;
      if (!this.cache.has(number % count) && (ahead < 2 || this.cache.fits(size))) {
        wanted.push(number % count);
        room -= 1;
      }
    }
    const text = wanted.join();
    if (text !== this.wanted) {
      this.wanted = text;
      ask({ type: "want", chunks: wanted });
    }
  }

  /** Shows what there is of the current frame. */
  private draw(): void {
    const number = this.clock.chunkOf(this.frame);
    const decoded = this.cache.get(number);
    const chunk = this.opened.chunks[number];
    page.seek.value = String(this.frame);
    page.seek.setAttribute("aria-valuetext", `frame ${this.frame + 1} of ${this.clock.frames}`);
    page.position.textContent = `${time(this.clock.timeOf(this.frame))} · frame ${this.frame}`;
    this.graph.draw(this.frame);
    if (!decoded || !chunk) {
      page.picture.dataset["frame"] = "";
      return;
    }
    const inside = this.frame - chunk.firstFrame;
    const size = this.video.width * this.video.height * 4;
    const pixels = decoded.pixels.subarray(inside * size, (inside + 1) * size);
    const image = new ImageData(pixels as Uint8ClampedArray<ArrayBuffer>, this.video.width, this.video.height);
    page.picture.getContext("2d")?.putImageData(image, 0, 0);
    page.picture.dataset["frame"] = String(this.frame);
    page.picture.dataset["bits"] = String(decoded.bits);
    page.mark.hidden = decoded.health === "good";
    page.mark.classList.toggle("lost", decoded.health === "lost");
    page.mark.textContent = decoded.health === "lost" ? "lost" : "after a loss";
    page.mark.title = decoded.why ?? "";
    this.drawDepths(decoded, inside, chunk.key);
  }

  /** How many bits the tokens of the frame have, over the picture. */
  private drawDepths({ grid, depths }: Decoded, inside: number, key: boolean): void {
    const [t, rows, columns] = grid;
    page.overlay.hidden = !page.depths.checked || t === 0;
    if (page.overlay.hidden) {
      return;
    }
    // The step in time that the frame belongs to (LBIT §5.6).
    const stride = this.video.strides[0];
    const latent = key ? Math.ceil(inside / stride) : Math.floor(inside / stride);
    const step = Math.min(Math.floor(latent / this.video.patch[0]), t - 1);
    [page.overlay.width, page.overlay.height] = [columns, rows];
    const image = new ImageData(columns, rows);
    for (let at = 0; at < rows * columns; at += 1) {
      const depth = Math.min(depths[step * rows * columns + at] ?? 0, this.bits) / this.video.bits;
      // From blue (few bits) to yellow (many).
      image.data.set([40 + 215 * depth, 60 + 150 * depth, 200 - 160 * depth, 150], at * 4);
    }
    page.overlay.getContext("2d")?.putImageData(image, 0, 0);
  }

  redraw(): void {
    this.draw();
  }

  /** Marks what a check found damaged, before it is decoded. */
  mark(found: Problem[]): void {
    const videos = this.opened.header.streams.filter(({ kind }) => kind === "video");
    for (const { chunk } of found) {
      // A problem does not say which stream it is in.
      if (chunk !== null && videos.length === 1 && this.opened.chunks[chunk]) {
        this.health.set(chunk, "lost");
      }
    }
    this.draw();
  }

  private showBits(): void {
    page.bitsText.textContent = `${this.bits} of ${this.video.bits}`;
  }

  setBits(bits: number): void {
    if (bits === this.bits) {
      return;
    }
    this.bits = bits;
    this.cache.clear();
    this.showBits();
    ask({ type: "bits", bits });
    this.wanted = "";
    this.want();
  }

  /** Goes to a frame. */
  seek(frame: number): void {
    this.frame = Math.min(Math.max(frame, 0), Math.max(this.clock.frames - 1, 0));
    this.time = this.clock.timeOf(this.frame);
    this.draw();
    this.want();
    if (this.playing) {
      this.startSound();
    }
  }

  step(by: number): void {
    this.pause();
    this.seek(this.frame + by);
  }

  /** Goes to the start of a chunk: `by` chunks from here, or of this one if it is not at its start. */
  stepChunk(by: number): void {
    const number = this.clock.chunkOf(this.frame);
    const start = this.opened.chunks[number]?.firstFrame ?? 0;
    const target = by < 0 && this.frame > start ? number : number + by;
    const chunk = this.opened.chunks[Math.min(Math.max(target, 0), this.opened.chunks.length - 1)];
    this.seek(chunk?.firstFrame ?? 0);
  }

  seekGraph(x: number): void {
    this.seek(this.graph.frameAt(x));
  }

  end(): void {
    this.seek(this.clock.frames - 1);
  }

  toggle(): void {
    if (this.playing) {
      this.pause();
    } else {
      this.play();
    }
  }

  private play(): void {
    if (this.clock.frames < 2) {
      return;
    }
    if (this.frame === this.clock.frames - 1) {
      this.seek(0);
    }
    this.playing = true;
    this.last = performance.now();
    page.play.textContent = "❚❚";
    page.play.setAttribute("aria-label", "Pause");
    this.startSound();
    requestAnimationFrame((now) => this.tick(now));
  }

  pause(): void {
    this.playing = false;
    page.play.textContent = "▶";
    page.play.setAttribute("aria-label", "Play");
    this.sound?.stop();
  }

  startSound(): void {
    this.sound?.stop();
    if (this.playing && page.sound.checked && page.speed.value === "1") {
      this.sound?.start(this.time);
    }
  }

  private tick(now: number): void {
    if (!this.playing || current !== this) {
      return;
    }
    const next = this.time + ((now - this.last) / 1000) * Number(page.speed.value);
    this.last = now;
    const ended = next >= this.clock.length;
    const frame = ended ? (page.loop.checked ? 0 : this.clock.frames - 1) : this.clock.frameAt(next);
    if (ended && !page.loop.checked) {
      this.seek(frame);
      this.pause();
      return;
    }
    if (this.cache.has(this.clock.chunkOf(frame))) {
      this.time = ended ? 0 : next;
      if (frame !== this.frame) {
        this.frame = frame;
        this.draw();
        this.want();
      }
      if (ended) {
        this.startSound();
      } else if (this.sound?.on) {
        this.sound.at(this.time);
      } else if (page.sound.checked && page.speed.value === "1") {
        this.startSound();
      }
    } else {
      // The networks are slower than the video: it waits for them, and the sound does too.
      this.sound?.stop();
      this.want();
    }
    requestAnimationFrame((then) => this.tick(then));
  }
}

let current: Player | null = null;
/** Whether a file was asked for. */
let used = false;

const answers = new Map<number, (packets: Packet[]) => void>();
let asked = 0;

function packets(stream: number, from: bigint, to: bigint): Promise<Packet[]> {
  asked += 1;
  const id = asked;
  return new Promise((resolve) => {
    answers.set(id, resolve);
    ask({ type: "packets", id, stream, from, to });
  });
}

function open(input: Blob | string, name: string): void {
  used = true;
  current?.pause();
  current = null;
  page.player.hidden = true;
  page.verified.replaceChildren();
  page.engine.textContent = "";
  page.picture.dataset["frame"] = "";
  document.title = `${name} – LatentBit player`;
  say(`Opening ${name}…`);
  ask({ type: "open", input, models: new URL("models/", document.baseURI).href });
}

function list(lines: string[], kind: string): HTMLUListElement {
  const list = document.createElement("ul");
  list.className = kind;
  list.append(
    ...lines.map((line) => {
      const item = document.createElement("li");
      item.textContent = line;
      return item;
    }),
  );
  return list;
}

worker.onmessage = ({ data }: MessageEvent<Tell>) => {
  switch (data.type) {
    case "opened": {
      page.player.hidden = false;
      current = new Player(data.opened);
      const { damage } = data.opened;
      say(damage.length > 0 ? `The file is damaged: ${problems(damage)[0]}` : "Loading the model…", damage.length > 0);
      break;
    }
    case "loading":
      page.engine.textContent = `Loading the model: ${bytes(data.loaded)} of ${bytes(data.total)}`;
      break;
    case "engine":
      current?.setEngine(data.engine);
      if (!page.message.classList.contains("bad")) {
        say("Ready. Space plays; arrows go by frame, Page Up and Page Down by chunk.");
      }
      break;
    case "decoded":
      current?.take(data.decoded);
      break;
    case "packets":
      answers.get(data.id)?.(data.packets);
      answers.delete(data.id);
      break;
    case "verified": {
      const { verification } = data;
      page.verify.disabled = false;
      const sentence = document.createElement("p");
      sentence.textContent = verdict(verification);
      sentence.className = verification.whole ? "good" : "bad";
      current?.mark(verification.problems);
      page.verified.replaceChildren(
        sentence,
        list(problems(verification.problems, verification.moreProblems), "small"),
      );
      break;
    }
    case "failed":
      page.verify.disabled = false;
      say(`${data.during === "open" ? "Cannot open the file" : "This failed"}: ${data.message}`, true);
  }
};

worker.onerror = (event) => say(`The worker failed: ${event.message}`, true);

function choose(file: File | undefined): void {
  if (file) {
    open(file, file.name);
  }
}

element<HTMLInputElement>("file").addEventListener("change", (event) => {
  const input = event.target as HTMLInputElement;
  choose(input.files?.[0]);
  input.value = "";
});
element<HTMLFormElement>("open").addEventListener("submit", (event) => {
  event.preventDefault();
  const url = element<HTMLInputElement>("url").value;
  open(url, url);
});
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) {
    document.body.classList.remove("dropping");
  }
});
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  choose(event.dataTransfer?.files[0]);
});

page.play.addEventListener("click", () => current?.toggle());
element("previous-frame").addEventListener("click", () => current?.step(-1));
element("next-frame").addEventListener("click", () => current?.step(1));
element("previous-chunk").addEventListener("click", () => current?.stepChunk(-1));
element("next-chunk").addEventListener("click", () => current?.stepChunk(1));
page.seek.addEventListener("input", () => current?.seek(Number(page.seek.value)));
page.graph.addEventListener("click", (event) => current?.seekGraph(event.offsetX));
page.bits.addEventListener("input", () => current?.setBits(Number(page.bits.value)));
page.depths.addEventListener("change", () => current?.redraw());
page.sound.addEventListener("change", () => current?.startSound());
page.speed.addEventListener("change", () => current?.startSound());
page.verify.addEventListener("click", () => {
  page.verify.disabled = true;
  page.verified.textContent = "Reading the whole file…";
  ask({ type: "verify" });
});
addEventListener("resize", () => current?.redraw());

addEventListener("keydown", (event) => {
  const target = event.target as HTMLElement;
  // Fields and buttons have their own use for these keys.
  if (!current || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|BUTTON)$/.test(target.tagName)) {
    return;
  }
  const act = {
    " ": () => current?.toggle(),
    ArrowLeft: () => current?.step(-1),
    ArrowRight: () => current?.step(1),
    PageUp: () => current?.stepChunk(-1),
    PageDown: () => current?.stepChunk(1),
    Home: () => current?.seek(0),
    End: () => current?.end(),
    l: () => page.loop.click(),
    d: () => page.depths.click(),
  }[event.key];
  if (act) {
    event.preventDefault();
    act();
  }
});

/** Keeps the page for use without a network, and gives it threads; not in the server of `vite`, which does that itself. */
async function install(): Promise<void> {
  if (!import.meta.env.PROD || !("serviceWorker" in navigator)) {
    return;
  }
  await navigator.serviceWorker.register(new URL("service-worker.js", document.baseURI));
  const installed = navigator.serviceWorker.controller !== null;
  await navigator.serviceWorker.ready;
  // The page came past the service worker, so that nothing of it is kept and the headers are not there; it is loaded anew,
  // but only once, lest it go round in circles, and not under the hands of somebody who has opened a file.
  if (!used && (!installed || !crossOriginIsolated) && sessionStorage.getItem("installed") === null) {
    sessionStorage.setItem("installed", "tried");
    location.reload();
    await new Promise(() => undefined);
  }
}

const given = new URLSearchParams(location.search).get("file");
install()
  .catch((error: unknown) => console.warn("no service worker:", error))
  .finally(() => given && open(new URL(given, document.baseURI).href, given));
