//! What a reader is willing to spend on a stream that it does not trust (LBIT §9).

use crate::error::Error;

/// The budgets of a reader: what a stream may ask of it, checked before anything is allocated.
///
/// They are what every way of reading accounts to: [`Parser`](crate::Parser), [`Reader`](crate::Reader),
/// [`File`](crate::File), [`verify`](crate::verify()), the functions of [`edit`](crate::edit), the command, and the Python
/// package. Under them the work for a stream is linear in its bytes and in the bits that its chunks declare, each unpacked
/// once, and memory is bounded whatever its length; LBIT §9.1 has the figures.
///
/// `None` switches a bound off. The defaults fit video of 8K and its tokens.
///
/// ```
/// use latentbit_container::Limits;
/// // A reader of small clips that follow each other quickly.
/// let limits = Limits::default().with_max_frame_side(Some(512)).with_max_chunk_bytes(Some(1 << 20));
/// assert_eq!(limits.max_frame_side, Some(512));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Largest width and height of a frame. Default 16384.
    pub max_frame_side: Option<u32>,
    /// Largest payload of a header, a metadata, a chapter or an end record in bytes. Default 1 MiB.
    pub max_header_bytes: Option<u32>,
    /// Most streams in a file. Default 64.
    pub max_streams: Option<u32>,
    /// Largest payload of a chunk record in bytes, and of its planes unpacked. Default 64 MiB.
    pub max_chunk_bytes: Option<u64>,
    /// Most frames that a full chunk of a stream may hold. Default 4096.
    pub max_chunk_frames: Option<u32>,
    /// Most tokens in a chunk; a token takes up to 17 bytes in memory while it is unpacked. Default 2^22.
    pub max_chunk_tokens: Option<u64>,
    /// Largest payload of a record of packets in bytes. Default 16 MiB.
    pub max_packet_bytes: Option<u32>,
    /// Most packets in a record. Default 2^16.
    pub max_packets: Option<u32>,
    /// Most memory of packets that were read and wait for the frames that they belong to, in bytes; for programs that show
    /// frames and packets together. Default 64 MiB.
    pub max_waiting_bytes: Option<u64>,
    /// Most keys, values, chapters and attachments in a file, in all records together; a later record counts as well as the one that it
    /// replaces. Default 2^16.
    pub max_metadata_entries: Option<u32>,
    /// Most bytes of payload of all records of metadata and chapters together. Default 16 MiB.
    pub max_metadata_bytes: Option<u64>,
    /// Most bytes of payload of all attachments together, and so of each one. Default 64 MiB.
    pub max_attachment_bytes: Option<u64>,
    /// Largest payload of an index record in bytes, read only by [`File`](crate::File); in memory it takes
    /// up to ten times as much. Default 16 MiB.
    pub max_index_bytes: Option<u32>,
    /// Most frames of all missing chunks together, so that a few bytes cannot claim years of video that somebody then
    /// fills in. Default 2^18, which is over two hours.
    pub max_missing_frames: Option<u64>,
    /// Most problems of a file that are kept to be told; more are only counted, see [`Problems`](crate::Problems).
    /// Default 1000.
    pub max_problems: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_frame_side: Some(16384),
            max_header_bytes: Some(1 << 20),
            max_streams: Some(64),
            max_chunk_bytes: Some(64 << 20),
            max_chunk_frames: Some(4096),
            max_chunk_tokens: Some(1 << 22),
            max_packet_bytes: Some(16 << 20),
            max_packets: Some(1 << 16),
            max_waiting_bytes: Some(64 << 20),
            max_metadata_entries: Some(1 << 16),
            max_metadata_bytes: Some(16 << 20),
            max_attachment_bytes: Some(64 << 20),
            max_index_bytes: Some(16 << 20),
            max_missing_frames: Some(1 << 18),
            max_problems: Some(1000),
        }
    }
}

impl Limits {
    /// No bounds at all: only for streams from a trusted source.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            max_frame_side: None,
            max_header_bytes: None,
            max_streams: None,
            max_chunk_bytes: None,
            max_chunk_frames: None,
            max_chunk_tokens: None,
            max_packet_bytes: None,
            max_packets: None,
            max_waiting_bytes: None,
            max_metadata_entries: None,
            max_metadata_bytes: None,
            max_attachment_bytes: None,
            max_index_bytes: None,
            max_missing_frames: None,
            max_problems: None,
        }
    }
}

macro_rules! setters {
    ($($with:ident $limit:ident $of:ty,)*) => {
        impl Limits {$(
            #[doc = concat!("Sets [`", stringify!($limit), "`](Self::", stringify!($limit), ").")]
            #[must_use]
            pub const fn $with(mut self, limit: Option<$of>) -> Self {
                self.$limit = limit;
                self
            }
        )*}
    };
}

setters! {
    with_max_frame_side max_frame_side u32,
    with_max_header_bytes max_header_bytes u32,
    with_max_streams max_streams u32,
    with_max_chunk_bytes max_chunk_bytes u64,
    with_max_chunk_frames max_chunk_frames u32,
    with_max_chunk_tokens max_chunk_tokens u64,
    with_max_packet_bytes max_packet_bytes u32,
    with_max_index_bytes max_index_bytes u32,
    with_max_packets max_packets u32,
    with_max_waiting_bytes max_waiting_bytes u64,
    with_max_metadata_entries max_metadata_entries u32,
    with_max_metadata_bytes max_metadata_bytes u64,
    with_max_attachment_bytes max_attachment_bytes u64,
    with_max_missing_frames max_missing_frames u64,
    with_max_problems max_problems u32,
}

/// Fails if `found` is over the limit called `name`.
pub(crate) fn within(
    limit: Option<impl Into<u64>>,
    name: &'static str,
    what: &'static str,
    found: u64,
    offset: u64,
    chunk: Option<u64>,
) -> Result<(), Error> {
    match limit.map(Into::into) {
        Some(limit) if found > limit => Err(Error::Limits {
            offset,
            chunk,
            what,
            name,
            limit,
            found,
        }),
        _ => Ok(()),
    }
}

/// What a reading has spent of its budgets for metadata, chapters and attachments, all records together.
#[derive(Clone, Debug)]
pub(crate) struct NotesBudget {
    limits: Limits,
    entries: u64,
    bytes: u64,
    attached: u64,
}

impl NotesBudget {
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            entries: 0,
            bytes: 0,
            attached: 0,
        }
    }

    /// Accounts for a record with `bytes` of payload at `offset`.
    pub fn record(&mut self, bytes: usize, offset: u64) -> Result<(), Error> {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        let what = "length of all metadata and chapters";
        let limit = self.limits.max_metadata_bytes;
        within(limit, "max_metadata_bytes", what, self.bytes, offset, None)
    }

    /// Accounts for an attachment with `bytes` of payload at `offset`.
    pub fn attachment(&mut self, bytes: usize, offset: u64) -> Result<(), Error> {
        self.entry(offset)?;
        self.attached = self.attached.saturating_add(bytes as u64);
        let what = "length of all attachments";
        let limit = self.limits.max_attachment_bytes;
        within(limit, "max_attachment_bytes", what, self.attached, offset, None)
    }

    /// Accounts for a key and its value, a chapter, or an attachment.
    pub fn entry(&mut self, offset: u64) -> Result<(), Error> {
        self.entries = self.entries.saturating_add(1);
        let what = "number of metadata entries, chapters and attachments";
        let limit = self.limits.max_metadata_entries;
        within(limit, "max_metadata_entries", what, self.entries, offset, None)
    }
}
