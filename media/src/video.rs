//! What readers give and writers take: the description of a video, its frames, and the packets beside them.

use crate::along::Along;
use crate::error::{MediaError, MediaErrorKind};
use latentbit_codec::Frame;
use latentbit_container::{Chroma, Color, Packet, PacketStream, Rational};

/// Largest width and height that any reader or writer accepts.
pub const MAX_SIDE: u32 = 16384;

/// What an input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MediaKind {
    /// Frames in time.
    Video,
    /// One picture.
    StillImage,
}

/// What is known about a video before its first frame.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct VideoInfo {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Width and height before filters changed them.
    pub unfiltered: (u32, u32),
    /// Frames per second; the average, if the rate varies.
    pub frame_rate: Rational,
    /// Frames per second where none is left out, if that is another number.
    pub nominal_rate: Option<Rational>,
    /// Seconds per tick of the frames' times; none if the frames come at a constant rate.
    pub time_base: Option<Rational>,
    /// Width of a pixel over its height; 1/1 if unknown.
    pub pixel_aspect: Rational,
    /// Colour description as the input gives it.
    pub color: Color,
    /// Chroma sampling, or the nearest one that has a name here.
    pub chroma: Chroma,
    /// Chroma position with the values of [`color::location`](crate::color::location).
    pub chroma_location: u8,
    /// Bits of a sample, 8 to 16.
    pub bit_depth: u8,
    /// Expected number of frames, if the input tells: good for a progress bar, not a promise.
    pub frame_count: Option<u64>,
    /// Sound and subtitles beside the frames.
    pub packet_streams: Vec<PacketStream>,
    /// Whether this is video or a single picture.
    pub kind: MediaKind,
    /// Whether pictures have transparency, which frames do not.
    pub alpha: bool,
    /// Names, chapters and the like.
    pub along: Along,
}

impl VideoInfo {
    /// Video of this size in pixels and with this many frames per second: 8 bits, 4:2:0, square pixels, unknown colour
    /// and length, no packets. Set the fields for anything else.
    pub fn new(width: u32, height: u32, frame_rate: Rational) -> Self {
        Self {
            width,
            height,
            unfiltered: (width, height),
            frame_rate,
            nominal_rate: None,
            time_base: None,
            pixel_aspect: Rational { num: 1, den: 1 },
            color: Color::default(),
            chroma: Chroma::C420,
            chroma_location: 0,
            bit_depth: 8,
            frame_count: None,
            packet_streams: Vec::new(),
            kind: MediaKind::Video,
            alpha: false,
            along: Along::default(),
        }
    }
}

/// What belongs to a frame: its time, and packets of sound and subtitles.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Extras {
    /// When the frame is shown, in ticks of [`VideoInfo::time_base`] from the first frame on; none if the frames come at
    /// a constant rate.
    pub time: Option<i64>,
    /// How long the frame is shown, in the same ticks, if the input says so. The next frame may come earlier or later.
    pub duration: Option<u64>,
    /// Packets read on the way to the frame, each with the index of its stream in [`VideoInfo::packet_streams`]. Their
    /// times count from the first frame, too.
    pub packets: Vec<(usize, Packet)>,
    /// What was wrong with the input on the way to the frame.
    pub damage: Damage,
}

/// What was wrong with an input, and left out or made up.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// Packets that did not decode; their frames are left out.
    pub packets: u64,
    /// Frames of which the decoder made up what it could not read.
    pub frames: u64,
}

impl Damage {
    /// Adds what was wrong elsewhere.
    pub const fn add(&mut self, other: Self) {
        self.packets = self.packets.saturating_add(other.packets);
        self.frames = self.frames.saturating_add(other.frames);
    }

    /// What has come since it was `before`.
    #[cfg_attr(not(feature = "libav"), expect(dead_code))]
    pub(crate) const fn since(self, before: Self) -> Self {
        Self {
            packets: self.packets.saturating_sub(before.packets),
            frames: self.frames.saturating_sub(before.frames),
        }
    }
}

/// Gives frames one by one.
pub trait FrameSource: Send {
    /// What is known about the video.
    fn info(&self) -> &VideoInfo;

    /// The next frame, or `None` after the last.
    ///
    /// # Errors
    /// What went wrong while reading or decoding. An error ends the source.
    fn next_frame(&mut self) -> Result<Option<Frame>, MediaError>;

    /// What belongs to the frame that [`next_frame`](Self::next_frame) just gave; at the end, and after an error, what is left
    /// over.
    fn take_extras(&mut self) -> Extras;
}

/// Takes frames one by one.
pub trait FrameSink: Send {
    /// Writes a frame that is shown at `time`, in ticks of [`OutputOptions::time_base`](crate::OutputOptions::time_base).
    ///
    /// # Errors
    /// [`MediaErrorKind::Usage`] for a frame of another size. Other errors may belong to an earlier frame, because
    /// writing goes on in the background.
    fn write_frame(&mut self, frame: Frame, time: i64) -> Result<(), MediaError>;

    /// Writes a packet of stream number `stream` of
    /// [`OutputOptions::packet_streams`](crate::OutputOptions::packet_streams). Outputs without packets drop it.
    ///
    /// # Errors
    /// As for [`write_frame`](Self::write_frame).
    fn write_packet(&mut self, stream: usize, packet: Packet) -> Result<(), MediaError>;

    /// Says when the last frame ends, in the ticks of frames' times, before [`finish`](Self::finish). Otherwise it lasts as
    /// long as a frame does at a constant rate.
    ///
    /// # Errors
    /// As for [`write_frame`](Self::write_frame).
    fn end_at(&mut self, _time: i64) -> Result<(), MediaError> {
        Ok(())
    }

    /// Writes what is outstanding and gives the file its name. Without this call no file appears.
    ///
    /// # Errors
    /// What went wrong since the last call.
    fn finish(self: Box<Self>) -> Result<(), MediaError>;
}

/// Refuses pictures that are empty or larger than [`MAX_SIDE`], before anything is allocated for them.
pub(crate) fn check_size(place: &str, width: u64, height: u64) -> Result<(), MediaError> {
    let ok = 1..=u64::from(MAX_SIDE);
    if ok.contains(&width) && ok.contains(&height) {
        return Ok(());
    }
    if (width, height) == (0, 0) {
        let message =
            "the size of its pictures cannot be found; it is damaged, or of a kind that is not known here";
        return Err(MediaError::new(MediaErrorKind::Invalid, place, message));
    }
    Err(MediaError::new(
        MediaErrorKind::Invalid,
        place,
        format!("picture size {width}x{height} is outside 1x1 to {MAX_SIDE}x{MAX_SIDE}"),
    ))
}
