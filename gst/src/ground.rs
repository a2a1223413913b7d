//! What the elements have in common: caps, times, models.

use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

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
pub fn picture(video: &VideoStream) -> Result<gst_video::VideoInfo, gst::glib::BoolError> {
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
