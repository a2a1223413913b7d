//! A part of a file, read in order.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Seek};
use std::ops::Range;

use super::gaps::{PacketWalk, Window};
use super::{File, Needed};
use crate::error::{Broken, Error, ErrorKind, Result};
use crate::ground::StreamId;
use crate::index::ChunkInfo;
use crate::limits::within;
use crate::parser::{Event, Lost};

/// Reads the chunks that a [`Needed`] names, one after the other, with the packets of the same time: the twin of
/// [`Reader`](crate::Reader) for a part of a file. Reads nothing before the key chunk but the tables of packets.
///
/// Events come in the order of the file: [`Event::Chunk`] (or [`Event::Stored`]), [`Event::Packets`], and for damage
/// [`Event::Lost`] and [`Event::Missing`]. Where the last chunks of the part are lost, the chunk after them comes as well,
/// because whoever fills the gap needs both sides.
///
/// ```
/// use std::io::{Read, Seek};
/// use latentbit_container::{Event, File, Limits, StreamId};
///
/// # fn demo(input: impl Read + Seek, sound: StreamId) -> latentbit_container::Result<()> {
/// let mut file = File::open(input, Limits::default())?;
/// let Some((stream, _)) = file.first_video() else { return Ok(()) };
/// // From second 20 to second 25 in a time base of milliseconds.
/// let Some(needed) = file.chunks_for_times(stream, 20_000..25_000)? else { return Ok(()) };
/// let mut part = file.part(needed).with_packets(&[sound])?;
/// while let Some(event) = part.next_event()? {
///     match event {
///         Event::Chunk(chunk) => println!("{} frames to decode", chunk.frame_count),
///         Event::Packets(packets) => println!("{} packets", packets.packets.len()),
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Part<R> {
    file: File<R>,
    needed: Needed,
    /// Place of the next chunk.
    next: usize,
    /// Whether the last chunk that came is lost.
    after_lost: bool,
    /// Whether a chunk after the part came.
    beyond: bool,
    strict: bool,
    planes: u8,
    packets: PacketWalk,
    missing_frames: u64,
    pending: VecDeque<Event>,
}

impl<R> Part<R> {
    pub(super) const fn new(file: File<R>, needed: Needed) -> Self {
        Self {
            next: needed.from_key,
            file,
            needed,
            after_lost: false,
            beyond: false,
            strict: false,
            planes: u8::MAX,
            packets: PacketWalk::none(),
            missing_frames: 0,
            pending: VecDeque::new(),
        }
    }

    /// Stops at the first damaged chunk with an error. Chunks whose place the file holds because they are lost stay
    /// [`Event::Missing`].
    #[must_use]
    pub const fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// Unpacks only the `planes` most important planes of each chunk, at least one.
    #[must_use]
    pub const fn with_planes(mut self, planes: u8) -> Self {
        self.planes = planes;
        self
    }

    /// What is read.
    #[must_use]
    pub const fn needed(&self) -> &Needed {
        &self.needed
    }

    /// The file.
    #[must_use]
    pub const fn file(&self) -> &File<R> {
        &self.file
    }

    /// Gives the file back.
    #[must_use]
    pub fn into_file(self) -> File<R> {
        self.file
    }
}

impl<R: Read + Seek> Part<R> {
    /// Reads the packets of `streams` as well: those of the time of the wanted frames, as [`PacketsIn`](super::PacketsIn)
    /// says. If the last wanted frame is the last of the stream, all that comes after it belongs to it. Streams that are
    /// not of packets are passed over.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Limits`], when the times of the frames are read.
    pub fn with_packets(mut self, streams: &[StreamId]) -> Result<Self> {
        let times = self.times()?;
        self.set_packets(streams, &times);
        Ok(self)
    }

    /// As [`with_packets`](Self::with_packets), for the times of whole chunks.
    pub(crate) fn set_packets(&mut self, streams: &[StreamId], times: &Range<i64>) {
        let Some(base) = self
            .file
            .head
            .header
            .video(self.needed.stream)
            .map(|video| video.time_base)
        else {
            return;
        };
        let wanted = streams.iter().filter_map(|&id| {
            let packets = self.file.head.header.packets(id)?;
            Some((id, Window::new(times, base, packets.time_base)))
        });
        let wanted: BTreeMap<_, _> = wanted.collect();
        self.packets = PacketWalk::new(&self.file, wanted);
    }

    /// When the wanted frames are shown, in ticks of their stream: from the first frame to the end of the last one, or
    /// without an end if that is the last of the stream.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Limits`].
    pub fn times(&mut self) -> Result<Range<i64>> {
        let (stream, frames) = (self.needed.stream, self.needed.frames.clone());
        let start = self.file.time_of(stream, frames.start)?;
        let end = match frames.end >= self.file.frames(stream) {
            true => i64::MAX,
            false => self.file.time_of(stream, frames.end)?,
        };
        Ok(start..end)
    }

    /// The next event; `None` after the last one.
    ///
    /// # Errors
    /// As for [`File::read`]; of kind [`ErrorKind::Format`] only if the part is [`strict`](Self::strict).
    pub fn next_event(&mut self) -> Result<Option<Event>> {
        let planes = self.planes;
        self.advance(|file, info| match info.is_lost() {
            true => file.read_stored(info).map(|_| None),
            false => file.read(info, planes).map(|chunk| Some(Event::Chunk(chunk))),
        })
    }

    /// As [`next_event`](Self::next_event), with chunks as they are stored: with all their planes, and those that hold the
    /// place of a lost chunk too.
    ///
    /// # Errors
    /// As for [`next_event`](Self::next_event).
    pub fn next_stored_event(&mut self) -> Result<Option<Event>> {
        self.advance(|file, info| file.read_stored(info).map(|chunk| Some(Event::Stored(chunk))))
    }

    /// `read` gives a chunk as an event, or nothing if the file holds only its place.
    fn advance(
        &mut self,
        read: impl Fn(&mut File<R>, &ChunkInfo) -> Result<Option<Event>>,
    ) -> Result<Option<Event>> {
        if let Some(event) = self.pending.pop_front() {
            return Ok(Some(event));
        }
        let wanted = self.next < self.needed.end || (self.after_lost && !self.beyond);
        let info = self.file.chunks(self.needed.stream).get(self.next).copied();
        let info = info.filter(|_| wanted);
        let until = info.map_or(u64::MAX, |info| info.offset);
        match self.packets.next(&mut self.file, until) {
            Ok(Some(packets)) => return Ok(Some(Event::Packets(packets))),
            Ok(None) => {}
            Err(error) => return self.lost(error, 0).map(Some),
        }
        let Some(info) = info else {
            return Ok(None);
        };
        self.beyond = self.next >= self.needed.end;
        self.next += 1;
        let found = match info.stored_len {
            0 => Ok(None),
            _ => read(&mut self.file, &info),
        };
        self.after_lost = info.is_lost() || found.is_err();
        match found {
            Ok(Some(event)) => Ok(Some(event)),
            Ok(None) => self.missing(&info).map(Some),
            Err(error) => {
                let lost = self.lost(error, info.stored_len)?;
                let missing = self.missing(&info)?;
                self.pending.push_back(missing);
                Ok(Some(lost))
            }
        }
    }

    /// Reports what could not be read, or fails if that must not be passed over.
    fn lost(&self, reason: Error, bytes: u64) -> Result<Event> {
        if self.strict || reason.kind() != ErrorKind::Format {
            return Err(reason);
        }
        Ok(Event::Lost(Lost {
            offset: reason.offset().unwrap_or(0),
            bytes,
            reason,
        }))
    }

    /// Reports `info`, which is lost, and the chunks after it that are missing along with it.
    fn missing(&mut self, info: &ChunkInfo) -> Result<Event> {
        let (mut chunks, mut frames) = (
            info.sequence..info.sequence + 1,
            info.first_frame.0..info.end_frame().0,
        );
        if info.stored_len == 0 {
            if self.strict {
                let broken = Broken::new("chunk", format!("chunk {}", info.sequence), "none");
                return Err(broken.in_file(0, Some(info.sequence)));
            }
            // Only the borders of the whole stretch are known.
            let after = self
                .file
                .chunks(self.needed.stream)
                .get(self.next..)
                .unwrap_or_default();
            let more = after.iter().take_while(|info| info.stored_len == 0);
            for info in more.clone() {
                (chunks.end, frames.end) = (info.sequence + 1, info.end_frame().0);
            }
            self.next += more.count();
        }
        self.missing_frames = self.missing_frames.saturating_add(frames.end - frames.start);
        within(
            self.file.limits.max_missing_frames,
            "max_missing_frames",
            "number of missing frames",
            self.missing_frames,
            info.offset,
            Some(info.sequence),
        )?;
        Ok(Event::Missing {
            stream: info.stream,
            chunks,
            frames,
        })
    }
}
