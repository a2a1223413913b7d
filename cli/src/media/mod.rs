//! Reading and writing pictures: pipes, YUV4MPEG2, raw video, PNG and JPEG, and, with the feature `libav`, everything
//! that ffmpeg's libraries know.
//!
//! [`open_source`] and [`open_sink`] are the doors. Both put the work on a thread of its own behind a short queue, so
//! that decoding, the networks and encoding overlap, and memory stays flat in the length of the video.

mod atomic;
mod background;
pub mod color;
mod error;
#[cfg(feature = "libav")]
mod libav_in;
#[cfg(feature = "libav")]
mod libav_out;
#[cfg(feature = "libav")]
mod libav_util;
mod pixel;
mod rate;
mod raw;
mod sink;
mod source;
mod start;
mod still;
mod types;
mod y4m;

pub use atomic::AtomicFile;
pub use error::{MediaError, MediaErrorKind};
pub use pixel::PixelLayout;
pub use raw::RawFormat;
pub use sink::{OutputOptions, open_sink};
pub use source::{InputOptions, open_source};
pub use start::Start;
pub use types::{Chroma, Color, Frame, Rational};

/// Largest width and height that any reader or writer accepts.
pub const MAX_SIDE: u32 = 16384;

/// What an input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaKind {
    /// Frames in time.
    Video,
    /// One picture.
    StillImage,
}

/// What is known about a video before its first frame.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoInfo {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Frames per second. A variable rate is given as its average: every frame is kept, its own time is not.
    pub frame_rate: Rational,
    /// Width of a pixel over its height; 1/1 when not said.
    pub pixel_aspect: Rational,
    /// Colour description as the input gives it.
    pub color: Color,
    /// Chroma sampling (the nearest, for samplings without a name here).
    pub chroma: Chroma,
    /// Chroma position with the values of [`color::location`].
    pub chroma_location: u8,
    /// Bits of a sample.
    pub bit_depth: u8,
    /// Frames that will come, as far as the input tells: good for a progress bar, not a promise.
    pub frame_count: Option<u64>,
    /// The input carries sound too, which no reader here passes on.
    pub has_audio: bool,
    /// Video or a single picture.
    pub kind: MediaKind,
}

/// Gives frames one after the other.
pub trait FrameSource: Send {
    /// What is known about the video.
    fn info(&self) -> &VideoInfo;

    /// The next frame, or `None` after the last. An error ends the source.
    fn next_frame(&mut self) -> Result<Option<Frame>, MediaError>;
}

/// Takes frames one after the other.
pub trait FrameSink: Send {
    /// Writes one frame. An error may belong to an earlier frame, because writing goes on in the background.
    fn write_frame(&mut self, frame: &Frame) -> Result<(), MediaError>;

    /// Writes what is outstanding and gives the file its name. Without this call nothing is left at the target.
    fn finish(self: Box<Self>) -> Result<(), MediaError>;
}

/// Lets libav print its own messages on stderr; they are off otherwise. No effect without the feature `libav`.
pub fn set_verbose(verbose: bool) {
    #[cfg(feature = "libav")]
    libav_util::set_verbose(verbose);
    #[cfg(not(feature = "libav"))]
    let _ = verbose;
}

/// Refuses pictures that are empty or larger than [`MAX_SIDE`], before anything is allocated for them.
fn check_size(place: &str, width: u64, height: u64) -> Result<(), MediaError> {
    let ok = 1..=u64::from(MAX_SIDE);
    if ok.contains(&width) && ok.contains(&height) {
        return Ok(());
    }
    Err(MediaError::new(
        MediaErrorKind::Invalid,
        place,
        format!("picture size {width}x{height} is outside 1x1 to {MAX_SIDE}x{MAX_SIDE}"),
    ))
}
