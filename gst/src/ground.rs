//! What the elements have in common: pads, tasks, caps, times, models.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_video::{
    VideoColorMatrix, VideoColorPrimaries, VideoColorRange, VideoColorimetry, VideoTransferFunction,
};
use latentbit_codec::bundle::Halves;
use latentbit_codec::{Bundle, Device, Error as CodecError};
use latentbit_container::{
    Color, ColorRange, Error as ContainerError, ErrorKind, Rational, VideoStream, rescale,
};

/// The media type of a file.
pub const FILE: &str = "video/vnd.latentbit";

/// The media type of the chunks of a video.
pub const CHUNKS: &str = "video/x-lbit";

/// Where the elements log.
pub static CATEGORY: LazyLock<gst::DebugCategory> =
    LazyLock::new(|| gst::DebugCategory::new("latentbit", gst::DebugColorFlags::empty(), Some("LatentBit")));

/// Locks, also after a panic: GStreamer turns that into an error of the element.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The templates of an element's pads.
pub fn templates<const N: usize>(
    described: [(&str, gst::PadDirection, gst::PadPresence, gst::Caps); N],
) -> Vec<gst::PadTemplate> {
    let made = described
        .into_iter()
        .filter_map(|(name, direction, presence, caps)| {
            let made = gst::PadTemplate::new(name, direction, presence, &caps);
            made.map_err(|error| gst::error!(CATEGORY, "{name}: {error}"))
                .ok()
        });
    made.collect()
}

/// Begins a pad by the template of its name.
pub fn pad<E: IsA<gst::Element> + glib::object::IsClass>(
    class: &glib::Class<E>,
    name: &str,
    direction: gst::PadDirection,
) -> gst::PadBuilder<gst::Pad> {
    let builder = match class.pad_template(name) {
        Some(template) => gst::Pad::builder_from_template(&template),
        None => gst::Pad::builder(direction),
    };
    builder.name(name)
}

/// Gives an element its pads.
pub fn add_pads(element: &impl IsA<gst::Element>, pads: &[&gst::Pad]) {
    for pad in pads {
        if let Err(error) = element.add_pad(*pad) {
            gst::error!(CATEGORY, obj = element, "{error}");
        }
    }
}

/// An element that takes from one pad and gives to another.
pub trait Filter: ElementImpl {
    /// Takes what is pushed.
    fn chain(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError>;

    /// Takes an event from upstream.
    fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool;

    /// The pad that it takes from.
    fn sink(&self) -> &gst::Pad;

    /// How long it keeps what it takes, once that is known.
    fn latency(&self) -> Option<gst::ClockTime>;

    /// Answers what downstream asks.
    fn answer(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryViewMut::Latency(query) = query.view_mut() {
            let answered = self.sink().peer_query(query);
            if let (true, Some(own)) = (answered, self.latency()) {
                let (live, least, most) = query.result();
                query.set(live, least + own, most.map(|most| most + own));
            }
            return answered;
        }
        gst::Pad::query_default(pad, Some(&*self.obj()), query)
    }
}

/// The sink and the source of a filter.
pub fn filter_pads<F: Filter>(class: &glib::Class<F::Type>) -> [gst::Pad; 2]
where
    F::Type: IsA<gst::Element> + glib::object::IsClass,
{
    let sink = pad(class, "sink", gst::PadDirection::Sink)
        .chain_function(|_, parent, buffer| {
            let failed = || Err(gst::FlowError::Error);
            F::catch_panic_pad_function(parent, failed, |imp| imp.chain(&buffer))
        })
        .event_function(|pad, parent, event| {
            F::catch_panic_pad_function(parent, || false, |imp| imp.sink_event(pad, event))
        })
        .build();
    let source = pad(class, "src", gst::PadDirection::Src)
        .query_function(|pad, parent, query| {
            F::catch_panic_pad_function(parent, || false, |imp| imp.answer(pad, query))
        })
        .build();
    [sink, source]
}

/// The task of a source pad, which hands on what comes out of a pipeline of the codec.
pub struct Task {
    given_up: Arc<AtomicBool>,
    ended: Receiver<gst::FlowError>,
}

impl Task {
    /// Starts it: `step` hands on one thing after the other, until it says why there is no more. It is told whether the
    /// pipeline was given up, which is no error then. `work` is dropped at the end, and that ends the pipeline.
    ///
    /// # Errors
    /// If GStreamer has no thread for it.
    pub fn start<W: Send + 'static>(
        pad: &gst::Pad,
        work: W,
        mut step: impl FnMut(&mut W, &AtomicBool) -> Result<(), gst::FlowError> + Send + 'static,
    ) -> Result<Self, glib::BoolError> {
        let (ending, ended) = channel();
        let given_up = Arc::new(AtomicBool::new(false));
        let mut at_work = Some((work, ending));
        let (own, stops) = (pad.clone(), given_up.clone());
        pad.start_task(move || {
            if let Some((work, ending)) = &mut at_work {
                let Err(flow) = step(work, &stops) else { return };
                let _ = ending.send(flow);
                at_work = None;
            }
            let _ = own.pause_task();
        })?;
        Ok(Self { given_up, ended })
    }

    /// Waits until it has ended, and tells how.
    pub fn end(&self) -> gst::FlowError {
        self.ended.recv().unwrap_or(gst::FlowError::Flushing)
    }

    /// Says that nobody waits for what the pipeline has, before that is dropped.
    pub fn give_up(&self) {
        self.given_up.store(true, Ordering::Release);
    }
}

/// The times of a segment.
///
/// # Errors
/// If it is one of something else.
pub fn segment_of(
    event: &gst::event::Segment,
) -> Result<gst::FormattedSegment<gst::ClockTime>, gst::ErrorMessage> {
    let times = event.segment().downcast_ref::<gst::ClockTime>().cloned();
    times.ok_or_else(|| gst::error_msg!(gst::StreamError::Format, ["a segment that is not of times"]))
}

/// How long a chunk of the full length is shown.
pub fn chunk_time(video: &VideoStream) -> gst::ClockTime {
    let frames = u64::from(video.chunk_latent_frames) * u64::from(video.strides[0]);
    let ticks = frames.saturating_mul(u64::from(video.frame_duration));
    clock_time(nanoseconds(
        i64::try_from(ticks).unwrap_or(i64::MAX),
        video.time_base,
    ))
}

/// Notes when what is in a buffer begins and ends.
pub fn set_times(buffer: &mut gst::BufferRef, [start, end]: [gst::ClockTime; 2]) {
    buffer.set_pts(start);
    buffer.set_duration(end.saturating_sub(start));
}

/// A time in ticks, in nanoseconds.
pub fn nanoseconds(ticks: i64, time_base: Rational) -> i64 {
    rescale(ticks, time_base, Rational::NANOSECONDS)
}

/// A time in nanoseconds as GStreamer has it, which knows none before 0.
pub fn clock_time(nanoseconds: i64) -> gst::ClockTime {
    let nanoseconds = u64::try_from(nanoseconds).unwrap_or(0);
    // The largest number stands for no time.
    gst::ClockTime::from_nseconds(nanoseconds.min(u64::MAX - 1))
}

/// A ratio as caps have it, unless it is unknown or too large.
pub fn fraction(ratio: Rational) -> Option<gst::Fraction> {
    let (num, den) = (i32::try_from(ratio.num).ok()?, i32::try_from(ratio.den).ok()?);
    (num > 0 && den > 0).then(|| gst::Fraction::new(num, den))
}

/// A ratio of caps; 0/1 if it is none.
pub fn ratio(fraction: gst::Fraction) -> Rational {
    match (u32::try_from(fraction.numer()), u32::try_from(fraction.denom())) {
        (Ok(num), Ok(den)) if den > 0 => Rational { num, den },
        _ => Rational { num: 0, den: 1 },
    }
}

/// What decoded frames look like: RGB, in the primaries and with the transfer of the source.
///
/// # Errors
/// For sizes that GStreamer does not know.
pub fn picture(video: &VideoStream) -> Result<gst_video::VideoInfo, glib::BoolError> {
    let transfer = match video.color.transfer {
        2 => VideoTransferFunction::Srgb,
        known => VideoTransferFunction::from_iso(u32::from(known)),
    };
    let primaries = match video.color.primaries {
        2 => VideoColorPrimaries::Bt709,
        known => VideoColorPrimaries::from_iso(u32::from(known)),
    };
    let color = VideoColorimetry::new(
        VideoColorRange::Range0_255,
        VideoColorMatrix::Rgb,
        transfer,
        primaries,
    );
    let rate = fraction(video.frame_rate).unwrap_or(gst::Fraction::new(0, 1));
    gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, video.width, video.height)
        .fps(rate)
        .par_if_some(fraction(video.pixel_aspect))
        .colorimetry(&color)
        .build()
}

/// The color of RGB frames, as files have it: YUV that is made of them later has the matrix of its primaries.
pub fn color_of(info: &gst_video::VideoInfo) -> Color {
    let color = info.colorimetry();
    let code = |found: u32, unknown: bool| match u8::try_from(found) {
        Ok(code) if !unknown => code,
        _ => 2,
    };
    let (primaries, transfer) = (color.primaries(), color.transfer());
    Color {
        primaries: code(primaries.to_iso(), primaries == VideoColorPrimaries::Unknown),
        transfer: code(transfer.to_iso(), transfer == VideoTransferFunction::Unknown),
        matrix: 2,
        range: ColorRange::Unspecified,
    }
}

/// A half of a model: that in a file, or the built-in one.
///
/// # Errors
/// As for [`Bundle::open_with`].
pub fn load(path: Option<&str>, halves: Halves) -> Result<Arc<Bundle>, CodecError> {
    let device = Device::auto();
    let dtype = device.dtype()?;
    let bundle = match path {
        Some(path) => Bundle::open_with(Path::new(path), halves, &device, dtype),
        None => Bundle::embedded_with(halves, &device, dtype),
    };
    bundle.map(Arc::new)
}

/// What kind of error GStreamer's users see.
pub fn stream_error(error: &CodecError) -> gst::StreamError {
    match error {
        CodecError::Container(error) => match error.kind() {
            ErrorKind::Unsupported => gst::StreamError::NotImplemented,
            _ => gst::StreamError::Decode,
        },
        CodecError::WrongBundle { .. } => gst::StreamError::CodecNotFound,
        CodecError::Bundle { .. } | CodecError::Predictor { .. } | CodecError::Io { .. } => {
            gst::StreamError::Failed
        }
        _ => gst::StreamError::Decode,
    }
}

/// The same, of what reading a file says.
pub fn reading_error(error: &ContainerError) -> gst::StreamError {
    match error.kind() {
        ErrorKind::Unsupported => gst::StreamError::NotImplemented,
        ErrorKind::Io => gst::StreamError::Failed,
        _ => gst::StreamError::Demux,
    }
}
