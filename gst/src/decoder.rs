//! `lbitdec`: chunks to frames.
//!
//! Chunks are pushed into the pipeline of the codec by the thread that brings them, and frames are pulled out of it by a
//! task of the source pad.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_video::VideoFrameExt;
use latentbit_codec::bundle::Halves;
use latentbit_codec::maskgit::FillOptions;
use latentbit_codec::pipeline::{
    self, ChunkInput, Coded, Conceal, DecodedFrame, Fidelity, Geometry, MemoryPlan, Options, Output, Work,
};
use latentbit_codec::{Bundle, Error as CodecError, Predictor};
use latentbit_container::{ErrorKind, Event, Limits, Next, Parser, Rational, ReadMode, Times, VideoStream};

use crate::ground::{self, CHUNKS, Filter, Task, clock_time, lock, nanoseconds, reading_error, stream_error};

glib::wrapper! {
    /// The element `lbitdec`.
    pub struct Decoder(ObjectSubclass<Imp>) @extends gst::Element, gst::Object;
}

/// What the user asks for.
#[derive(Debug, Default)]
struct Settings {
    model: Option<String>,
    bits: u32,
    threads: u32,
}

/// What is behind the element.
#[derive(glib::Properties)]
#[properties(wrapper_type = Decoder)]
pub struct Imp {
    sink: gst::Pad,
    source: gst::Pad,
    #[property(name = "model", nick = "Model", blurb = "File of the model; the built-in one if not set", get, set, type = Option<String>, member = model)]
    #[property(name = "bits", nick = "Bits", blurb = "Bits to look at of each token, the most important ones; 0 for all", get, set, type = u32, maximum = 64, member = bits)]
    #[property(name = "threads", nick = "Threads", blurb = "Threads that compute; 0 for one on each core", get, set, type = u32, member = threads)]
    settings: Mutex<Settings>,
    /// The thread that brings chunks has it.
    stream: Mutex<Stream>,
    /// What of the stream is played.
    segment: Mutex<gst::FormattedSegment<gst::ClockTime>>,
    latency: Mutex<Option<gst::ClockTime>>,
    /// Set while the pads are being shut: what still comes must not start a pipeline that nobody would end.
    shut: AtomicBool,
}

/// What is known of the stream that comes.
#[derive(Default)]
struct Stream {
    format: Option<Format>,
    bundle: Option<Arc<Bundle>>,
    running: Option<Running>,
}

struct Format {
    /// The record of the header.
    header: Vec<u8>,
    video: VideoStream,
    picture: gst_video::VideoInfo,
}

/// A pipeline at work.
struct Running {
    parser: Parser,
    /// Whether a chunk came.
    begun: bool,
    input: ChunkInput,
    shown: Shown,
    task: Task,
}

/// When frames are shown: noted where chunks come in, and asked where frames come out.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<VecDeque<Noted>>>);

/// When the frames of a chunk are shown.
struct Noted {
    frames: Range<u64>,
    times: Times,
}

impl Shown {
    fn note(&self, frames: Range<u64>, times: Times) {
        lock(&self.0).push_back(Noted { frames, times });
    }

    /// When a frame begins and ends, in ticks; earlier ones are not asked for again.
    fn of(&self, index: u64, frame_duration: u32) -> Option<(i64, i64)> {
        let mut noted = lock(&self.0);
        while noted.front().is_some_and(|first| first.frames.end <= index) {
            noted.pop_front();
        }
        let Noted { frames, times } = noted.front()?;
        let at = index.checked_sub(frames.start)?;
        Some((
            times.of(at, frame_duration),
            times.of(at.saturating_add(1), frame_duration),
        ))
    }

    /// When what follows begins, in ticks.
    fn next(&self, frame_duration: u32) -> i64 {
        let noted = lock(&self.0);
        noted.back().map_or(0, |Noted { frames, times }| {
            times.of(frames.end.saturating_sub(frames.start), frame_duration)
        })
    }
}

#[glib::object_subclass]
impl ObjectSubclass for Imp {
    const NAME: &'static str = "LatentBitDecoder";
    type Type = Decoder;
    type ParentType = gst::Element;

    fn with_class(class: &Self::Class) -> Self {
        let [sink, source] = ground::filter_pads::<Self>(class);
        Self {
            sink,
            source,
            settings: Mutex::default(),
            stream: Mutex::default(),
            segment: Mutex::new(gst::FormattedSegment::new()),
            latency: Mutex::default(),
            shut: AtomicBool::new(false),
        }
    }
}

#[glib::derived_properties]
impl ObjectImpl for Imp {
    fn constructed(&self) {
        self.parent_constructed();
        ground::add_pads(&*self.obj(), &[&self.sink, &self.source]);
    }
}

impl GstObjectImpl for Imp {}

impl ElementImpl for Imp {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "LatentBit decoder",
                "Codec/Decoder/Video",
                "Decodes tokens of .lbit files to frames",
                "LatentBit",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            use gst::PadDirection::{Sink, Src};
            use gst::PadPresence::Always;

            let raw = gst_video::VideoCapsBuilder::new()
                .format(gst_video::VideoFormat::Rgb)
                .build();
            ground::templates([
                ("sink", Sink, Always, gst::Caps::new_empty_simple(CHUNKS)),
                ("src", Src, Always, raw),
            ])
        });
        &TEMPLATES
    }

    fn change_state(
        &self,
        change: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        self.shut
            .store(change == gst::StateChange::PausedToReady, Ordering::Release);
        if change == gst::StateChange::PausedToReady {
            // Before the pads are: the task may wait for chunks that do not come any more.
            self.give_up();
            *lock(&self.stream) = Stream::default();
        }
        self.parent_change_state(change)
    }
}

impl Filter for Imp {
    fn chain(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let bytes = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
        let mut stream = lock(&self.stream);
        if self.shut.load(Ordering::Acquire) {
            return Err(gst::FlowError::Flushing);
        }
        if stream.running.is_none() {
            let started = self.start(&stream)?;
            stream.running = Some(started);
        }
        let Stream {
            running: Some(running),
            format: Some(format),
            ..
        } = &mut *stream
        else {
            return Err(gst::FlowError::NotNegotiated);
        };
        running.parser.push(&bytes);
        self.feed(running, &format.video)?;
        Ok(gst::FlowSuccess::Ok)
    }

    fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        use gst::EventView;

        let forward = |event| gst::Pad::event_default(pad, Some(&*self.obj()), event);
        match event.view() {
            EventView::Caps(caps) => {
                self.drain();
                match self.set_format(caps.caps()) {
                    Ok(picture) => picture
                        .to_caps()
                        .is_ok_and(|caps| self.source.push_event(gst::event::Caps::new(&caps))),
                    Err((kind, why)) => {
                        gst::element_imp_error!(self, kind, ["{why}"]);
                        false
                    }
                }
            }
            EventView::Segment(segment) => {
                self.drain();
                match ground::segment_of(segment) {
                    Ok(segment) => *lock(&self.segment) = segment,
                    Err(error) => {
                        self.post_error_message(error);
                        return false;
                    }
                }
                forward(event)
            }
            EventView::FlushStart(_) => {
                // The task finds its pad flushing and gives up the pipeline, and with that the chunk that waits for room.
                forward(event)
            }
            EventView::FlushStop(_) => {
                self.give_up();
                *lock(&self.segment) = gst::FormattedSegment::new();
                forward(event)
            }
            EventView::Eos(_) | EventView::SegmentDone(_) | EventView::StreamStart(_) => {
                self.drain();
                forward(event)
            }
            // Frames that have not come yet belong before it, but nobody waits for so little.
            EventView::Gap(_) => true,
            _ => forward(event),
        }
    }

    fn sink(&self) -> &gst::Pad {
        &self.sink
    }

    fn latency(&self) -> Option<gst::ClockTime> {
        *lock(&self.latency)
    }
}

impl Imp {
    /// Takes note of what kind of chunks will come.
    fn set_format(&self, caps: &gst::CapsRef) -> Result<gst_video::VideoInfo, (gst::StreamError, String)> {
        let wrong = |why: String| (gst::StreamError::Format, why);
        let header = caps
            .structure(0)
            .and_then(|fields| fields.get::<gst::Buffer>("codec_data").ok());
        let header = header.ok_or_else(|| wrong("caps without codec_data".to_owned()))?;
        let header = header
            .map_readable()
            .map_err(|error| wrong(error.to_string()))?
            .to_vec();
        let mut parser = parser(&header);
        let read = parser
            .poll_header()
            .map_err(|error| (reading_error(&error), error.to_string()))?;
        let video = parser
            .header()
            .filter(|_| read)
            .and_then(|header| header.first_video());
        let (_, video) = video.ok_or_else(|| wrong("codec_data is no header of a video".to_owned()))?;
        let video = video.clone();
        let picture = ground::picture(&video).map_err(|error| wrong(error.to_string()))?;
        let model = lock(&self.settings).model.clone();
        let mut stream = lock(&self.stream);
        if stream.bundle.is_none() {
            let loaded = ground::load(model.as_deref(), Halves::Decoder);
            let place = model.as_deref().unwrap_or("the built-in model");
            stream.bundle =
                Some(loaded.map_err(|error| (stream_error(&error), format!("{place}: {error}")))?);
        }
        *lock(&self.latency) = Some(ground::chunk_time(&video));
        stream.format = Some(Format {
            header,
            video,
            picture: picture.clone(),
        });
        Ok(picture)
    }

    /// Starts the pipeline, and the task that takes frames out of it.
    fn start(&self, stream: &Stream) -> Result<Running, gst::FlowError> {
        let (Some(format), Some(bundle)) = (&stream.format, &stream.bundle) else {
            gst::element_imp_error!(self, gst::CoreError::Negotiation, ["chunks came before caps"]);
            return Err(gst::FlowError::NotNegotiated);
        };
        let failed = |error: CodecError| {
            gst::element_imp_error!(self, stream_error(&error), ["{error}"]);
            gst::FlowError::Error
        };
        let (bits, threads) = {
            let settings = lock(&self.settings);
            (settings.bits, settings.threads)
        };
        let geometry = Geometry::from(&format.video);
        let plan = MemoryPlan::new(bundle, &geometry, Work::Decode, None, None).map_err(failed)?;
        let options = Options::default()
            .threads(usize::try_from(threads).unwrap_or(0))
            .kept_bits(u8::try_from(bits).ok().filter(|&bits| bits > 0))
            .decoder_plan(Some(plan))
            .conceal(concealment(bundle).map_err(failed)?);
        let (input, frames) = pipeline::decoder(bundle, &format.video, &options).map_err(failed)?;
        let shown = Shown::default();
        let taking = Taking {
            frames,
            picture: format.picture.clone(),
            time_base: format.video.time_base,
            frame_duration: format.video.frame_duration,
            shown: shown.clone(),
        };
        let imp = self.ref_counted();
        let started = Task::start(&self.source, taking, move |taking, given_up| {
            imp.take(taking, given_up)
        });
        let task = started.map_err(|error| {
            gst::element_imp_error!(self, gst::CoreError::Thread, ["{error}"]);
            gst::FlowError::Error
        })?;
        Ok(Running {
            parser: parser(&format.header),
            begun: false,
            input,
            shown,
            task,
        })
    }

    /// Pushes what the parser has into the pipeline.
    fn feed(&self, running: &mut Running, video: &VideoStream) -> Result<(), gst::FlowError> {
        loop {
            let coded = match running.parser.poll() {
                Ok(Next::Event(Event::Chunk(chunk))) => {
                    let frames = chunk.first_frame.0..chunk.end_frame().0;
                    running.shown.note(frames, chunk.times.clone());
                    Coded::Chunk(chunk)
                }
                Ok(Next::Event(Event::Missing { chunks, frames, .. })) => {
                    gst::element_imp_warning!(
                        self,
                        gst::StreamError::Decode,
                        [
                            "frames {} to {} are lost, and are made up",
                            frames.start,
                            frames.end.saturating_sub(1)
                        ]
                    );
                    let start = running.shown.next(video.frame_duration);
                    let times = Times {
                        start,
                        durations: None,
                    };
                    running.shown.note(frames.clone(), times);
                    Coded::Lost { chunks, frames }
                }
                // What comes first is the header, where a file would have its magic.
                Ok(Next::Event(Event::Lost(lost))) if running.begun => {
                    gst::element_imp_warning!(self, gst::StreamError::Decode, ["{}", lost.reason]);
                    continue;
                }
                Ok(Next::Event(_)) => continue,
                Ok(Next::NeedInput | Next::End) => return Ok(()),
                // The stream of chunks has no end record.
                Err(error) if error.kind() == ErrorKind::Truncated => return Ok(()),
                Err(error) => {
                    gst::element_imp_error!(self, reading_error(&error), ["{error}"]);
                    return Err(gst::FlowError::Error);
                }
            };
            running.begun = true;
            if running.input.push(coded).is_err() {
                // The task says why it ended.
                return Err(running.task.end());
            }
        }
    }

    /// Takes the next frame out of the pipeline and hands it on; an error when there is none.
    fn take(&self, taking: &mut Taking, given_up: &AtomicBool) -> Result<(), gst::FlowError> {
        let decoded = match taking.frames.pull() {
            Ok(Some(decoded)) => decoded,
            Ok(None) => return Err(gst::FlowError::Eos),
            Err(_) if given_up.load(Ordering::Acquire) => return Err(gst::FlowError::Flushing),
            Err(error) => {
                gst::element_imp_error!(self, stream_error(&error), ["{error}"]);
                return Err(gst::FlowError::Error);
            }
        };
        let Some(buffer) = self.buffer_of(&decoded, taking)? else {
            return Ok(());
        };
        self.source.push(buffer).map(|_| ())
    }

    /// A frame as GStreamer has it; none for one that nobody wants to see.
    fn buffer_of(
        &self,
        decoded: &DecodedFrame,
        taking: &Taking,
    ) -> Result<Option<gst::Buffer>, gst::FlowError> {
        let index = decoded.index.0;
        let (begin, end) = taking.shown.of(index, taking.frame_duration).unwrap_or_default();
        let [begin, end] = [begin, end].map(|ticks| clock_time(nanoseconds(ticks, taking.time_base)));
        if lock(&self.segment).clip(begin, end).is_none() {
            return Ok(None);
        }
        let mut buffer = gst::Buffer::with_size(taking.picture.size()).map_err(|_| gst::FlowError::Error)?;
        if let Some(buffer) = buffer.get_mut() {
            ground::set_times(buffer, [begin, end]);
            buffer.set_offset(index);
            buffer.set_offset_end(index.saturating_add(1));
            if decoded.fidelity != Fidelity::Exact {
                buffer.set_flags(gst::BufferFlags::CORRUPTED);
            }
            let mapped = gst_video::VideoFrameRef::from_buffer_ref_writable(buffer, &taking.picture);
            let mut mapped = mapped.map_err(|_| gst::FlowError::Error)?;
            let stride = usize::try_from(mapped.plane_stride()[0]).map_err(|_| gst::FlowError::Error)?;
            let pixels = mapped.plane_data_mut(0).map_err(|_| gst::FlowError::Error)?;
            let rows = decoded.frame.data.chunks_exact((decoded.frame.width * 3).max(1));
            for (to, from) in pixels.chunks_mut(stride.max(1)).zip(rows) {
                for (to, from) in to.iter_mut().zip(from) {
                    *to = (from * 255.0).round().clamp(0.0, 255.0) as u8;
                }
            }
        }
        Ok(Some(buffer))
    }

    /// Lets the pipeline finish what came, and waits until all of it was handed on.
    fn drain(&self) {
        let mut stream = lock(&self.stream);
        let Stream { running, format, .. } = &mut *stream;
        let Some(mut running) = running.take() else { return };
        if let Some(format) = format {
            running.parser.finish();
            // It has said what is wrong.
            let _ = self.feed(&mut running, &format.video);
        }
        drop(stream);
        // The task says why it ended.
        let _ = running.input.flush();
        let _ = running.task.end();
        let _ = self.source.stop_task();
    }

    /// Ends the pipeline at once.
    fn give_up(&self) {
        if let Some(running) = lock(&self.stream).running.take() {
            running.task.give_up();
        }
        let _ = self.source.stop_task();
    }
}

/// What the task works with.
struct Taking {
    frames: Output<DecodedFrame>,
    picture: gst_video::VideoInfo,
    time_base: Rational,
    frame_duration: u32,
    shown: Shown,
}

/// A parser of chunks that may begin with any. Without the magic before the header it does not ask for those before.
fn parser(header: &[u8]) -> Parser {
    let mut parser = Parser::new(Limits::default(), ReadMode::Join);
    parser.push(header);
    parser
}

/// Lost chunks are filled in as `latentbit decode` does.
fn concealment(bundle: &Bundle) -> Result<Conceal, CodecError> {
    let found = Predictor::embedded(bundle, bundle.dtype())?;
    Ok(found.map_or(Conceal::Freeze, |predictor| Conceal::MaskGit {
        predictor: Arc::new(predictor),
        fill: FillOptions::default(),
    }))
}
