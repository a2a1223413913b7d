//! Decodes a `.lbit` stream to frames, for `decode`, `eval` and `archive --quality-sample`.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use latentbit_codec::maskgit::FillOptions;
use latentbit_codec::pipeline::{self, Conceal, DecodedFrame, Fidelity, Geometry, MemoryPlan, Options, Work};
use latentbit_codec::{Bundle, Frame};
use latentbit_container::{LatentFrames, Packet, PixelFrames, StreamId, TokenGrid, VideoStream};

use crate::args::{ConcealArgs, ConcealChoice, MemoryArgs};
use crate::model;
use crate::streaming::chunk_feed::{Feed, Wanted, feed};
use crate::streaming::depth_view::DepthView;
use crate::streaming::lbit_input::{LbitInput, WantedFrames};
use crate::streaming::loss_report::Losses;
use crate::streaming::memory::{self, Planned};
use crate::streaming::presentation::{PacketStreams, Presentation};
use crate::streaming::threads::{joined, start};

/// How a stream is turned into frames.
pub struct Decoding<'a> {
    pub bundle: &'a Arc<Bundle>,
    pub options: Options,
    /// Whether to go on after damage.
    pub keep_going: bool,
    /// Draws depths over frames.
    pub depth_view: Option<DepthView>,
    input: LbitInput,
    wanted: WantedFrames,
    streams: PacketStreams,
    frames: Option<u64>,
    decoded: Option<u64>,
    chunk_bytes: Option<u64>,
}

/// A frame or packet, in the order of presentation.
pub enum Shown {
    /// A packet, and the place of its stream among the wanted ones.
    Packet(usize, Packet),
    /// A frame: its index in the stream, its index among the wanted frames, and when it is shown, in ticks of the video,
    /// relative to the first frame shown.
    Frame {
        index: u64,
        offset: u64,
        time: i64,
        fidelity: Fidelity,
        frame: Frame,
    },
}

/// The outcome of decoding.
pub struct Decoded {
    /// Which frames are exact, and which are missing.
    pub losses: Losses,
    /// The outcome of reading.
    pub feed: Feed,
    /// When the last frame that was shown ends, in ticks of the video.
    pub end: i64,
    /// Whether the wanted frames start with the first frame of the stream.
    pub from_start: bool,
}

impl<'a> Decoding<'a> {
    /// Decodes the `wanted` frames of `input`, with the packets of `streams`. Seeks to them if the input allows it.
    ///
    /// # Errors
    /// A usage error if the index shows that there are no such frames; a file that cannot be read.
    pub fn new(
        bundle: &'a Arc<Bundle>,
        mut input: LbitInput,
        wanted: WantedFrames,
        streams: PacketStreams,
    ) -> anyhow::Result<Self> {
        let numbers: Vec<StreamId> = streams.iter().map(|(id, _)| *id).collect();
        let seeked = input.seek(wanted, 0, &numbers)?;
        let first = wanted
            .start
            .map_or(0, |start| start.frames_at(input.video.frame_rate));
        let range = wanted.range_from(first);
        Ok(Self {
            bundle,
            options: Options::default(),
            keep_going: false,
            depth_view: None,
            wanted: seeked.as_ref().map_or(wanted, |seeked| seeked.wanted),
            frames: match &seeked {
                Some(seeked) => Some(seeked.frames),
                None => input
                    .frames
                    .map(|all| all.min(range.end).saturating_sub(range.start)),
            },
            decoded: {
                let decoded = seeked
                    .as_ref()
                    .map_or(input.frames, |seeked| Some(seeked.decoded));
                // The chunk behind the wanted ones comes as well if these are lost.
                let behind = match input.counted && seeked.is_none() {
                    true => 0,
                    false => u64::from(input.video.chunk_latent_frames) * u64::from(input.video.strides[0]),
                };
                decoded.map(|frames| frames.saturating_add(behind))
            },
            chunk_bytes: seeked.map(|seeked| seeked.bytes),
            input,
            streams,
        })
    }

    /// The video as the header describes it.
    pub const fn video(&self) -> &VideoStream {
        &self.input.video
    }

    /// How many frames will be shown, if that is known.
    pub const fn frames(&self) -> Option<u64> {
        self.frames
    }

    /// Bytes of the chunks that hold the wanted frames, if the input was seeked in.
    pub const fn chunk_bytes(&self) -> Option<u64> {
        self.chunk_bytes
    }

    /// Plans memory within `--max-memory`, and reports the plan.
    ///
    /// # Errors
    /// A usage error if the limit is too low.
    pub fn plan_memory(&mut self, args: &MemoryArgs, quiet: bool) -> anyhow::Result<Planned> {
        let task = memory::Task {
            bundle: self.bundle,
            geometry: &Geometry::from(self.video()),
            work: Work::Decode,
            // Includes the frames of the group before the wanted ones.
            frames: self.decoded,
            where_lost: concealment_memory(&self.options.conceal, self.video()),
        };
        let planned = memory::plan(args, &task, quiet)?;
        self.options.decoder_plan = Some(planned.plan.clone());
        Ok(planned)
    }

    /// Plans memory within `limit` bytes, the model not counted.
    ///
    /// # Errors
    /// [`latentbit_codec::Error::Parameter`] if the limit is too low.
    pub fn limit_memory(&mut self, limit: Option<u64>) -> latentbit_codec::Result<()> {
        let frames = self.decoded.map(PixelFrames);
        let geometry = Geometry::from(self.video());
        let plan = MemoryPlan::new(self.bundle, &geometry, Work::Decode, frames, limit)?;
        self.options.decoder_plan = Some(plan);
        Ok(())
    }

    /// Reads on a thread of its own, and passes frames and packets to `show`, which may break off at a frame.
    ///
    /// # Errors
    /// Those of `show`, and faults that leave nothing to go on with.
    pub fn run(
        self,
        mut show: impl FnMut(Shown) -> anyhow::Result<ControlFlow<()>>,
    ) -> anyhow::Result<Decoded> {
        let (decoder, frames) = pipeline::decoder(self.bundle, &self.input.video, &self.options)?;
        let (side_data, mut presentation) = Presentation::new(&self.input.video, self.streams);
        let depth_view = self.depth_view;
        let side_data = side_data.with_depths(depth_view.clone());
        let (input, keep_going) = (self.input, self.keep_going);
        let wanted = Wanted {
            frames: self.wanted,
            // Without a plan nothing depends on it.
            most: self.decoded.filter(|_| self.options.decoder_plan.is_some()),
        };
        let (place, bytes, joining) = (input.place.clone(), input.bytes.clone(), input.joining);
        // Not a scoped thread: if `show` fails, nobody must wait for input that may never come.
        let reading = start("feed", move || {
            feed(input, wanted, decoder, keep_going, &side_data)
        })?;
        let mut losses = Losses::default();
        let mut range = None;
        for decoded in frames {
            let DecodedFrame {
                index: PixelFrames(index),
                fidelity,
                mut frame,
                ..
            } = match decoded {
                Ok(decoded) => decoded,
                // If reading failed, the decoder only knows that the input ended early.
                Err(error) => return joined(reading.join(), "reading").and(Err(error.into())),
            };
            if range.is_none() {
                range = presentation.range();
                // Frames before the point where a stream is joined are not lost.
                if let Some(range) = range.as_ref().filter(|_| !joining) {
                    losses.begin(range.start);
                }
            }
            let Some(range) = &range else { continue };
            if range.contains(&index) {
                let time = presentation.time(index);
                losses.take(index, fidelity);
                for (stream, packet) in presentation.packets(Some(time)) {
                    let _ = show(Shown::Packet(stream, packet))?;
                }
                if let Some(view) = &depth_view {
                    view.draw(PixelFrames(index), &mut frame);
                }
                let frame = Shown::Frame {
                    index,
                    offset: index - range.start,
                    time,
                    fidelity,
                    frame,
                };
                if show(frame)?.is_break() {
                    break;
                }
            }
            if index.saturating_add(1) >= range.end {
                break;
            }
        }
        let feed = joined(reading.join(), "reading")?;
        tracing::debug!("{place}: {} bytes were read", bytes.load(Ordering::Relaxed));
        let range = range
            .or_else(|| presentation.range())
            .unwrap_or(u64::MAX..u64::MAX);
        if losses.totals().written() > 0 {
            // If frames at the end were not wanted, sound ends with the last wanted one.
            let end = (range.end < u64::MAX).then(|| presentation.end());
            for (stream, packet) in presentation.packets(end) {
                let _ = show(Shown::Packet(stream, packet))?;
            }
        }
        losses.end(feed.end.min(range.end));
        Ok(Decoded {
            end: presentation.end(),
            losses,
            feed,
            from_start: range.start == 0,
        })
    }
}

/// The concealment that a command line asks for. Loads the predictor if it is needed.
pub fn concealment(args: &ConcealArgs, bundle: &Bundle) -> anyhow::Result<Conceal> {
    let path = args.predictor.as_deref();
    let predictor = match args.conceal {
        Some(ConcealChoice::Off) => return Ok(Conceal::Off),
        Some(ConcealChoice::Freeze) => return Ok(Conceal::Freeze),
        Some(ConcealChoice::Blend) => return Ok(Conceal::Blend),
        Some(ConcealChoice::Latent) => return Ok(Conceal::Latent),
        Some(ConcealChoice::Maskgit) => Some(model::load_predictor(path, bundle)?),
        None => model::find_predictor(path, bundle)?,
    };
    Ok(predictor.map_or(Conceal::Freeze, |predictor| Conceal::MaskGit {
        predictor,
        fill: FillOptions::default().steps(args.conceal_steps),
    }))
}

/// Bytes of memory that concealment needs once chunks are lost, besides the predictor's weights.
pub fn concealment_memory(conceal: &Conceal, video: &VideoStream) -> u64 {
    match conceal {
        Conceal::MaskGit { predictor, .. } => {
            let step = video.grid(LatentFrames(1));
            predictor.size(TokenGrid {
                t: u32::try_from(predictor.steps()).unwrap_or(u32::MAX),
                ..step
            })
        }
        _ => 0,
    }
}
