//! Feeds a decoder with the chunks that the wanted frames need, and with placeholders for lost ones.

use std::ops::Range;
use std::sync::atomic::Ordering;

use anyhow::Context;
use latentbit_codec::pipeline::{ChunkInput, Coded};
use latentbit_container::{
    Chunk, Error, ErrorKind, Event, Packets, PixelFrames, StoredChunk, Times, VideoStream,
};

use crate::exit::Exit;
use crate::streaming::lbit_input::{LbitInput, Point, WantedFrames};
use crate::streaming::presentation::SideDataSender;
use latentbit_media::{MediaError, MediaErrorKind, Start};

/// Chunks of a pipe that are held back until it is clear whether their group has wanted frames. In longer groups, chunks
/// are decoded that nobody needs, which costs time but no memory.
const MAX_HELD: usize = 64;

/// The outcome of reading a stream.
#[derive(Debug, Default)]
pub struct Feed {
    /// The faults that were found, in order.
    pub damage: Vec<String>,
    /// The exit code for faults other than lost chunks.
    pub exit: Option<Exit>,
    /// Index after the last frame that was read or is known to be lost.
    pub end: u64,
    /// The exit code for unreadable bytes, unless it turns out that they held missing chunks.
    unexplained: Option<Exit>,
}

impl Feed {
    /// Records a fault. Damage outranks truncation.
    fn note(&mut self, exit: Exit) {
        if self.exit != Some(Exit::Damaged) {
            self.exit = Some(exit);
        }
    }

    /// Records that no chunk is missing where bytes were unreadable, so that they count as damage.
    fn settle(&mut self) {
        if let Some(exit) = self.unexplained.take() {
            self.note(exit);
        }
    }
}

fn exit_of(error: &Error) -> Exit {
    match error.kind() {
        ErrorKind::Truncated => Exit::Truncated,
        ErrorKind::Unsupported | ErrorKind::Limits => Exit::Error,
        _ => Exit::Damaged,
    }
}

/// Finds the wanted frames while chunks come in order.
pub struct RangeFinder {
    from: Point,
    wanted: WantedFrames,
    range: Option<Range<u64>>,
    frame_duration: u32,
    /// When the next chunk begins, should it be lost.
    next: i64,
}

impl RangeFinder {
    /// Looks for the `wanted` frames of `video`.
    pub fn new(wanted: WantedFrames, video: &VideoStream) -> Self {
        let from = match wanted.start {
            None => Point::Frame(0),
            Some(Start::Seconds(seconds)) if seconds <= 0.0 => Point::Frame(0),
            Some(start) => Point::new(start, video),
        };
        Self {
            from,
            wanted,
            range: match from {
                Point::Frame(first) => Some(wanted.range_from(first)),
                Point::Tick(_) => None,
            },
            frame_duration: video.frame_duration,
            next: 0,
        }
    }

    /// Takes note of a chunk of `frames`, and of its `times` unless it is lost. Returns true if this settled the range.
    pub fn look_at(&mut self, frames: &Range<u64>, times: Option<&Times>) -> bool {
        let count = frames.end.saturating_sub(frames.start);
        let lost = Times {
            start: self.next,
            durations: None,
        };
        let times = times.unwrap_or(&lost);
        self.next = times.of(count, self.frame_duration);
        let before = self.from.frames_before(frames, times, self.frame_duration);
        if self.range.is_some() || before >= count {
            return false;
        }
        self.range = Some(self.wanted.range_from(frames.start.saturating_add(before)));
        true
    }

    /// Indices of the wanted frames, once they are known.
    pub const fn range(&self) -> Option<&Range<u64>> {
        self.range.as_ref()
    }

    /// Whether a frame before `end` is wanted.
    pub fn reached(&self, end: u64) -> bool {
        self.range.as_ref().is_some_and(|range| end > range.start)
    }

    /// Whether all wanted frames come before frame `first`.
    pub fn passed(&self, first: u64) -> bool {
        self.range.as_ref().is_some_and(|range| first >= range.end)
    }
}

/// Something of a stream on its way to the decoder.
enum Item {
    Chunk(Chunk),
    /// A chunk that is unpacked only if it turns out to be needed.
    Stored(StoredChunk),
    Lost {
        chunks: Range<u64>,
        frames: Range<u64>,
    },
    Packets(Packets),
}

impl Item {
    fn of(stored: StoredChunk) -> Self {
        match stored.is_lost() {
            false => Self::Stored(stored),
            true => Self::Lost {
                chunks: stored.sequence..stored.sequence.saturating_add(1),
                frames: frames_of(stored.first_frame, stored.frame_count),
            },
        }
    }

    /// When it starts, if it is a key chunk.
    fn key_start(&self) -> Option<i64> {
        match self {
            Self::Chunk(chunk) => chunk.key.then_some(chunk.times.start),
            Self::Stored(chunk) => chunk.key.then_some(chunk.times.start),
            Self::Lost { .. } | Self::Packets(_) => None,
        }
    }
}

fn frames_of(first: PixelFrames, count: PixelFrames) -> Range<u64> {
    first.0..first.0.saturating_add(count.0)
}

/// Holds items back until the group of the first wanted frame comes.
#[derive(Default)]
struct Held {
    items: Vec<Item>,
    chunks: usize,
    /// Whether that group has come, so that nothing is held back any more.
    open: bool,
}

impl Held {
    /// Takes `item`, and returns what can go on. `reached` says whether `item` has wanted frames; `keeps` whether packets
    /// last beyond a point in time, so that they outlive their group.
    fn take(&mut self, item: Item, reached: bool, keeps: impl Fn(&Packets, i64) -> bool) -> Vec<Item> {
        if !self.open
            && let Some(start) = item.key_start()
        {
            self.items
                .retain(|item| matches!(item, Item::Packets(packets) if keeps(packets, start)));
            self.chunks = 0;
        }
        self.chunks += usize::from(!matches!(item, Item::Packets(_)));
        self.items.push(item);
        self.open |= reached || self.chunks > MAX_HELD;
        match self.open {
            true => std::mem::take(&mut self.items),
            false => Vec::new(),
        }
    }
}

/// What a decoder is fed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// The frames that are wanted.
    pub frames: WantedFrames,
    /// The most frames that may come with them, because memory was planned for no more.
    pub most: Option<u64>,
}

/// Feeds a decoder.
struct Feeding<'a> {
    place: String,
    decoder: ChunkInput,
    side_data: &'a SideDataSender,
    keep_going: bool,
    /// How many more frames may come.
    left: Option<u64>,
    feed: Feed,
}

/// Reads the stream and pushes the chunks that the `wanted` frames need, and the chunk after them if their last ones are
/// lost.
///
/// With `keep_going`, damage does not end it but is reported in the result.
///
/// # Errors
/// Faults that leave nothing to go on with; without `keep_going`, any damage.
pub fn feed(
    mut input: LbitInput,
    wanted: Wanted,
    decoder: ChunkInput,
    keep_going: bool,
    side_data: &SideDataSender,
) -> anyhow::Result<Feed> {
    let mut range = RangeFinder::new(wanted.frames, &input.video);
    range
        .range
        .iter()
        .for_each(|range| side_data.range(range.clone()));
    let mut held = Held::default();
    let mut feeding = Feeding {
        place: input.place.clone(),
        decoder,
        side_data,
        keep_going,
        left: wanted.most,
        feed: Feed::default(),
    };
    let mut chunks = 0u64;
    let mut after_lost = false;
    // A stream that is joined in the middle starts at its first key chunk.
    let mut joining = input.joining;
    loop {
        // Chunks of groups before the wanted frames are never unpacked.
        let event = match held.open || range.reached(1) {
            true => input.source.next_event(),
            false => input.source.next_stored_event(),
        };
        let (item, frames) = match event {
            Ok(Some(Event::Chunk(chunk))) if chunk.stream == input.stream => {
                joining &= !chunk.key;
                if joining {
                    continue;
                }
                let frames = frames_of(chunk.first_frame, chunk.frame_count);
                feeding.intact(&mut range, &frames, &chunk.times);
                (Item::Chunk(chunk), frames)
            }
            Ok(Some(Event::Stored(stored))) if stored.stream == input.stream => {
                let frames = frames_of(stored.first_frame, stored.frame_count);
                match stored.is_lost() {
                    true => feeding.lost(&mut range, stored.sequence..stored.sequence + 1, &frames)?,
                    false => feeding.intact(&mut range, &frames, &stored.times),
                }
                (Item::of(stored), frames)
            }
            Ok(Some(Event::Missing {
                stream,
                chunks,
                frames,
            })) if stream == input.stream => {
                feeding.lost(&mut range, chunks.clone(), &frames)?;
                let lost = Item::Lost {
                    chunks,
                    frames: frames.clone(),
                };
                (lost, frames)
            }
            Ok(Some(Event::Attachment(attachment))) => {
                input.beside.fetch_add(attachment.stored_len(), Ordering::Relaxed);
                continue;
            }
            Ok(Some(Event::Packets(packets))) => {
                let bytes = packets.packets.iter().map(|packet| packet.data.len() as u64);
                input.beside.fetch_add(bytes.sum::<u64>(), Ordering::Relaxed);
                if side_data.wants(packets.stream) {
                    let admitted = side_data.admit_packets(&packets);
                    let invalid = |message| MediaError::new(MediaErrorKind::Invalid, &input.place, message);
                    admitted.map_err(invalid)?;
                    for item in held.take(Item::Packets(packets), false, |_, _| true) {
                        feeding.push(item)?;
                    }
                }
                continue;
            }
            // Bytes before the first header, in a stream that is joined in the middle.
            Ok(Some(Event::Lost(lost))) if joining && lost.offset == 0 => continue,
            Ok(Some(Event::Lost(lost))) => {
                feeding.damage(&lost.reason);
                feeding.feed.settle();
                feeding.feed.unexplained = Some(exit_of(&lost.reason));
                continue;
            }
            Ok(Some(_)) => continue,
            Ok(None) => break,
            Err(error) if keep_going && chunks > 0 && worth_keeping(&error) => {
                feeding.damage(&error);
                feeding.feed.note(exit_of(&error));
                break;
            }
            Err(error) => return Err(error).context(input.place),
        };
        let lost = matches!(item, Item::Lost { .. });
        chunks += u64::from(!lost);
        let unwanted = range.passed(frames.start);
        if unwanted && !after_lost {
            break;
        }
        if !unwanted {
            feeding.feed.end = frames.end;
        }
        after_lost = lost;
        let reached = range.reached(frames.end);
        let keeps = |packets: &Packets, time: i64| {
            let lasts = side_data.lasts_until(packets, time);
            if !lasts {
                side_data.drop_packets(packets);
            }
            lasts
        };
        for item in held.take(item, reached, keeps) {
            if !feeding.push(item)? {
                return Ok(feeding.feed);
            }
        }
        if unwanted {
            break;
        }
    }
    feeding.feed.settle();
    is_open(feeding.decoder.flush())?;
    Ok(feeding.feed)
}

impl Feeding<'_> {
    fn damage(&mut self, reason: &Error) {
        self.feed.damage.push(format!("{}: {reason}", self.place));
    }

    fn intact(&mut self, range: &mut RangeFinder, frames: &Range<u64>, times: &Times) {
        self.feed.settle();
        self.find(range, frames, Some(times));
    }

    fn lost(
        &mut self,
        range: &mut RangeFinder,
        chunks: Range<u64>,
        frames: &Range<u64>,
    ) -> anyhow::Result<()> {
        self.note_lost(&chunks, frames)?;
        self.feed.unexplained = None;
        self.find(range, frames, None);
        Ok(())
    }

    fn note_lost(&mut self, chunks: &Range<u64>, frames: &Range<u64>) -> anyhow::Result<()> {
        let message = format!(
            "chunks {} to {} are lost, and with them the frames {} to {}",
            chunks.start,
            chunks.end.saturating_sub(1),
            frames.start,
            frames.end.saturating_sub(1)
        );
        if !self.keep_going {
            return Err(MediaError::new(MediaErrorKind::Invalid, &self.place, message).into());
        }
        self.feed.damage.push(format!("{}: {message}", self.place));
        Ok(())
    }

    fn find(&self, range: &mut RangeFinder, frames: &Range<u64>, times: Option<&Times>) {
        if range.look_at(frames, times)
            && let Some(range) = range.range()
        {
            self.side_data.range(range.clone());
        }
    }

    /// Passes an item on. Returns whether the decoder takes more: if not, it failed, and says so itself, or nobody wants
    /// more frames.
    fn push(&mut self, item: Item) -> anyhow::Result<bool> {
        let part = match item {
            Item::Packets(packets) => {
                self.side_data.packets(packets);
                return Ok(true);
            }
            Item::Lost { chunks, frames } => Coded::Lost { chunks, frames },
            Item::Chunk(chunk) => Coded::Chunk(chunk),
            Item::Stored(stored) => match stored.unpack() {
                Ok(chunk) => Coded::Chunk(chunk),
                // The checksum is right, so the writer was wrong.
                Err(error) => {
                    let chunks = stored.sequence..stored.sequence.saturating_add(1);
                    let frames = frames_of(stored.first_frame, stored.frame_count);
                    self.damage(&error);
                    self.note_lost(&chunks, &frames)?;
                    Coded::Lost { chunks, frames }
                }
            },
        };
        let frames = match &part {
            Coded::Chunk(chunk) => {
                self.side_data.chunk(chunk);
                chunk.frame_count.0
            }
            Coded::Lost { frames, .. } => frames.end.saturating_sub(frames.start),
        };
        if let Some(left) = &mut self.left {
            let Some(rest) = left.checked_sub(frames) else {
                let message = "it has more frames than its index and its header say, and memory was planned for those; \
                               write a new index with `latentbit index`";
                return Err(MediaError::new(MediaErrorKind::Invalid, &self.place, message).into());
            };
            *left = rest;
        }
        is_open(self.decoder.push(part))
    }
}

fn is_open(pushed: latentbit_codec::Result<()>) -> anyhow::Result<bool> {
    match pushed {
        Ok(()) => Ok(true),
        Err(latentbit_codec::Error::Closed) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether the chunks before the error are usable without what follows it.
fn worth_keeping(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Truncated | ErrorKind::Format | ErrorKind::Unsupported | ErrorKind::Limits
    )
}

#[cfg(test)]
mod tests {
    use latentbit_container::{ChunkHead, LatentFrames, StreamId, TokenGrid, Tokens};

    use super::*;
    use crate::streaming::testing::video;

    fn chunk(sequence: u64, key: bool) -> Chunk {
        Chunk {
            head: ChunkHead {
                sequence,
                first_frame: PixelFrames(sequence * 10),
                frame_count: PixelFrames(10),
                latent_frames: LatentFrames(3),
                key,
                ..ChunkHead::default()
            },
            times: Times {
                start: i64::try_from(sequence).unwrap() * 10,
                durations: None,
            },
            tokens: Tokens::new(TokenGrid { t: 1, h: 1, w: 1 }, 1, vec![0]),
        }
    }

    fn packets(sequence: u64) -> Packets {
        Packets {
            stream: StreamId(1),
            sequence,
            packets: Vec::new(),
        }
    }

    /// Numbers of the chunks and, from 1000 on, of the packets that reach the decoder. Each chunk has packets before it, which
    /// end with it; only those of chunk `lasting` go on.
    fn select(start: u64, keys: &[bool], lasting: u64) -> Vec<u64> {
        let mut held = Held::default();
        let mut out = Vec::new();
        for (sequence, &key) in (0..).zip(keys) {
            out.extend(held.take(Item::Packets(packets(sequence)), false, |_, _| true));
            let reached = (sequence + 1) * 10 > start;
            let keeps = |packets: &Packets, _| packets.sequence == lasting;
            out.extend(held.take(Item::Chunk(chunk(sequence, key)), reached, keeps));
        }
        let numbers = out.iter().map(|item| match item {
            Item::Chunk(chunk) => chunk.sequence,
            Item::Packets(packets) => 1000 + packets.sequence,
            _ => u64::MAX,
        });
        numbers.collect()
    }

    #[test]
    fn ranges_begin_at_a_key_chunk() {
        let keys = [true, false, false, true, false, true];
        let chunks = |start| {
            let numbers = select(start, &keys, u64::MAX).into_iter();
            numbers.filter(|&number| number < 1000).collect::<Vec<_>>()
        };
        assert_eq!(chunks(0), [0, 1, 2, 3, 4, 5]);
        assert_eq!(chunks(29), [0, 1, 2, 3, 4, 5]);
        assert_eq!(chunks(30), [3, 4, 5]);
        assert_eq!(chunks(45), [3, 4, 5]);
        assert_eq!(chunks(59), [5]);
        assert_eq!(chunks(60), [] as [u64; 0]);
    }

    #[test]
    fn packets_are_dropped_with_their_chunks_unless_they_last() {
        let keys = [true, false, true, false];
        assert_eq!(select(20, &keys, u64::MAX), [2, 1003, 3]);
        assert_eq!(select(20, &keys, 2), [1002, 2, 1003, 3]);
        assert_eq!(select(20, &keys, 0), [1000, 2, 1003, 3]);
    }

    #[test]
    fn little_is_held() {
        let mut keys = vec![false; 200];
        keys[0] = true;
        let chunks = select(1999, &keys, u64::MAX).into_iter();
        assert_eq!(chunks.filter(|&number| number < 1000).count(), 200);
    }

    #[test]
    fn times_tell_the_range() {
        let video = video();
        let wanted = |start| WantedFrames {
            start: Some(start),
            frames: Some(5),
        };
        // Ten frames of one tick, then four of three ticks, at 25 ticks a second.
        let varying = Times {
            start: 10,
            durations: Some(vec![3; 4]),
        };
        let constant = Times::default();
        let find = |start: Start, lost: bool| {
            let mut finder = RangeFinder::new(wanted(start), &video);
            let mut known = vec![finder.look_at(&(0..10), (!lost).then_some(&constant))];
            known.push(finder.look_at(&(10..14), Some(&varying)));
            (finder.range, known)
        };
        assert_eq!(find(Start::Seconds(0.2), false), (Some(5..10), vec![true, false]));
        assert_eq!(find(Start::Seconds(0.2), true), (Some(5..10), vec![true, false]));
        // Tick 13 is the second frame of the second chunk, tick 14 is within it.
        assert_eq!(find(Start::Seconds(13.0 / 25.0), false).0, Some(11..16));
        assert_eq!(find(Start::Seconds(14.0 / 25.0), false).0, Some(12..17));
        assert_eq!(
            find(Start::Seconds(20.0 / 25.0), false),
            (None, vec![false, false])
        );
        assert_eq!(find(Start::Frames(12), false), (Some(12..17), vec![false, false]));
    }

    /// Unreadable bytes count as damage unless chunks are missing there.
    #[test]
    fn damage_beside_chunks_counts() {
        let mut feed = Feed {
            unexplained: Some(Exit::Damaged),
            ..Feed::default()
        };
        feed.settle();
        assert_eq!(feed.exit, Some(Exit::Damaged));
        feed.note(Exit::Truncated);
        assert_eq!(feed.exit, Some(Exit::Damaged));
    }
}
