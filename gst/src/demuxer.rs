//! `lbitdemux`: a file to the chunks of its video, and to the packets beside it.
//!
//! Where upstream can seek, the demuxer pulls what it needs by the index of the file, and seeks by time. Else it takes
//! what is pushed, from front to back.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{LazyLock, Mutex};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use latentbit_container::{
    Error, ErrorKind, Event, File, Header, Limits, Next, PacketKind, Packets, Parser, Part, PixelFrames,
    Rational, ReadMode, StoredChunk, StreamId, VideoStream,
};

use crate::codecs::{self, Described};
use crate::ground::{self, CATEGORY, CHUNKS, FILE, clock_time, fraction, lock, nanoseconds, reading_error};

glib::wrapper! {
    /// The element `lbitdemux`.
    pub struct Demuxer(ObjectSubclass<Imp>) @extends gst::Element, gst::Object;
}

/// What is behind the element.
pub struct Imp {
    sink: gst::Pad,
    /// The thread that streams has it; others only while that is stopped.
    streaming: Mutex<Option<Streaming>>,
    /// What other threads ask for.
    known: Mutex<Known>,
}

/// What is known of the file and what of it is played.
struct Known {
    pulls: bool,
    /// When the video ends.
    duration: Option<gst::ClockTime>,
    segment: gst::FormattedSegment<gst::ClockTime>,
    seqnum: gst::Seqnum,
    pads: Vec<gst::Pad>,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            pulls: false,
            duration: None,
            segment: gst::FormattedSegment::new(),
            seqnum: gst::Seqnum::next(),
            pads: Vec::new(),
        }
    }
}

/// A file that is being read.
struct Streaming {
    input: Input,
    /// None before the header came.
    outputs: Option<Outputs>,
}

enum Input {
    Pushed(Box<Parser>),
    /// The file has not been opened.
    Unopened,
    Pulled(Box<Part<PadInput>>),
}

/// A file that is pulled through a pad.
#[derive(Debug)]
struct PadInput {
    pad: gst::Pad,
    position: u64,
    len: u64,
}

/// Most bytes that are pulled at once.
const MOST_PULLED: usize = 1 << 20;

impl Read for PadInput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.len.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left).min(MOST_PULLED);
        if wanted == 0 {
            return Ok(0);
        }
        let pulled = match self
            .pad
            .pull_range(self.position, u32::try_from(wanted).unwrap_or(u32::MAX))
        {
            Ok(pulled) => pulled,
            Err(gst::FlowError::Eos) => return Ok(0),
            Err(flow) => return Err(io::Error::other(flow.to_string())),
        };
        let pulled = pulled.map_readable().map_err(io::Error::other)?;
        let came = pulled.len().min(wanted);
        for (to, from) in buffer.iter_mut().zip(&pulled[..came]) {
            *to = *from;
        }
        self.position += came as u64;
        Ok(came)
    }
}

impl Seek for PadInput {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

/// Where the streams of a file go.
struct Outputs {
    video: StreamId,
    /// A header with the video alone.
    header: Header,
    time_base: Rational,
    frame_duration: u32,
    video_pad: gst::Pad,
    packets: BTreeMap<StreamId, PacketOutput>,
    flows: gst_base::UniqueFlowCombiner,
    /// Whether the next chunk does not follow the one before.
    discontinuous: bool,
    /// What is added to all times, in nanoseconds, because GStreamer knows none before 0.
    shift: Option<i64>,
}

struct PacketOutput {
    pad: gst::Pad,
    kind: PacketKind,
    time_base: Rational,
    /// What the decoder must be pushed before all packets.
    first: Option<Vec<u8>>,
    discontinuous: bool,
    /// Up to when its packets have come.
    position: gst::ClockTime,
}

/// Why streaming stops.
enum Stop {
    /// All was read, or nobody wants more.
    End,
    Flow(gst::FlowError),
    Fault(Error),
    /// GStreamer refused something.
    Other(String),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Fault(error)
    }
}

impl From<gst::FlowError> for Stop {
    fn from(flow: gst::FlowError) -> Self {
        match flow {
            gst::FlowError::Eos => Self::End,
            flow => Self::Flow(flow),
        }
    }
}

#[glib::object_subclass]
impl ObjectSubclass for Imp {
    const NAME: &'static str = "LatentBitDemuxer";
    type Type = Demuxer;
    type ParentType = gst::Element;

    fn with_class(class: &Self::Class) -> Self {
        let failed = || gst::loggable_error!(CATEGORY, "a panic");
        let sink = ground::pad(class, "sink", gst::PadDirection::Sink)
            .activate_function(move |pad, parent| {
                Self::catch_panic_pad_function(parent, || Err(failed()), |imp| imp.activate(pad))
            })
            .activatemode_function(move |_, parent, mode, active| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(failed()),
                    |imp| imp.activate_mode(mode, active),
                )
            })
            .chain_function(|_, parent, buffer| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::FlowError::Error),
                    |imp| imp.chain(&buffer),
                )
            })
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.sink_event(pad, event))
            })
            .build();
        Self {
            sink,
            streaming: Mutex::default(),
            known: Mutex::default(),
        }
    }
}

impl ObjectImpl for Imp {
    fn constructed(&self) {
        self.parent_constructed();
        ground::add_pads(&*self.obj(), &[&self.sink]);
    }
}

impl GstObjectImpl for Imp {}

impl ElementImpl for Imp {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "LatentBit demuxer",
                "Codec/Demuxer",
                "Takes .lbit files apart into chunks of tokens, sound and subtitles",
                "LatentBit",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            use gst::PadDirection::{Sink, Src};
            use gst::PadPresence::{Always, Sometimes};

            ground::templates([
                ("sink", Sink, Always, gst::Caps::new_empty_simple(FILE)),
                ("video_%u", Src, Sometimes, gst::Caps::new_empty_simple(CHUNKS)),
                ("audio_%u", Src, Sometimes, gst::Caps::new_any()),
                ("subtitle_%u", Src, Sometimes, gst::Caps::new_any()),
            ])
        });
        &TEMPLATES
    }
}

impl Imp {
    fn activate(&self, pad: &gst::Pad) -> Result<(), gst::LoggableError> {
        let mut query = gst::query::Scheduling::new();
        let pulls = pad.peer_query(&mut query)
            && query.has_scheduling_mode_with_flags(gst::PadMode::Pull, gst::SchedulingFlags::SEEKABLE);
        let mode = match pulls {
            true => gst::PadMode::Pull,
            false => gst::PadMode::Push,
        };
        pad.activate_mode(mode, true)?;
        Ok(())
    }

    fn activate_mode(&self, mode: gst::PadMode, active: bool) -> Result<(), gst::LoggableError> {
        let pulls = mode == gst::PadMode::Pull;
        if !active {
            if pulls {
                self.sink
                    .stop_task()
                    .map_err(|error| gst::loggable_error!(CATEGORY, "{error}"))?;
            }
            *lock(&self.streaming) = None;
            let known = std::mem::take(&mut *lock(&self.known));
            for pad in known.pads {
                let _ = pad.set_active(false);
                let _ = self.obj().remove_pad(&pad);
            }
            return Ok(());
        }
        lock(&self.known).pulls = pulls;
        *lock(&self.streaming) = Some(Streaming {
            input: match pulls {
                true => Input::Unopened,
                false => Input::Pushed(Box::new(parser())),
            },
            outputs: None,
        });
        match pulls {
            true => self.start_task(),
            false => Ok(()),
        }
    }

    fn start_task(&self) -> Result<(), gst::LoggableError> {
        let imp = self.ref_counted();
        let started = self.sink.start_task(move || imp.pull());
        started.map_err(|error| gst::loggable_error!(CATEGORY, "{error}"))
    }

    /// Takes what is pushed.
    fn chain(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let mut streaming = lock(&self.streaming);
        let Some(streaming) = &mut *streaming else {
            return Err(gst::FlowError::Flushing);
        };
        let Input::Pushed(parser) = &mut streaming.input else {
            return Err(gst::FlowError::NotSupported);
        };
        let bytes = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
        parser.push(&bytes);
        drop(bytes);
        match self.pushed(streaming) {
            Ok(()) => Ok(gst::FlowSuccess::Ok),
            Err(Stop::End) => Err(gst::FlowError::Eos),
            Err(Stop::Flow(flow)) => Err(flow),
            Err(stop) => {
                self.report(&stop);
                Err(gst::FlowError::Error)
            }
        }
    }

    /// Hands on what can be read of what was pushed.
    fn pushed(&self, streaming: &mut Streaming) -> Result<(), Stop> {
        let Input::Pushed(parser) = &mut streaming.input else {
            return Ok(());
        };
        if streaming.outputs.is_none() {
            if !parser.poll_header()? {
                return Ok(());
            }
            let Some(header) = parser.header() else {
                return Ok(());
            };
            if let Some((_, video)) = header.first_video() {
                let end = video
                    .frame_count
                    .map(|frames| frames.0.saturating_mul(u64::from(video.frame_duration)));
                let end = end.and_then(|ticks| i64::try_from(ticks).ok());
                lock(&self.known).duration = end.map(|end| clock_time(nanoseconds(end, video.time_base)));
            }
            streaming.outputs = Some(self.begin(header)?);
        }
        let Some(outputs) = &mut streaming.outputs else {
            return Ok(());
        };
        loop {
            match parser.poll() {
                Ok(Next::Event(event)) => self.hand_on(outputs, event)?,
                Ok(Next::NeedInput) => return Ok(()),
                Ok(Next::End) => return Err(Stop::End),
                // What was there is worth playing.
                Err(error) if error.kind() == ErrorKind::Truncated => {
                    gst::element_imp_warning!(self, gst::StreamError::Demux, ["{error}"]);
                    return Err(Stop::End);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Pulls what comes next, and hands it on.
    fn pull(&self) {
        let mut locked = lock(&self.streaming);
        let result = match &mut *locked {
            Some(streaming) => self.pull_next(streaming),
            None => Err(Stop::Flow(gst::FlowError::Flushing)),
        };
        let Err(stop) = result else { return };
        drop(locked);
        let flushing = self.sink.pad_flags().contains(gst::PadFlags::FLUSHING);
        let stop = match stop {
            Stop::Fault(error) if error.kind() == ErrorKind::Io && flushing => {
                Stop::Flow(gst::FlowError::Flushing)
            }
            stop => stop,
        };
        let _ = self.sink.pause_task();
        self.report(&stop);
        if !matches!(stop, Stop::Flow(gst::FlowError::Flushing)) {
            self.end();
        }
    }

    fn pull_next(&self, streaming: &mut Streaming) -> Result<(), Stop> {
        if matches!(streaming.input, Input::Unopened) {
            let mut query = gst::query::Duration::new(gst::Format::Bytes);
            let len = match self.sink.peer_query(&mut query).then(|| query.result()) {
                Some(gst::GenericFormattedValue::Bytes(Some(len))) => *len,
                _ => {
                    return Err(Stop::Other(
                        "upstream does not know how long the file is".to_owned(),
                    ));
                }
            };
            let input = PadInput {
                pad: self.sink.clone(),
                position: 0,
                len,
            };
            let mut file = File::open(input, Limits::default())?;
            for damage in file.damage().iter() {
                gst::element_imp_warning!(self, gst::StreamError::Demux, ["{damage}"]);
            }
            if file.is_truncated() {
                gst::element_imp_warning!(self, gst::StreamError::Demux, ["the file stops before its end"]);
            }
            let outputs = self.begin(&file.header().clone())?;
            let span = file.span(outputs.video)?;
            let length = span.end.saturating_sub(span.start.min(0));
            lock(&self.known).duration = Some(clock_time(nanoseconds(length, outputs.time_base)));
            let part = part(file, &outputs, 0)?.ok_or(Stop::End)?;
            streaming.input = Input::Pulled(Box::new(part));
            streaming.outputs = Some(outputs);
        }
        let (Input::Pulled(part), Some(outputs)) = (&mut streaming.input, &mut streaming.outputs) else {
            return Err(Stop::End);
        };
        let event = part.next_stored_event()?.ok_or(Stop::End)?;
        self.hand_on(outputs, event)
    }

    /// Makes the pads for the streams of a file.
    fn begin(&self, header: &Header) -> Result<Outputs, Stop> {
        let none = || Stop::Other("there is no video in this file".to_owned());
        let (id, video) = header.first_video().ok_or_else(none)?;
        let alone = Header::from(video.clone());
        let group = gst::GroupId::next();
        let caps = chunk_caps(video, alone.record()?);
        let mut flows = gst_base::UniqueFlowCombiner::new();
        let name = format!("{:03}", id.0);
        let video_pad = self.add_pad(("video_%u", 0), &name, group, gst::StreamFlags::empty(), &caps)?;
        flows.add_pad(&video_pad);
        let mut packets = BTreeMap::new();
        let mut counts = BTreeMap::new();
        for (id, stream) in header.ids().filter_map(|id| Some((id, header.packets(id)?))) {
            let Some(Described { caps, first }) = codecs::describe(stream) else {
                let codec = &stream.codec;
                gst::element_imp_warning!(
                    self,
                    gst::StreamError::CodecNotFound,
                    [
                        "stream {id} is left out: GStreamer has no name for {codec}, or its description is not whole"
                    ]
                );
                continue;
            };
            let template = codecs::pad_template(stream.kind);
            let count = counts.entry(template).or_insert(0u32);
            let mut flags = gst::StreamFlags::empty();
            flags.set(gst::StreamFlags::SELECT, stream.default);
            flags.set(gst::StreamFlags::SPARSE, stream.kind != PacketKind::Audio);
            let pad = self.add_pad((template, *count), &format!("{:03}", id.0), group, flags, &caps)?;
            *count += 1;
            flows.add_pad(&pad);
            self.tag(&pad, &stream.language, &stream.title);
            let output = PacketOutput {
                pad,
                kind: stream.kind,
                time_base: stream.time_base,
                first,
                discontinuous: true,
                position: gst::ClockTime::ZERO,
            };
            packets.insert(id, output);
        }
        for id in header
            .ids()
            .filter(|&other| other != id && header.video(other).is_some())
        {
            gst::element_imp_warning!(
                self,
                gst::StreamError::NotImplemented,
                ["stream {id} is left out: of several videos the first is played"]
            );
        }
        self.obj().no_more_pads();
        Ok(Outputs {
            video: id,
            header: alone,
            time_base: video.time_base,
            frame_duration: video.frame_duration,
            video_pad,
            packets,
            flows,
            discontinuous: true,
            shift: None,
        })
    }

    fn add_pad(
        &self,
        (template, number): (&str, u32),
        stream: &str,
        group: gst::GroupId,
        flags: gst::StreamFlags,
        caps: &gst::Caps,
    ) -> Result<gst::Pad, Stop> {
        let refused = |error: glib::BoolError| Stop::Other(error.to_string());
        let found = self.obj().pad_template(template);
        let found = found.ok_or_else(|| Stop::Other(format!("no template {template}")))?;
        let pad = gst::Pad::builder_from_template(&found)
            .name(template.replace("%u", &number.to_string()))
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.source_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.source_query(pad, query))
            })
            .build();
        pad.set_active(true).map_err(refused)?;
        let id = pad.create_stream_id(&*self.obj(), Some(stream));
        pad.push_event(
            gst::event::StreamStart::builder(&id)
                .group_id(group)
                .flags(flags)
                .build(),
        );
        pad.push_event(gst::event::Caps::new(caps));
        let segment = {
            let mut known = lock(&self.known);
            known.pads.push(pad.clone());
            segment_event(&known)
        };
        pad.push_event(segment);
        self.obj().add_pad(&pad).map_err(refused)?;
        Ok(pad)
    }

    fn tag(&self, pad: &gst::Pad, language: &str, title: &str) {
        let mut tags = gst::TagList::new();
        if let Some(tags) = tags.get_mut() {
            if !language.is_empty() {
                tags.add::<gst::tags::LanguageCode>(&language, gst::TagMergeMode::Append);
            }
            if !title.is_empty() {
                tags.add::<gst::tags::Title>(&title, gst::TagMergeMode::Append);
            }
        }
        if tags.n_tags() > 0 {
            pad.push_event(gst::event::Tag::new(tags));
        }
    }

    /// Hands on what was read.
    fn hand_on(&self, outputs: &mut Outputs, event: Event) -> Result<(), Stop> {
        match event {
            Event::Stored(chunk) if chunk.stream == outputs.video => outputs.push_chunk(chunk),
            Event::Packets(packets) => outputs.push_packets(packets),
            Event::Missing { chunks, frames, .. } => {
                gst::element_imp_warning!(
                    self,
                    gst::StreamError::Demux,
                    [
                        "chunks {} to {} are missing, with frames {} to {}",
                        chunks.start,
                        chunks.end.saturating_sub(1),
                        frames.start,
                        frames.end.saturating_sub(1)
                    ]
                );
                outputs.discontinuous = true;
                Ok(())
            }
            Event::Lost(lost) => {
                let reason = lost.reason;
                gst::element_imp_warning!(self, gst::StreamError::Demux, ["{reason}"]);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Says why streaming stopped.
    fn report(&self, stop: &Stop) {
        match stop {
            Stop::End | Stop::Flow(gst::FlowError::Flushing) => {}
            Stop::Flow(flow) => {
                gst::element_imp_error!(
                    self,
                    gst::StreamError::Failed,
                    ("Internal data stream error."),
                    ["streaming stopped, reason {flow}"]
                );
            }
            Stop::Fault(error) => {
                gst::element_imp_error!(self, reading_error(error), ["{error}"]);
            }
            Stop::Other(why) => gst::element_imp_error!(self, gst::StreamError::Demux, ["{why}"]),
        }
    }

    /// Tells downstream that there is no more.
    fn end(&self) {
        let (pads, segment, seqnum) = {
            let known = lock(&self.known);
            (known.pads.clone(), known.segment.clone(), known.seqnum)
        };
        if segment.flags().contains(gst::SegmentFlags::SEGMENT) {
            let stop = segment.stop().or(lock(&self.known).duration);
            let source = self.obj();
            let message = gst::message::SegmentDone::builder(stop)
                .src(&*source)
                .seqnum(seqnum);
            let _ = source.post_message(message.build());
            for pad in pads {
                pad.push_event(gst::event::SegmentDone::builder(stop).seqnum(seqnum).build());
            }
            return;
        }
        for pad in pads {
            pad.push_event(gst::event::Eos::builder().seqnum(seqnum).build());
        }
    }

    fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        use gst::EventView;

        match event.view() {
            EventView::Eos(_) => {
                {
                    let mut streaming = lock(&self.streaming);
                    if let Some(streaming) = &mut *streaming {
                        if let Input::Pushed(parser) = &mut streaming.input {
                            parser.finish();
                        }
                        match self.pushed(streaming) {
                            Ok(()) | Err(Stop::End) => {}
                            Err(stop) => self.report(&stop),
                        }
                        if streaming.outputs.is_none() {
                            let why = "there is no header in what came";
                            gst::element_imp_error!(self, gst::StreamError::WrongType, ["{why}"]);
                        }
                    }
                }
                self.end();
                true
            }
            // Those of the file; the streams have their own.
            EventView::Segment(_) | EventView::Caps(_) | EventView::StreamStart(_) | EventView::Tag(_) => {
                true
            }
            EventView::FlushStop(_) => {
                if let Some(streaming) = &mut *lock(&self.streaming)
                    && let Input::Pushed(parser) = &mut streaming.input
                {
                    **parser = self::parser();
                    if let Some(outputs) = &mut streaming.outputs {
                        outputs.flush();
                    }
                }
                gst::Pad::event_default(pad, Some(&*self.obj()), event)
            }
            _ => gst::Pad::event_default(pad, Some(&*self.obj()), event),
        }
    }

    fn source_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::Seek(seek) => self.seek(seek, event.seqnum()),
            _ => gst::Pad::event_default(pad, Some(&*self.obj()), event),
        }
    }

    fn source_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        use gst::QueryViewMut;

        let (pulls, duration) = {
            let known = lock(&self.known);
            (known.pulls, known.duration)
        };
        match query.view_mut() {
            QueryViewMut::Duration(query) if query.format() == gst::Format::Time => {
                if duration.is_some() {
                    query.set(duration);
                }
                duration.is_some()
            }
            QueryViewMut::Seeking(query) if query.format() == gst::Format::Time => {
                query.set(
                    pulls,
                    gst::ClockTime::ZERO,
                    duration.unwrap_or(gst::ClockTime::ZERO),
                );
                true
            }
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }

    /// Goes on from the key chunk before another time.
    fn seek(&self, seek: &gst::event::Seek, seqnum: gst::Seqnum) -> bool {
        let (rate, flags, start_type, start, stop_type, stop) = seek.get();
        let (Ok(start), Ok(stop)) = (
            Option::<gst::ClockTime>::try_from(start),
            Option::<gst::ClockTime>::try_from(stop),
        ) else {
            return false;
        };
        // Backwards, frames would have to be decoded group by group.
        if rate <= 0.0 || !lock(&self.known).pulls {
            return false;
        }
        let (pads, mut segment) = {
            let known = lock(&self.known);
            (known.pads.clone(), known.segment.clone())
        };
        if segment
            .do_seek(rate, flags, start_type, start, stop_type, stop)
            .is_none()
        {
            return false;
        }
        let flushes = flags.contains(gst::SeekFlags::FLUSH);
        if flushes {
            let start = gst::event::FlushStart::builder().seqnum(seqnum).build();
            self.sink.push_event(start.clone());
            pads.iter().for_each(|pad| {
                pad.push_event(start.clone());
            });
        } else {
            let _ = self.sink.pause_task();
        }
        let streams = self.sink.stream_lock();
        if flushes {
            let stop = gst::event::FlushStop::builder(true).seqnum(seqnum).build();
            self.sink.push_event(stop.clone());
            pads.iter().for_each(|pad| {
                pad.push_event(stop.clone());
            });
        }
        {
            let mut known = lock(&self.known);
            known.segment = segment.clone();
            known.seqnum = seqnum;
        }
        let moved = match &mut *lock(&self.streaming) {
            Some(streaming) => streaming.move_to(segment.position().unwrap_or(gst::ClockTime::ZERO)),
            None => return false,
        };
        if let Err(error) = moved {
            self.report(&Stop::Fault(error));
            return false;
        }
        let event = segment_event(&lock(&self.known));
        pads.iter().for_each(|pad| {
            pad.push_event(event.clone());
        });
        drop(streams);
        self.start_task().is_ok()
    }
}

fn segment_event(known: &Known) -> gst::Event {
    gst::event::Segment::builder(&known.segment)
        .seqnum(known.seqnum)
        .build()
}

fn parser() -> Parser {
    let mut parser = Parser::new(Limits::default(), ReadMode::Resync);
    parser.set_unpack(false);
    parser
}

/// The part of a file from a time in ticks of the video on; none if it has no frames.
fn part(mut file: File<PadInput>, outputs: &Outputs, from: i64) -> Result<Option<Part<PadInput>>, Error> {
    let frame = match from > 0 {
        true => file.frame_at(outputs.video, from)?,
        false => PixelFrames(0),
    };
    let last = PixelFrames(file.frames(outputs.video).0.saturating_sub(1));
    let Some(needed) = file.chunks_for(outputs.video, frame.min(last)..PixelFrames(u64::MAX)) else {
        return Ok(None);
    };
    let streams: Vec<StreamId> = outputs.packets.keys().copied().collect();
    file.part(needed).with_packets(&streams).map(Some)
}

fn chunk_caps(video: &VideoStream, header: Vec<u8>) -> gst::Caps {
    gst::Caps::builder(CHUNKS)
        .field_if_some("width", i32::try_from(video.width).ok())
        .field_if_some("height", i32::try_from(video.height).ok())
        .field(
            "framerate",
            fraction(video.frame_rate).unwrap_or(gst::Fraction::new(0, 1)),
        )
        .field_if_some("pixel-aspect-ratio", fraction(video.pixel_aspect))
        .field("codec_data", gst::Buffer::from_slice(header))
        .build()
}

impl Streaming {
    /// Makes the next read begin at the key chunk before a time.
    fn move_to(&mut self, time: gst::ClockTime) -> Result<(), Error> {
        let Some(outputs) = &mut self.outputs else {
            return Ok(());
        };
        let Input::Pulled(reading) = std::mem::replace(&mut self.input, Input::Unopened) else {
            return Ok(());
        };
        let time = i64::try_from(time.nseconds()).unwrap_or(i64::MAX);
        let time = time.saturating_sub(outputs.shift.unwrap_or(0));
        let ticks = latentbit_container::rescale(time, Rational::NANOSECONDS, outputs.time_base);
        outputs.flush();
        match part(reading.into_file(), outputs, ticks)? {
            Some(part) => {
                self.input = Input::Pulled(Box::new(part));
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Outputs {
    /// Forgets what was handed on.
    fn flush(&mut self) {
        self.discontinuous = true;
        self.flows.reset();
        for output in self.packets.values_mut() {
            output.discontinuous = true;
            output.position = gst::ClockTime::ZERO;
        }
    }

    fn time(&mut self, ticks: i64, time_base: Rational) -> gst::ClockTime {
        let time = nanoseconds(ticks, time_base);
        let shift = *self.shift.get_or_insert(time.min(0).saturating_neg());
        clock_time(time.saturating_add(shift))
    }

    fn push_chunk(&mut self, mut chunk: StoredChunk) -> Result<(), Stop> {
        let start = self.time(chunk.times.start, self.time_base);
        let end = self.time(
            chunk.times.of(chunk.frame_count.0, self.frame_duration),
            self.time_base,
        );
        let (key, lost) = (chunk.key, chunk.is_lost());
        // The header of the pad has this stream alone.
        chunk.head.stream = StreamId(0);
        let mut buffer = gst::Buffer::from_slice(chunk.record(&self.header)?);
        if let Some(buffer) = buffer.get_mut() {
            ground::set_times(buffer, [start, end]);
            buffer.set_offset(chunk.first_frame.0);
            buffer.set_offset_end(chunk.end_frame().0);
            let mut flags = gst::BufferFlags::empty();
            flags.set(gst::BufferFlags::DELTA_UNIT, !key);
            flags.set(gst::BufferFlags::DISCONT, self.discontinuous);
            flags.set(gst::BufferFlags::CORRUPTED, lost);
            buffer.set_flags(flags);
        }
        self.discontinuous = false;
        let flow = self.video_pad.push(buffer);
        self.flows.update_pad_flow(&self.video_pad, flow)?;
        // Those who wait for a subtitle are told that there is none.
        for output in self
            .packets
            .values_mut()
            .filter(|output| output.kind != PacketKind::Audio)
        {
            if output.position < start {
                let gap = gst::event::Gap::builder(output.position).duration(start - output.position);
                output.pad.push_event(gap.build());
                output.position = start;
            }
        }
        Ok(())
    }

    fn push_packets(&mut self, packets: Packets) -> Result<(), Stop> {
        let Some(time_base) = self.packets.get(&packets.stream).map(|output| output.time_base) else {
            return Ok(());
        };
        for packet in packets.packets {
            let ticks = i64::try_from(packet.duration).unwrap_or(i64::MAX);
            let pts = self.time(packet.pts, time_base);
            let end = self.time(packet.pts.saturating_add(ticks), time_base);
            let dts = packet.dts.map(|dts| self.time(dts, time_base));
            let Some(output) = self.packets.get_mut(&packets.stream) else {
                return Ok(());
            };
            if let Some(first) = output.first.take() {
                let mut buffer = gst::Buffer::from_slice(first);
                if let Some(buffer) = buffer.get_mut() {
                    buffer.set_flags(gst::BufferFlags::HEADER);
                }
                self.flows.update_pad_flow(&output.pad, output.pad.push(buffer))?;
            }
            let mut buffer = gst::Buffer::from_slice(packet.data);
            if let Some(buffer) = buffer.get_mut() {
                buffer.set_pts(pts);
                buffer.set_dts(dts);
                if packet.duration > 0 {
                    buffer.set_duration(end.saturating_sub(pts));
                }
                let mut flags = gst::BufferFlags::empty();
                flags.set(gst::BufferFlags::DISCONT, output.discontinuous);
                flags.set(gst::BufferFlags::DELTA_UNIT, !packet.key);
                buffer.set_flags(flags);
            }
            output.discontinuous = false;
            output.position = output.position.max(end);
            let flow = output.pad.push(buffer);
            self.flows.update_pad_flow(&output.pad, flow)?;
        }
        Ok(())
    }
}
