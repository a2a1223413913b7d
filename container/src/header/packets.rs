//! Streams of other codecs, carried unchanged (LBIT §4.4).

use crate::error::{Broken, Result};
use crate::fields::{Fields, put_text, put_varint};
use crate::ground::Rational;

const DEFAULT: u8 = 1;
const FORCED: u8 = 2;

/// What packets are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PacketKind {
    /// Sound.
    Audio,
    /// Subtitles.
    Subtitles,
    /// Anything else.
    Other,
}

/// A stream of another codec: what its decoder must know (LBIT §4.4).
///
/// [`new`](Self::new) describes a stream of which no more is known; the fields say more.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PacketStream {
    /// What it is for.
    pub kind: PacketKind,
    /// Matroska's identifier of the codec, such as `A_OPUS`; 1 to 64 printable ASCII characters other than the space.
    pub codec: String,
    /// What the codec's decoder needs first, as Matroska's CodecPrivate has it.
    pub private: Vec<u8>,
    /// Seconds per tick of its timestamps; both at least 1.
    pub time_base: Rational,
    /// Samples per second of sound, else 0.
    pub sample_rate: u32,
    /// Channels of sound, else 0.
    pub channels: u16,
    /// Bits of a sample, or 0 if that is not known or makes no sense.
    pub bits_per_sample: u16,
    /// Nanoseconds at the start that a decoder throws away.
    pub codec_delay: u64,
    /// Nanoseconds that a decoder must run before its output is right after a seek.
    pub seek_preroll: u64,
    /// Language as in RFC 5646 or ISO 639-2; empty if not known.
    pub language: String,
    /// A name for people; may be empty.
    pub title: String,
    /// Whether to play it if nobody says otherwise.
    pub default: bool,
    /// Whether to show it even to those who want no subtitles.
    pub forced: bool,
}

impl PacketStream {
    /// A stream of this codec, by Matroska's identifier, to be played if nobody says otherwise. All other numbers are 0
    /// and all other texts empty.
    #[must_use]
    pub fn new(kind: PacketKind, codec: impl Into<String>, time_base: Rational) -> Self {
        Self {
            kind,
            codec: codec.into(),
            private: Vec::new(),
            time_base,
            sample_rate: 0,
            channels: 0,
            bits_per_sample: 0,
            codec_delay: 0,
            seek_preroll: 0,
            language: String::new(),
            title: String::new(),
            default: true,
            forced: false,
        }
    }

    /// Sets samples per second and channels of sound.
    #[must_use]
    pub const fn with_sound(mut self, sample_rate: u32, channels: u16) -> Self {
        (self.sample_rate, self.channels) = (sample_rate, channels);
        self
    }

    /// Sets what the codec's decoder needs first.
    #[must_use]
    pub fn with_private(mut self, private: Vec<u8>) -> Self {
        self.private = private;
        self
    }

    pub(super) fn check(&self) -> Result<(), Broken> {
        let codec = &self.codec;
        if !(1..=64).contains(&codec.len()) || !codec.bytes().all(|byte| byte.is_ascii_graphic()) {
            let expected = "1 to 64 printable ASCII characters without a space";
            return Err(Broken::new("codec of packets", expected, codec.escape_debug()));
        }
        if self.time_base.num == 0 || self.time_base.den == 0 {
            let found = format!("{}/{}", self.time_base.num, self.time_base.den);
            return Err(Broken::new("time base", "two numbers of at least 1", found));
        }
        for (what, text) in [("language", &self.language), ("title of a stream", &self.title)] {
            if text.contains(char::is_control) {
                return Err(Broken::new(what, "no control characters", text.escape_debug()));
            }
        }
        Ok(())
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(48 + self.codec.len() + self.private.len());
        out.extend_from_slice(&self.time_base.num.to_le_bytes());
        out.extend_from_slice(&self.time_base.den.to_le_bytes());
        out.push(match self.kind {
            PacketKind::Audio => 1,
            PacketKind::Subtitles => 2,
            PacketKind::Other => 3,
        });
        out.push(if self.default { DEFAULT } else { 0 } | if self.forced { FORCED } else { 0 });
        out.extend_from_slice(&self.channels.to_le_bytes());
        out.extend_from_slice(&self.sample_rate.to_le_bytes());
        out.extend_from_slice(&self.bits_per_sample.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&self.codec_delay.to_le_bytes());
        out.extend_from_slice(&self.seek_preroll.to_le_bytes());
        for text in [&self.codec, &self.language, &self.title] {
            put_text(&mut out, text);
        }
        put_varint(&mut out, self.private.len() as u64);
        out.extend_from_slice(&self.private);
        out
    }

    pub(super) fn decode(body: &[u8], offset: u64) -> Result<Self> {
        let mut fields = Fields::new(body, offset, None);
        let time_base = Rational {
            num: fields.u32("time base")?,
            den: fields.u32("time base")?,
        };
        let kind = match fields.u8("kind of packets")? {
            1 => PacketKind::Audio,
            2 => PacketKind::Subtitles,
            _ => PacketKind::Other,
        };
        let flags = fields.u8("flags of a stream")?;
        let channels = fields.u16("channels")?;
        let sample_rate = fields.u32("sample rate")?;
        let bits_per_sample = fields.u16("bits per sample")?;
        fields.u16("reserved field")?;
        let codec_delay = fields.u64("codec delay")?;
        let seek_preroll = fields.u64("seek preroll")?;
        let codec = fields.text("codec of packets")?;
        let language = fields.text("language")?;
        let title = fields.text("title of a stream")?;
        let len = usize::try_from(fields.varint("private data of a codec")?).unwrap_or(usize::MAX);
        let private = fields.bytes(len, "private data of a codec")?.to_vec();
        // Later minor versions append fields here.
        Ok(Self {
            kind,
            codec,
            private,
            time_base,
            sample_rate,
            channels,
            bits_per_sample,
            codec_delay,
            seek_preroll,
            language,
            title,
            default: flags & DEFAULT != 0,
            forced: flags & FORCED != 0,
        })
    }
}
