//! `lbitenc`: frames to a file.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_video::VideoFrameExt;
use latentbit_codec::bundle::Halves;
use latentbit_codec::pipeline::{
    self, DEFAULT_CHUNKS_PER_GROUP, FrameInput, Geometry, MemoryPlan, Options, Output, Work, video_stream_for,
};
use latentbit_codec::rate::{
    Bitrate, DEFAULT_CRF, Effort, ElasticChunk, MAX_CRF, Measure, RateControl, Target, chunk_seconds,
    depth_step,
};
use latentbit_codec::{Bundle, Error as CodecError, Frame};
use latentbit_container::{Chroma, Header, Rational, Times, VideoStream, Writer, WriterOptions};

use crate::ground::{self, FILE, Filter, Task, clock_time, lock, nanoseconds, ratio, stream_error};

glib::wrapper! {
    /// The element `lbitenc`.
    pub struct Encoder(ObjectSubclass<Imp>) @extends gst::Element, gst::Object;
}

/// The clock of video whose rate varies.
const FINE: Rational = Rational { num: 1, den: 90_000 };

/// What the user asks for.
#[derive(Clone, Debug)]
struct Settings {
    model: Option<String>,
    crf: f64,
    /// In 1000 bits a second; 0 for a constant quality.
    bitrate: u32,
    chunks_per_group: u32,
    threads: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: None,
            crf: DEFAULT_CRF,
            bitrate: 0,
            chunks_per_group: DEFAULT_CHUNKS_PER_GROUP,
            threads: 0,
        }
    }
}

/// What is behind the element.
#[derive(glib::Properties)]
#[properties(wrapper_type = Encoder)]
pub struct Imp {
    sink: gst::Pad,
    source: gst::Pad,
    #[property(name = "model", nick = "Model", blurb = "File of the model; the built-in one if not set", get, set, type = Option<String>, member = model)]
    #[property(name = "crf", nick = "Rate factor", blurb = "Constant quality: 0 is the best", get, set, type = f64, minimum = 0.0, maximum = MAX_CRF, default = DEFAULT_CRF, member = crf)]
    #[property(name = "bitrate", nick = "Bitrate", blurb = "Bits for each second of video, in kbit/s, instead of a constant quality; 0 for that", get, set, type = u32, member = bitrate)]
    #[property(name = "chunks-per-group", nick = "Chunks per group", blurb = "Chunks from one place where decoding can begin to the next; 0 for one such place only", get, set, type = u32, default = DEFAULT_CHUNKS_PER_GROUP, member = chunks_per_group)]
    #[property(name = "threads", nick = "Threads", blurb = "Threads that compute; 0 for one on each core", get, set, type = u32, member = threads)]
    settings: Mutex<Settings>,
    /// The thread that brings frames has it.
    stream: Mutex<Stream>,
    latency: Mutex<Option<gst::ClockTime>>,
    /// Set while the pads are being shut: what still comes must not start a pipeline that nobody would end.
    shut: AtomicBool,
}

#[derive(Default)]
struct Stream {
    picture: Option<gst_video::VideoInfo>,
    segment: gst::FormattedSegment<gst::ClockTime>,
    running: Option<Running>,
}

/// A pipeline at work.
struct Running {
    input: FrameInput,
    clock: Clock,
    task: Task,
}

/// When the frames are shown that went in and have not come out.
#[derive(Clone)]
struct Clock {
    time_base: Rational,
    frame_duration: u32,
    /// Start and end of each frame, in ticks.
    shown: Arc<Mutex<VecDeque<(i64, i64)>>>,
}

impl Clock {
    fn new(rate: Rational) -> Self {
        let (time_base, frame_duration) = match rate.num > 0 {
            true => (
                Rational {
                    num: rate.den,
                    den: rate.num,
                },
                1,
            ),
            false => (FINE, FINE.den / 25),
        };
        Self {
            time_base,
            frame_duration,
            shown: Arc::default(),
        }
    }

    /// The nearest tick.
    fn ticks(&self, time: gst::ClockTime) -> i64 {
        let half = Rational {
            num: self.time_base.num,
            den: self.time_base.den.saturating_mul(2),
        };
        let nanoseconds = i64::try_from(time.nseconds()).unwrap_or(i64::MAX);
        let halves = latentbit_container::rescale(nanoseconds, Rational::NANOSECONDS, half);
        halves.saturating_add(1) >> 1
    }

    /// Notes the next frame. Without a time it follows the one before.
    fn note(&self, start: Option<gst::ClockTime>, duration: Option<gst::ClockTime>) {
        let mut shown = lock(&self.shown);
        let before = shown.back().copied();
        let own = i64::from(self.frame_duration);
        let start_ticks = match (start, before) {
            (Some(start), before) => self.ticks(start).max(before.map_or(i64::MIN, |(start, _)| start)),
            (None, Some((_, end))) => end,
            (None, None) => 0,
        };
        let end = start
            .zip(duration)
            .map(|(start, duration)| self.ticks(start + duration));
        let end = end
            .filter(|&end| end > start_ticks)
            .unwrap_or(start_ticks.saturating_add(own));
        // The frame before is shown until this one comes.
        if let Some((_, end)) = shown.back_mut() {
            *end = start_ticks;
        }
        shown.push_back((start_ticks, end));
    }

    /// The times of the next `frames` frames.
    fn take(&self, frames: u64) -> Times {
        let mut shown = lock(&self.shown);
        let count = usize::try_from(frames).unwrap_or(usize::MAX).min(shown.len());
        let taken: Vec<(i64, i64)> = shown.drain(..count).collect();
        let start = taken.first().map_or(0, |&(start, _)| start);
        let durations: Vec<u32> = taken
            .iter()
            .map(|&(start, end)| u32::try_from(end.saturating_sub(start).max(0)).unwrap_or(u32::MAX))
            .collect();
        let even = durations.iter().all(|&duration| duration == self.frame_duration);
        Times {
            start,
            durations: (!even).then_some(durations),
        }
    }
}

#[glib::object_subclass]
impl ObjectSubclass for Imp {
    const NAME: &'static str = "LatentBitEncoder";
    type Type = Encoder;
    type ParentType = gst::Element;

    fn with_class(class: &Self::Class) -> Self {
        let [sink, source] = ground::filter_pads::<Self>(class);
        Self {
            sink,
            source,
            settings: Mutex::default(),
            stream: Mutex::default(),
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
                "LatentBit encoder",
                "Codec/Encoder/Video",
                "Encodes frames to a .lbit file",
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
                ("sink", Sink, Always, raw),
                ("src", Src, Always, gst::Caps::new_empty_simple(FILE)),
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
            // Before the pads are: the task may wait for frames that do not come any more.
            self.give_up();
            *lock(&self.stream) = Stream::default();
        }
        self.parent_change_state(change)
    }
}

impl Filter for Imp {
    fn chain(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let mut stream = lock(&self.stream);
        if self.shut.load(Ordering::Acquire) {
            return Err(gst::FlowError::Flushing);
        }
        let Some(picture) = stream.picture.clone() else {
            gst::element_imp_error!(self, gst::CoreError::Negotiation, ["frames came before caps"]);
            return Err(gst::FlowError::NotNegotiated);
        };
        if stream.running.is_none() {
            let started = self.start(&picture).map_err(|(kind, why)| {
                gst::element_imp_error!(self, kind, ["{why}"]);
                gst::FlowError::Error
            })?;
            stream.running = Some(started);
        }
        let start = buffer.pts().and_then(|pts| stream.segment.to_running_time(pts));
        let Some(running) = &mut stream.running else {
            return Err(gst::FlowError::Flushing);
        };
        let frame = frame_of(buffer, &picture)?;
        running.clock.note(start, buffer.duration());
        if running.input.push(&frame).is_err() {
            // The task says why it ended.
            return Err(running.task.end());
        }
        Ok(gst::FlowSuccess::Ok)
    }

    fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        use gst::EventView;

        let forward = |event| gst::Pad::event_default(pad, Some(&*self.obj()), event);
        match event.view() {
            EventView::Caps(caps) => {
                let picture = match gst_video::VideoInfo::from_caps(caps.caps()) {
                    Ok(picture) => picture,
                    Err(error) => {
                        gst::element_imp_error!(self, gst::CoreError::Negotiation, ["{error}"]);
                        return false;
                    }
                };
                let mut stream = lock(&self.stream);
                if stream.running.is_some() && stream.picture.as_ref() != Some(&picture) {
                    let why = "the format of the frames changes midway, which a file cannot";
                    gst::element_imp_error!(self, gst::StreamError::Format, ["{why}"]);
                    return false;
                }
                stream.picture = Some(picture);
                drop(stream);
                self.source
                    .push_event(gst::event::Caps::new(&gst::Caps::new_empty_simple(FILE)))
            }
            EventView::Segment(segment) => {
                match ground::segment_of(segment) {
                    Ok(segment) => lock(&self.stream).segment = segment,
                    Err(error) => {
                        self.post_error_message(error);
                        return false;
                    }
                }
                // Bytes of a file come out, one after the other.
                let bytes = gst::FormattedSegment::<gst::format::Bytes>::new();
                self.source.push_event(gst::event::Segment::new(&bytes))
            }
            EventView::FlushStop(_) => {
                self.give_up();
                lock(&self.stream).segment = gst::FormattedSegment::new();
                forward(event)
            }
            EventView::Eos(_) => {
                let running = lock(&self.stream).running.take();
                match running {
                    Some(running) => {
                        // The task says why, if that fails.
                        let _ = running.input.flush();
                        let _ = running.task.end();
                        let _ = self.source.stop_task();
                    }
                    None => {
                        let why = "no frame came, and a file needs one";
                        gst::element_imp_error!(self, gst::StreamError::Encode, ["{why}"]);
                    }
                }
                forward(event)
            }
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
    /// Starts the pipeline, and the task that writes what comes out of it.
    fn start(&self, picture: &gst_video::VideoInfo) -> Result<Running, (gst::StreamError, String)> {
        let failed = |error: CodecError| (stream_error(&error), error.to_string());
        let settings = lock(&self.settings).clone();
        // Both halves: depths are chosen by what decoding makes of them.
        let bundle = ground::load(settings.model.as_deref(), Halves::Both).map_err(failed)?;
        let clock = Clock::new(ratio(picture.fps()));
        let video = describe(&bundle, picture, &clock).map_err(failed)?;
        *lock(&self.latency) = Some(ground::chunk_time(&video));
        let geometry = Geometry::from(&video);
        let measure = Measure::tokens(Effort::default());
        let elastic = Work::EncodeElastic {
            measure,
            step: depth_step(&bundle),
            keeps_all: false,
        };
        let plan = MemoryPlan::new(&bundle, &geometry, elastic, None, None).map_err(failed)?;
        let options = Options::default()
            .threads(usize::try_from(settings.threads).unwrap_or(0))
            .chunks_per_group(settings.chunks_per_group)
            .encoder_plan(Some(plan));
        let target = match settings.bitrate {
            0 => Target::Crf(settings.crf),
            kilobits => Target::Bitrate(Bitrate::new(f64::from(kilobits) * 1000.0)),
        };
        let (input, chunks) =
            pipeline::elastic_encoder(&bundle, &video, &options, measure).map_err(failed)?;
        let writing = WriterOptions::default();
        let bytes = Bytes::default();
        let writer = Writer::new(bytes.clone(), &Header::from(video.clone()), writing)
            .map_err(|error| failed(error.into()))?;
        let making = Making {
            chunks,
            writer: Some(writer),
            bytes,
            control: RateControl::new(target, writing.compression),
            video,
            clock: clock.clone(),
            offset: 0,
        };
        let imp = self.ref_counted();
        let started = Task::start(&self.source, making, move |making, given_up| {
            imp.make(making, given_up)
        });
        let task = started.map_err(|error| (gst::StreamError::Failed, error.to_string()))?;
        Ok(Running { input, clock, task })
    }

    /// Writes the next chunk, or the end of the file after the last one, and hands it on. An error when there is no more.
    fn make(&self, making: &mut Making, given_up: &AtomicBool) -> Result<(), gst::FlowError> {
        let failed = |error: CodecError| {
            gst::element_imp_error!(self, stream_error(&error), ["{error}"]);
            gst::FlowError::Error
        };
        let mut elastic = match making.chunks.pull() {
            Ok(Some(elastic)) => elastic,
            Ok(None) => {
                if let Some(writer) = making.writer.take() {
                    writer.finish().map_err(|error| failed(error.into()))?;
                }
                self.push(making, None)?;
                return Err(gst::FlowError::Eos);
            }
            Err(_) if given_up.load(Ordering::Acquire) => return Err(gst::FlowError::Flushing),
            Err(error) => return Err(failed(error)),
        };
        let Some(writer) = &mut making.writer else {
            return Err(gst::FlowError::Eos);
        };
        elastic.chunk.times = making.clock.take(elastic.chunk.frame_count.0);
        let seconds = chunk_seconds(&elastic.chunk, &making.video);
        let shaped = making.control.shape(&elastic, seconds).map_err(failed)?;
        writer
            .write_stored(&shaped.stored)
            .map_err(|error| failed(error.into()))?;
        self.push(making, Some(&elastic))
    }

    /// Hands on what was written.
    fn push(&self, making: &mut Making, elastic: Option<&ElasticChunk>) -> Result<(), gst::FlowError> {
        let bytes = std::mem::take(&mut *lock(&making.bytes.0));
        let end = making.offset.saturating_add(bytes.len() as u64);
        let mut buffer = gst::Buffer::from_slice(bytes);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_offset(making.offset);
            buffer.set_offset_end(end);
            if let Some(elastic) = elastic {
                let (chunk, video) = (&elastic.chunk, &making.video);
                let time = |frames| chunk.times.of(frames, video.frame_duration);
                let times =
                    [0, chunk.frame_count.0].map(|at| clock_time(nanoseconds(time(at), video.time_base)));
                ground::set_times(buffer, times);
                if !chunk.key {
                    buffer.set_flags(gst::BufferFlags::DELTA_UNIT);
                }
            }
        }
        making.offset = end;
        self.source.push(buffer).map(|_| ())
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
struct Making {
    chunks: Output<ElasticChunk>,
    writer: Option<Writer<Bytes>>,
    /// What was written and not handed on.
    bytes: Bytes,
    control: RateControl,
    video: VideoStream,
    clock: Clock,
    offset: u64,
}

/// What a writer wrote, for those who take it from there.
#[derive(Clone, Default)]
struct Bytes(Arc<Mutex<Vec<u8>>>);

impl Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the header says of such frames. Most of them were YUV with halved chroma before they came here, and players want
/// that, so it is what is said of their samples.
fn describe(
    bundle: &Bundle,
    picture: &gst_video::VideoInfo,
    clock: &Clock,
) -> Result<VideoStream, CodecError> {
    let video = video_stream_for(bundle, picture.width(), picture.height())?;
    Ok(video
        .with_times(ratio(picture.fps()), clock.time_base, clock.frame_duration)
        .with_pixel_aspect(ratio(picture.par()))
        .with_color(ground::color_of(picture))
        .with_samples(Chroma::C420, 0, 8)
        .with_depth_step(Some(depth_step(bundle))))
}

/// A frame as the codec has it.
fn frame_of(buffer: &gst::Buffer, picture: &gst_video::VideoInfo) -> Result<Frame, gst::FlowError> {
    let wrong = |_| gst::FlowError::Error;
    let mapped = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, picture).map_err(wrong)?;
    let [width, height] =
        [picture.width(), picture.height()].map(|side| usize::try_from(side).unwrap_or(usize::MAX));
    let stride = usize::try_from(mapped.plane_stride()[0]).map_err(|_| gst::FlowError::Error)?;
    let rows = mapped
        .plane_data(0)
        .map_err(|_| gst::FlowError::Error)?
        .chunks(stride.max(1));
    let data = rows
        .take(height)
        .flat_map(|row| row.iter().take(width.saturating_mul(3)))
        .map(|&sample| f32::from(sample) / 255.0)
        .collect();
    Ok(Frame { width, height, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(rate: Rational, frames: &[(Option<u64>, Option<u64>)]) -> Times {
        let clock = Clock::new(rate);
        let time = |milliseconds: Option<u64>| milliseconds.map(gst::ClockTime::from_mseconds);
        frames
            .iter()
            .for_each(|&(start, duration)| clock.note(time(start), time(duration)));
        clock.take(frames.len() as u64)
    }

    #[test]
    fn frames_are_shown_until_the_next_one_comes() {
        let rate = Rational { num: 25, den: 1 };
        let at = |milliseconds| (Some(milliseconds), Some(40));
        let even = times(rate, &[at(80), at(120), at(160)]);
        assert_eq!((even.start, even.durations), (2, None));
        let dropped = times(rate, &[at(0), at(120), at(160)]);
        assert_eq!(dropped.durations, Some(vec![3, 1, 1]));
        let unknown = times(rate, &[(None, None), (None, None)]);
        assert_eq!((unknown.start, unknown.durations), (0, None));
        // Times that go back.
        let back = times(rate, &[at(400), at(40)]);
        assert_eq!((back.start, back.durations), (10, Some(vec![0, 1])));
        let varying = times(Rational { num: 0, den: 1 }, &[at(0), at(33)]);
        assert_eq!(varying.durations, Some(vec![2970, 3600]));
    }
}
