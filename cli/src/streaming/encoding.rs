//! The frames of a source to a `.lbit` file: what `encode` and `archive` have in common.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use latentbit_codec::Bundle;
use latentbit_codec::pipeline::{self, Options};
use latentbit_codec::rate::{ElasticChunk, KeptFile, KeptItem, RateControl, Shaped, chunk_seconds};
use latentbit_container::{
    Attachment, Chunk, Header, LatentFrames, Limits, PixelFrames, Rational, Stream, StreamId, Summary,
    VideoStream, WriterOptions,
};

use crate::exit::usage;
use crate::streaming::frame_feed::feed;
use crate::streaming::interleave::Interleaver;
use crate::streaming::lbit_output::LbitOutput;
use crate::streaming::notes::Notes;
use crate::streaming::rate::{self, MeanDepth, Rate};
use crate::streaming::threads::{both, joined, start_scoped};
use latentbit_media::{Damage, FrameSource, MediaKind, Packet, VideoInfo};

/// What the header says of a source with tokens of `bits` bits, or all that the bundle has.
///
/// # Errors
/// A wrong usage for more bits than that.
pub fn describe(bundle: &Bundle, info: &VideoInfo, bits: Option<u8>) -> anyhow::Result<VideoStream> {
    let still = info.kind == MediaKind::StillImage;
    let mut video = pipeline::video_stream_for(bundle, info.width, info.height)?;
    if let Some(bits) = bits {
        if bits > video.bundle_bits {
            return usage(format!(
                "--bits {bits}: tokens of the bundle {:?} have {}",
                bundle.id.name, video.bundle_bits
            ));
        }
        video.bits = bits;
    }
    shorten_chunks(&mut video)?;
    let video = match still {
        true => video.with_constant_rate(Rational { num: 0, den: 1 }),
        false => {
            let interleaver = Interleaver::new(info);
            video.with_times(info.frame_rate, interleaver.time_base, interleaver.frame_duration)
        }
    };
    Ok(video
        .with_pixel_aspect(info.pixel_aspect)
        .with_color(info.color)
        .with_samples(info.chroma, info.chroma_location, info.bit_depth)
        // Of a video the count is only known at its end.
        .with_frame_count(still.then_some(PixelFrames(1))))
}

/// Brings chunks of large frames to a length that readers take by default, with a word.
///
/// # Errors
/// A wrong usage for frames that are too large even then.
fn shorten_chunks(video: &mut VideoStream) -> anyhow::Result<()> {
    let Some(most) = Limits::default().max_chunk_tokens else {
        return Ok(());
    };
    let tokens = |latent: u16| video.grid(LatentFrames(latent.into())).len() as u64;
    let (width, height, full) = (video.width, video.height, video.chunk_latent_frames);
    let patch = u16::from(video.patch[0].max(1));
    let longest = (1..=full).rev().find(|&latent| {
        let whole = latent == full || latent.is_multiple_of(patch);
        whole && tokens(latent) <= most
    });
    match longest {
        Some(latent) if latent == full => {}
        Some(latent) => {
            tracing::warn!(
                "frames of {width}x{height}: chunks have {latent} latent frames instead of {full}, because readers take \
                 at most {most} tokens in one"
            );
            video.chunk_latent_frames = latent;
        }
        None => {
            return usage(format!(
                "frames of {width}x{height} have {} tokens in the shortest chunk, and readers take at most {most}; make \
                 them smaller (--scale)",
                tokens(patch)
            ));
        }
    }
    Ok(())
}

/// How a source is turned into a file.
#[derive(Clone, Debug)]
pub struct Encoding<'a> {
    pub bundle: &'a Arc<Bundle>,
    /// The source, in messages.
    pub place: &'a str,
    /// File to write, or - for stdout.
    pub output: &'a str,
    pub options: Options,
    pub writer_options: WriterOptions,
    pub rate: Rate,
    /// Whether frames at the end of the source may have been left out, so that its sound must end with the pictures.
    pub limited: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Encoded {
    pub summary: Summary,
    /// The name of the file.
    pub output: String,
    /// Steps of tokens in time.
    pub steps: u64,
    /// Planes that tokens have, on average.
    pub mean_depth: f64,
    /// How many chunks do not reach the PSNR that was asked for, and the lowest that one has, in dB.
    pub below: Option<(u64, f64)>,
    /// Bytes of what is beside the video: packets of sound and subtitles, attachments.
    pub bytes_beside: u64,
    /// What was wrong with the input.
    pub damage: Damage,
    /// The error that ended the input early, if the frames before it are worth keeping.
    pub fault: Option<anyhow::Error>,
}

impl Encoded {
    /// What to say of chunks of `output` that miss the PSNR of `rate`, if there are any.
    pub fn below_psnr(&self, rate: Rate, output: &str) -> Option<String> {
        let ((chunks, lowest), asked) = (self.below?, rate.psnr()?);
        let all = self.summary.totals.first().map_or(chunks, |totals| totals.chunks);
        Some(format!(
            "{output}: {chunks} of {all} chunks do not reach {asked} dB with all bits of the model; the lowest has {lowest:.1} dB"
        ))
    }
}

impl Encoding<'_> {
    /// Reads here, writes on a thread of its own. `progress` is told of frames that were written.
    pub fn run(
        &self,
        source: &mut dyn FrameSource,
        video: &VideoStream,
        progress: &(dyn Fn(u64) + Sync),
    ) -> anyhow::Result<Encoded> {
        let info = source.info();
        let packets = info.packet_streams.iter().cloned().map(Stream::Packets);
        let header = Header {
            streams: std::iter::once(Stream::Video(video.clone()))
                .chain(packets)
                .collect(),
        };
        let mut output = LbitOutput::create(self.output, &header, self.writer_options)?;
        let notes = Notes::of_source(self.place, info);
        let attached: u64 = notes.attachments.iter().map(Attachment::stored_len).sum();
        if !matches!(self.rate, Rate::Size(..)) {
            output.write(|writer| notes.write(writer))?;
        }
        let read = Read::new(Interleaver::new(info));
        let (input, chunks) = match self.rate.measure() {
            None => {
                let (input, chunks) = pipeline::encoder(self.bundle, video, &self.options)?;
                (input, Chunks::Plain(chunks))
            }
            Some(measure) => {
                let (input, chunks) = pipeline::elastic_encoder(self.bundle, video, &self.options, measure)?;
                (input, Chunks::Elastic(chunks))
            }
        };
        let mut control = match self.rate {
            Rate::Live(target, _) => Some(RateControl::new(target, self.writer_options.compression)),
            Rate::Plain | Rate::Size(..) => None,
        };
        std::thread::scope(|scope| {
            let writing = start_scoped(scope, "write", || -> anyhow::Result<(LbitOutput, Written)> {
                let mut written = Written::default();
                // Owned here, so that a failed write ends the pipeline, and with it the reading.
                let mut chunks = chunks;
                while let Some(mut made) = chunks.next()? {
                    let chunk = made.chunk_mut();
                    let frames = chunk.frame_count.0;
                    let packets = {
                        let mut interleaver = read.wait_until(|read| read.is_settled(frames));
                        chunk.times = interleaver.times(frames);
                        interleaver.packets()
                    };
                    let seconds = chunk_seconds(chunk, video);
                    match (made, &mut control) {
                        (Made::Plain(chunk), _) => {
                            write_packets(&mut output, &packets, &mut written)?;
                            written.count(&chunk);
                            output.write(|writer| writer.write_chunk(&chunk))?;
                        }
                        (Made::Elastic(elastic), Some(control)) => {
                            let shaped = control.shape(&elastic, seconds)?;
                            write_packets(&mut output, &packets, &mut written)?;
                            written.count(&shaped.chunk);
                            written.compare(&shaped, self.rate.psnr());
                            output.write(|writer| writer.write_stored(&shaped.stored))?;
                        }
                        (Made::Elastic(elastic), None) => {
                            written.keep_packets(packets);
                            written.kept.push(KeptItem::Elastic(Box::new(elastic)));
                        }
                    }
                    progress(frames);
                }
                Ok((output, written))
            })?;
            let (mut ended, mut damage) = (false, Damage::default());
            let reading = {
                let _closing = Closing(&read);
                feed(self.place, source, input, |source, there| {
                    let extras = source.take_extras();
                    damage.add(extras.damage);
                    read.change(|read| read.take(extras, there));
                    ended |= !there;
                })
            };
            damage.add(source.take_extras().damage);
            let written = joined(writing.join(), "writing");
            let (fault, (mut output, mut written)) = both(reading, written)?;
            let mut interleaver = read.wait_until(|_| true);
            // Where the pictures were cut off, the sound ends with them.
            let to_the_end = ended && !self.limited;
            let rest = interleaver.rest(!to_the_end);
            if interleaver.too_long() > 0 {
                tracing::warn!(
                    "{}: {} frames are shown for longer than a file with so fine a clock can say; they are cut short",
                    self.place,
                    interleaver.too_long()
                );
            }
            if let Rate::Size(size, _) = self.rate {
                written.keep_packets(rest);
                let mut kept = KeptFile::new(header);
                let metadata = notes.metadata.into_iter().map(KeptItem::Metadata);
                metadata.for_each(|item| kept.push(item));
                if !notes.chapters.is_empty() {
                    kept.push(KeptItem::Chapters(notes.chapters));
                }
                let attachments = notes.attachments.into_iter().map(Box::new);
                attachments.for_each(|attachment| kept.push(KeptItem::Attachment(attachment)));
                written.kept.drain(..).for_each(|item| kept.push(item));
                let shaped = rate::fit(&kept, size, self.writer_options)?;
                shaped.iter().for_each(|shaped| written.count(&shaped.chunk));
                output.write(|writer| kept.write(&shaped, writer))?;
            } else {
                write_packets(&mut output, &rest, &mut written)?;
            }
            let (summary, output) = output.finish()?;
            Ok(Encoded {
                summary,
                output,
                steps: written.steps,
                bytes_beside: written.bytes_beside + attached,
                damage,
                mean_depth: written.depth.value(),
                below: written.below,
                fault,
            })
        })
    }
}

/// The output of a pipeline.
enum Chunks {
    Plain(pipeline::Output<Chunk>),
    Elastic(pipeline::Output<ElasticChunk>),
}

/// A chunk as it comes out of a pipeline.
enum Made {
    Plain(Chunk),
    Elastic(ElasticChunk),
}

impl Made {
    const fn chunk_mut(&mut self) -> &mut Chunk {
        match self {
            Self::Plain(chunk) => chunk,
            Self::Elastic(elastic) => &mut elastic.chunk,
        }
    }
}

impl Chunks {
    fn next(&mut self) -> anyhow::Result<Option<Made>> {
        Ok(match self {
            Self::Plain(chunks) => chunks.pull()?.map(Made::Plain),
            Self::Elastic(chunks) => chunks.pull()?.map(Made::Elastic),
        })
    }
}

/// What was written so far.
#[derive(Default)]
struct Written {
    steps: u64,
    bytes_beside: u64,
    depth: MeanDepth,
    below: Option<(u64, f64)>,
    /// What waits to be shaped once all of it is known.
    kept: Vec<KeptItem>,
}

impl Written {
    fn keep_packets(&mut self, packets: Vec<(StreamId, Vec<Packet>)>) {
        self.bytes_beside += bytes_of(&packets);
        let items = packets.into_iter();
        self.kept
            .extend(items.map(|(stream, packets)| KeptItem::Packets(stream, packets)));
    }

    /// Notes a chunk that misses the PSNR that was asked for.
    fn compare(&mut self, shaped: &Shaped, asked: Option<f64>) {
        if let (Some(asked), Some(found)) = (asked, shaped.psnr)
            && found < asked
        {
            let (chunks, lowest) = self.below.unwrap_or((0, f64::INFINITY));
            self.below = Some((chunks + 1, lowest.min(found)));
        }
    }

    fn count(&mut self, chunk: &Chunk) {
        self.steps += u64::from(chunk.tokens.grid.t);
        self.depth.add(&chunk.tokens);
    }
}

/// What was read and is not written yet, shared by the threads that read and write.
struct Read {
    interleaver: Mutex<Interleaver>,
    changed: Condvar,
}

impl Read {
    fn new(interleaver: Interleaver) -> Self {
        Self {
            interleaver: Mutex::new(interleaver),
            changed: Condvar::new(),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Interleaver)) {
        // A panic of the other thread is reported when that is joined.
        change(&mut self.interleaver.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    fn wait_until(&self, ready: impl Fn(&Interleaver) -> bool) -> MutexGuard<'_, Interleaver> {
        let interleaver = self.interleaver.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .changed
            .wait_while(interleaver, |interleaver| !ready(interleaver));
        waited.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the waiting for frames when reading is over, however it ended.
struct Closing<'a>(&'a Read);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.change(Interleaver::close);
    }
}

/// Bytes that packets hold.
fn bytes_of(packets: &[(StreamId, Vec<Packet>)]) -> u64 {
    let all = packets.iter().flat_map(|(_, packets)| packets);
    all.map(|packet| packet.data.len() as u64).sum()
}

fn write_packets(
    output: &mut LbitOutput,
    packets: &[(StreamId, Vec<Packet>)],
    written: &mut Written,
) -> anyhow::Result<()> {
    written.bytes_beside += bytes_of(packets);
    for (stream, packets) in packets {
        output.write(|writer| writer.write_packets(*stream, packets))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use latentbit_codec::{Device, Dtype, Frame};
    use latentbit_container::{File, Limits, PacketKind, PacketStream};
    use latentbit_media::{Extras, MediaError};

    use super::*;
    use crate::streaming::testing::tiny_bundle;

    const MILLISECONDS: Rational = Rational { num: 1, den: 1000 };

    /// Frames at given times, with sound that is read before its time, as containers have it.
    struct Timed {
        info: VideoInfo,
        times: Vec<i64>,
        next: usize,
        /// How long each frame takes to come.
        delay: Duration,
    }

    impl FrameSource for Timed {
        fn info(&self) -> &VideoInfo {
            &self.info
        }

        fn next_frame(&mut self) -> Result<Option<Frame>, MediaError> {
            std::thread::sleep(self.delay);
            if self.next == self.times.len() {
                return Ok(None);
            }
            self.next += 1;
            let value = (self.next % 7) as f32 / 7.0;
            Ok(Some(Frame {
                width: 16,
                height: 16,
                data: vec![value; 16 * 16 * 3],
            }))
        }

        fn take_extras(&mut self) -> Extras {
            let mut extras = Extras::default();
            extras.time = self
                .next
                .checked_sub(1)
                .and_then(|at| self.times.get(at))
                .copied();
            let early = self.times.get(self.next + 3).copied().unwrap_or(9000);
            let packet = Packet {
                pts: early,
                dts: None,
                duration: 20,
                key: true,
                data: early.to_le_bytes().to_vec(),
            };
            extras.packets.push((0, packet));
            extras
        }
    }

    #[test]
    fn chunks_of_large_frames_are_short_or_refused() {
        let bundle = Bundle::open(tiny_bundle(), &Device::Cpu, Dtype::F32).unwrap();
        let shortened = |width: u32, height: u32| {
            let video = pipeline::video_stream_for(&bundle, width, height).unwrap();
            let mut video = video.with_chunk_latent_frames(4);
            shorten_chunks(&mut video).map(|()| (video.chunk_latent_frames, video))
        };
        let (latent, small) = shortened(640, 480).unwrap();
        assert_eq!(latent, 4, "nothing changes below the limit");
        let most = Limits::default().max_chunk_tokens.unwrap();
        // A row of pictures with more and more tokens: all that is made can be read, and nothing is cut short without need.
        let (mut seen, mut refused) = (std::collections::BTreeSet::new(), false);
        for side in (512..=60_000).step_by(512) {
            match shortened(side, side) {
                Ok((latent, video)) => {
                    let tokens = |latent: u16| video.grid(LatentFrames(latent.into())).len() as u64;
                    assert!(tokens(latent) <= most, "{side}");
                    assert!(
                        latent == 4 || tokens(latent + u16::from(video.patch[0])) > most,
                        "{side}"
                    );
                    seen.insert(latent);
                }
                Err(error) => {
                    assert!(error.to_string().contains("--scale"), "{error}");
                    refused = true;
                }
            }
        }
        assert!(refused && seen.len() > 1, "{seen:?}, {:?}", small.patch);
    }

    /// The file that becomes of frames at these times.
    fn encoded(bundle: &Arc<Bundle>, times: &[i64], delay: Duration) -> Vec<u8> {
        let mut info = VideoInfo::new(16, 16, Rational { num: 25, den: 1 });
        info.time_base = Some(MILLISECONDS);
        info.packet_streams = vec![PacketStream::new(PacketKind::Audio, "A_OPUS", MILLISECONDS)];
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("a.lbit");
        let encoding = Encoding {
            bundle,
            place: "frames",
            output: output.to_str().unwrap(),
            options: Options::default(),
            writer_options: WriterOptions::default(),
            rate: Rate::Plain,
            limited: false,
        };
        let video = describe(bundle, &info, None).unwrap();
        let mut source = Timed {
            info,
            times: times.to_vec(),
            next: 0,
            delay,
        };
        encoding.run(&mut source, &video, &|_| {}).unwrap();
        std::fs::read(output).unwrap()
    }

    /// A source that gives a frame at a time, and one that is read far ahead, make the same file.
    #[test]
    fn the_speed_of_a_source_changes_nothing() {
        let bundle = Arc::new(Bundle::open(tiny_bundle(), &Device::Cpu, Dtype::F32).unwrap());
        let even = |n: i64| n * 40;
        // A pause within a chunk, and one after the 13 frames of the first.
        let paused = |n: i64, from: i64| n * 40 + if n >= from { 1000 } else { 0 };
        let uneven = |n: i64| n * 40 + (n * 37) % 30;
        let cases: [(&str, Vec<i64>); 4] = [
            ("even", (0..50).map(even).collect()),
            ("within", (0..50).map(|n| paused(n, 20)).collect()),
            ("between", (0..50).map(|n| paused(n, 13)).collect()),
            ("uneven", (0..50).map(uneven).collect()),
        ];
        for (name, times) in cases {
            let fast = encoded(&bundle, &times, Duration::ZERO);
            let slow = encoded(&bundle, &times, Duration::from_millis(8));
            assert!(fast == slow, "{name}");
            // Every frame is shown when the source has it.
            let mut file = File::open(std::io::Cursor::new(fast), Limits::default()).unwrap();
            let (stream, video) = file.first_video().unwrap();
            let base = video.time_base;
            for (frame, &time) in (0..).zip(&times) {
                let ticks = file.time_of(stream, PixelFrames(frame)).unwrap();
                let expected = latentbit_container::rescale(time, MILLISECONDS, base);
                assert_eq!(ticks, expected, "{name}: frame {frame}");
            }
            // A chunk lasts until the next one begins.
            for chunk in file.chunks(stream).to_vec().windows(2) {
                let end = file
                    .read(&chunk[0], 1)
                    .unwrap()
                    .times
                    .of(chunk[0].frame_count.0, {
                        file.header().video(stream).unwrap().frame_duration
                    });
                assert_eq!(end, chunk[1].start, "{name}: chunk {}", chunk[0].sequence);
            }
        }
    }
}
