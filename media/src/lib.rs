//! Reading and writing pictures: pipes, YUV4MPEG2, raw video, PNG and JPEG, and, with the feature `libav`, everything
//! that ffmpeg's libraries know.
//!
//! [`open_source`] and [`open_sink`] are the doors. Both put the work on a thread of its own behind a short queue, so
//! that decoding, the networks and encoding overlap, and memory stays flat in the length of the video.

mod atomic;
mod background;
pub mod color;
mod error;
mod extras;
mod filters;
#[cfg(feature = "libav")]
mod libav_in;
#[cfg(feature = "libav")]
mod libav_out;
#[cfg(feature = "libav")]
mod libav_packets;
#[cfg(feature = "libav")]
mod libav_util;
#[cfg(feature = "libav")]
mod matroska;
mod pixel;
mod rate;
mod raw;
mod sink;
mod source;
mod start;
mod still;
mod tensor;
#[cfg(test)]
mod testing;
mod types;
mod y4m;

pub use atomic::{AtomicFile, Target};
pub use error::{MediaError, MediaErrorKind};
pub use extras::Extras;
pub use filters::{Crop, Filters, Resize};
pub use pixel::PixelLayout;
pub use rate::parse_rate;
pub use raw::RawFormat;
pub use sink::{OutputOptions, open_sink};
pub use source::{InputOptions, open_source};
pub use start::Start;
pub use tensor::{FRAMES, TensorWriter};
pub use types::{Chroma, Color, Frame, Packet, PacketStream, Rational};

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
    /// Frames per second; the average, if the rate varies.
    pub frame_rate: Rational,
    /// Seconds per tick of the frames' times; none if the frames come at a constant rate.
    pub time_base: Option<Rational>,
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
    /// Sound and subtitles that come along.
    pub packet_streams: Vec<PacketStream>,
    /// Video or a single picture.
    pub kind: MediaKind,
}

/// Gives frames one after the other.
pub trait FrameSource: Send {
    /// What is known about the video.
    fn info(&self) -> &VideoInfo;

    /// The next frame, or `None` after the last. An error ends the source.
    fn next_frame(&mut self) -> Result<Option<Frame>, MediaError>;

    /// What belongs to the frame that [`next_frame`](Self::next_frame) gave, or, at the end, what is left.
    fn take_extras(&mut self) -> Extras;
}

/// Takes frames one after the other.
pub trait FrameSink: Send {
    /// Writes one frame, which is shown at `time`, in ticks of [`OutputOptions::time_base`]. An error may belong to an
    /// earlier frame, because writing goes on in the background.
    fn write_frame(&mut self, frame: Frame, time: i64) -> Result<(), MediaError>;

    /// Writes a packet of a stream of [`OutputOptions::packet_streams`]. Outputs that hold none leave it out.
    fn write_packet(&mut self, stream: usize, packet: Packet) -> Result<(), MediaError>;

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
