//! The header record: what a reader must know before the first chunk (LBIT §4).

mod packets;
mod video;

pub use packets::{PacketKind, PacketStream};
pub use video::{BundleId, MAX_BUNDLE_NAME, TokenLayout, VideoStream};

use crate::error::{Broken, Error, Result};
use crate::fields::Fields;
use crate::ground::StreamId;
use crate::limits::{Limits, within};
use crate::record::{self, CRC_LEN, HEADER_LEN, Tag};
#[cfg(doc)]
use crate::stored::StoredChunk;

/// Bytes before the length, kind and reserved byte of the first stream.
const PREFIX_LEN: usize = 8;

const VIDEO: u8 = 1;
const PACKETS: u8 = 2;

/// One stream of a file, as the header describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stream {
    /// Video as tokens.
    Video(VideoStream),
    /// Packets of another codec, carried unchanged.
    Packets(PacketStream),
    /// A kind that this crate does not know; its records are skipped.
    Unknown {
        /// The number of the kind.
        kind: u8,
    },
}

/// The header of a file (LBIT §4): its streams. Their places in the list are their [`StreamId`]s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// At least one.
    pub streams: Vec<Stream>,
}

impl From<VideoStream> for Header {
    fn from(video: VideoStream) -> Self {
        Self {
            streams: vec![Stream::Video(video)],
        }
    }
}

impl Header {
    /// A stream of tokens, if `id` is one.
    #[must_use]
    pub fn video(&self, id: StreamId) -> Option<&VideoStream> {
        match self.streams.get(id.index()) {
            Some(Stream::Video(video)) => Some(video),
            _ => None,
        }
    }

    /// A stream of packets, if `id` is one.
    #[must_use]
    pub fn packets(&self, id: StreamId) -> Option<&PacketStream> {
        match self.streams.get(id.index()) {
            Some(Stream::Packets(packets)) => Some(packets),
            _ => None,
        }
    }

    /// Whether `id` is a stream of a kind that this crate does not know.
    pub(crate) fn is_unknown(&self, id: StreamId) -> bool {
        matches!(self.streams.get(id.index()), Some(Stream::Unknown { .. }))
    }

    /// The first stream of tokens, which is the one to show if nobody says otherwise.
    #[must_use]
    pub fn first_video(&self) -> Option<(StreamId, &VideoStream)> {
        self.ids().find_map(|id| Some((id, self.video(id)?)))
    }

    /// All streams' identifiers.
    pub fn ids(&self) -> impl Iterator<Item = StreamId> + use<> {
        (0..u16::try_from(self.streams.len()).unwrap_or(u16::MAX)).map(StreamId)
    }

    /// Checks every rule of LBIT §4.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) names the first field that is out of range.
    pub fn validate(&self) -> Result<()> {
        self.check().map_err(Broken::by_caller)
    }

    /// The record of the header, as it lies behind the magic of a file. It and [`StoredChunk::record`] are for protocols that
    /// have packets of their own: a [`Parser`](crate::Parser) in [`ReadMode::Join`](crate::ReadMode::Join) that was pushed
    /// this takes the chunks from any key chunk on.
    ///
    /// # Errors
    /// As for [`validate`](Self::validate).
    pub fn record(&self) -> Result<Vec<u8>> {
        let payload = self.encode().map_err(Broken::by_caller)?;
        let mut out = Vec::with_capacity(payload.len() + HEADER_LEN + CRC_LEN);
        record::append(&mut out, Tag::HEAD, StreamId::NONE, 0, &payload).map_err(Broken::by_caller)?;
        Ok(out)
    }

    fn check(&self) -> Result<(), Broken> {
        if !(1..usize::from(u16::MAX)).contains(&self.streams.len()) {
            return Err(Broken::new("number of streams", "1 to 65534", self.streams.len()));
        }
        self.streams.iter().try_for_each(|stream| match stream {
            Stream::Video(video) => video.check(),
            Stream::Packets(packets) => packets.check(),
            Stream::Unknown { .. } => Ok(()),
        })
    }

    /// The version of a file with this header: an elastic stream needs 1.1, and everything else is 1.0.
    #[must_use]
    pub fn version(&self) -> Version {
        let elastic = self
            .streams
            .iter()
            .any(|stream| matches!(stream, Stream::Video(video) if video.depth_step.is_some()));
        let minor = u16::from(elastic);
        Version {
            major: 1,
            minor,
            min_reader_minor: minor,
        }
    }

    /// The payload of the header record.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, Broken> {
        self.check()?;
        let Version {
            major,
            minor,
            min_reader_minor,
        } = self.version();
        let mut out = Vec::with_capacity(PREFIX_LEN + 128 * self.streams.len());
        for number in [major, minor, min_reader_minor, self.streams.len() as u16] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for stream in &self.streams {
            let (kind, body) = match stream {
                Stream::Video(video) => (VIDEO, video.encode()),
                Stream::Packets(packets) => (PACKETS, packets.encode()),
                Stream::Unknown { kind } => {
                    return Err(Broken::new("kind of stream", "video or packets", kind));
                }
            };
            let len = u32::try_from(body.len())
                .map_err(|_| Broken::new("description of a stream", "less than 4 GiB", body.len()))?;
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(&[kind, 0, 0, 0]);
            out.extend_from_slice(&body);
        }
        Ok(out)
    }

    /// Reads the payload of a header record that starts at `offset`.
    pub(crate) fn decode(payload: &[u8], offset: u64, limits: &Limits) -> Result<(Self, Version)> {
        let mut fields = Fields::new(payload, offset, None);
        let version = Version::decode(&mut fields)?;
        let at = fields.offset();
        let count = fields.u16("number of streams")?;
        within(
            limits.max_streams,
            "max_streams",
            "number of streams",
            u64::from(count),
            at,
            None,
        )?;
        // A reader that may not know of depths must be able to read all of the file without them.
        let elastic = version.min_reader_minor >= 1;
        let mut streams = Vec::new();
        for _ in 0..count {
            let len = fields.u32("description of a stream")?;
            let [kind, _, _, _] = fields.array("kind of stream")?;
            let at = fields.offset();
            let body = fields.bytes(len as usize, "description of a stream")?;
            streams.push(match kind {
                VIDEO => Stream::Video(VideoStream::decode(body, at, elastic, limits)?),
                PACKETS => Stream::Packets(PacketStream::decode(body, at)?),
                kind => Stream::Unknown { kind },
            });
        }
        // No check for the end of the payload: later minor versions append fields here.
        let header = Self { streams };
        header.check().map_err(|broken| broken.in_file(offset, None))?;
        Ok((header, version))
    }
}

/// The version of the format that a file is written in (LBIT §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// A reader refuses majors that it does not know.
    pub major: u16,
    /// Counts additions that older readers may ignore.
    pub minor: u16,
    /// The least minor version that a reader must know.
    pub min_reader_minor: u16,
}

impl Version {
    /// The newest that this crate reads and writes; [`Header::version`] says which one a file gets.
    pub const CURRENT: Self = Self {
        major: 1,
        minor: 1,
        min_reader_minor: 1,
    };

    /// Reads a version and refuses it if this crate cannot read such files.
    pub(super) fn decode(fields: &mut Fields<'_>) -> Result<Self> {
        let offset = fields.offset();
        let version = Self {
            major: fields.u16("format version")?,
            minor: fields.u16("format version")?,
            min_reader_minor: fields.u16("format version")?,
        };
        let known = Self::CURRENT;
        if version.major != known.major {
            return Err(Error::Unsupported {
                offset,
                chunk: None,
                what: "major version of the format",
                expected: known.major.to_string(),
                found: version.major.to_string(),
            });
        }
        if version.min_reader_minor > version.minor {
            let expected = format!("a minimum reader version of at most {}", version.minor);
            return Err(
                Broken::new("format version", expected, version.min_reader_minor).in_file(offset, None)
            );
        }
        if version.min_reader_minor > known.minor {
            return Err(Error::Unsupported {
                offset,
                chunk: None,
                what: "minor version of the format",
                expected: format!("{}.0 to {}.{}", known.major, known.major, known.minor),
                found: format!("a file for {}.{} and up", version.major, version.min_reader_minor),
            });
        }
        Ok(version)
    }
}

#[cfg(test)]
mod tests;
