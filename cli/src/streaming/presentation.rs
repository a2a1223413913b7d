//! When decoded frames are shown, and the packets that go with them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};

use crate::streaming::depth_view::DepthView;
use latentbit_container::{
    Chunk, Header, Packet, PacketStream, Packets, Rational, Stream, StreamId, Times, VideoStream, rescale,
};

use crate::limits::limits;

/// Streams of packets that are wanted, by their numbers in the file.
pub type PacketStreams = Vec<(StreamId, PacketStream)>;

/// The streams of packets that `choose` takes.
pub fn packet_streams(header: &Header, choose: impl Fn(&PacketStream) -> bool) -> PacketStreams {
    let streams = header.ids().zip(&header.streams);
    let packets = streams.filter_map(|(id, stream)| match stream {
        Stream::Packets(packets) if choose(packets) => Some((id, packets.clone())),
        _ => None,
    });
    packets.collect()
}

/// What a stream holds beside its tokens.
enum SideData {
    /// Indices of the frames that are wanted.
    Range(Range<u64>),
    /// A chunk: its first frame, how many it has, and their times.
    Chunk(u64, u64, Times),
    /// Packets, with the place of their stream among those that are wanted.
    Packets(usize, Vec<Packet>),
}

/// Sends a [`Presentation`] what is read.
#[derive(Debug)]
pub struct SideDataSender {
    sender: Sender<SideData>,
    time_base: Rational,
    streams: PacketStreams,
    /// Bytes of packets that were admitted, and neither dropped nor shown yet, and how many there may be.
    waiting: Arc<AtomicUsize>,
    most_waiting: Option<u64>,
    /// Where the depths of tokens are drawn, if they are.
    depths: Option<DepthView>,
}

impl SideDataSender {
    /// Sends the depths of chunks, too.
    pub fn with_depths(self, depths: Option<DepthView>) -> Self {
        Self { depths, ..self }
    }

    /// Sends which frames are wanted, before any of them is decoded.
    pub fn range(&self, range: Range<u64>) {
        self.send(SideData::Range(range));
    }

    /// Sends the times of a chunk, before its frames are decoded.
    pub fn chunk(&self, chunk: &Chunk) {
        let (first, frames) = (chunk.first_frame.0, chunk.frame_count.0);
        self.send(SideData::Chunk(first, frames, chunk.times.clone()));
        if let Some(depths) = &self.depths {
            depths.take(chunk);
        }
    }

    /// Whether the packets of a stream are wanted.
    pub fn wants(&self, stream: StreamId) -> bool {
        self.place(stream).is_some()
    }

    /// Counts packets that were read as waiting, until they are shown or [dropped](Self::drop_packets).
    ///
    /// # Errors
    /// The message for a stream whose packets lie so far from their frames that too many would have to wait.
    pub fn admit_packets(&self, packets: &Packets) -> Result<(), String> {
        let bytes = size(&packets.packets);
        let waiting = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        match self.most_waiting {
            Some(most) if waiting.saturating_add(bytes) as u64 > most => Err(format!(
                "over {} MiB of sound and subtitles lie apart from the pictures that they belong to; leave them out with \
                 --no-audio and --no-subtitles, or lift the limit with --trusted",
                most >> 20
            )),
            _ => Ok(()),
        }
    }

    /// Ends the waiting of packets that are not needed.
    pub fn drop_packets(&self, packets: &Packets) {
        self.waiting.fetch_sub(size(&packets.packets), Ordering::Relaxed);
    }

    /// Sends packets.
    pub fn packets(&self, packets: Packets) {
        if let Some(place) = self.place(packets.stream) {
            self.send(SideData::Packets(place, packets.packets));
        }
    }

    /// Whether one of `packets` is heard or shown at or after `time`, in ticks of the video.
    pub fn lasts_until(&self, packets: &Packets, time: i64) -> bool {
        let stream = self
            .place(packets.stream)
            .and_then(|place| self.streams.get(place));
        stream.is_some_and(|(_, stream)| {
            let time = rescale(time, self.time_base, stream.time_base);
            let mut packets = packets.packets.iter();
            packets.any(|packet| packet.pts.saturating_add_unsigned(packet.duration) > time)
        })
    }

    fn place(&self, stream: StreamId) -> Option<usize> {
        self.streams.iter().position(|(id, _)| *id == stream)
    }

    fn send(&self, side_data: SideData) {
        // The receiver is gone once all wanted frames were shown.
        let _ = self.sender.send(side_data);
    }
}

/// Memory that packets take.
fn size(packets: &[Packet]) -> usize {
    // What the allocator adds to each block.
    const BLOCK: usize = 16;
    let bytes = packets
        .iter()
        .map(|packet| packet.data.len() + BLOCK + size_of::<Waiting>());
    bytes.sum()
}

/// A packet that waits until it is due.
struct Waiting {
    /// When it is shown, in ticks of the video.
    due: i64,
    /// How many packets came before it.
    order: u64,
    /// Place of its stream among those that are wanted.
    place: usize,
    packet: Packet,
}

impl Waiting {
    const fn key(&self) -> (i64, u64) {
        (self.due, self.order)
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// Times the frames that come out of a decoder, and releases the packets that are due with them.
pub struct Presentation {
    receiver: Receiver<SideData>,
    time_base: Rational,
    frame_duration: u32,
    streams: PacketStreams,
    waiting: Arc<AtomicUsize>,
    range: Option<Range<u64>>,
    /// Chunks whose frames are still to come: first frame, frames, times.
    chunks: VecDeque<(u64, u64, Times)>,
    /// Packets that came and are not due, the next one first; each is looked at once, however long it waits.
    packets: BinaryHeap<Reverse<Waiting>>,
    /// How many packets came.
    came: u64,
    /// Time of the first frame that is shown.
    first: Option<i64>,
    /// When the next frame is shown, if its chunk is lost.
    next: i64,
}

impl Presentation {
    /// For `video` and `streams` of packets. The sender goes to the thread that reads.
    pub fn new(video: &VideoStream, streams: PacketStreams) -> (SideDataSender, Self) {
        let (sender, receiver) = mpsc::channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let sender = SideDataSender {
            sender,
            time_base: video.time_base,
            streams: streams.clone(),
            waiting: waiting.clone(),
            most_waiting: limits().max_waiting_bytes,
            depths: None,
        };
        let presentation = Self {
            receiver,
            time_base: video.time_base,
            frame_duration: video.frame_duration,
            streams,
            waiting,
            range: None,
            chunks: VecDeque::new(),
            packets: BinaryHeap::new(),
            came: 0,
            first: None,
            next: 0,
        };
        (sender, presentation)
    }

    /// Receives what was sent since the last call.
    fn listen(&mut self) {
        while let Ok(side_data) = self.receiver.try_recv() {
            match side_data {
                SideData::Range(range) => self.range = Some(range),
                SideData::Chunk(first, frames, times) => self.chunks.push_back((first, frames, times)),
                SideData::Packets(place, packets) => self.enqueue(place, packets),
            }
        }
    }

    fn enqueue(&mut self, place: usize, packets: Vec<Packet>) {
        let Some((_, stream)) = self.streams.get(place) else {
            return;
        };
        for packet in packets {
            self.packets.push(Reverse(Waiting {
                due: rescale(packet.pts, stream.time_base, self.time_base),
                order: self.came,
                place,
                packet,
            }));
            self.came += 1;
        }
    }

    /// Indices of the wanted frames; none until reading has come to them.
    pub fn range(&mut self) -> Option<Range<u64>> {
        self.listen();
        self.range.clone()
    }

    /// When frame `index` is shown, relative to the first frame shown.
    pub fn time(&mut self, index: u64) -> i64 {
        self.listen();
        while self
            .chunks
            .front()
            .is_some_and(|(first, frames, _)| first.saturating_add(*frames) <= index)
        {
            self.chunks.pop_front();
        }
        let (time, end) = match self.chunks.front() {
            Some((first, _, times)) if *first <= index => {
                let at = |index| times.of(index, self.frame_duration);
                (at(index - first), at(index - first + 1))
            }
            // A frame of a chunk that is lost.
            _ => (
                self.next,
                self.next.saturating_add(i64::from(self.frame_duration)),
            ),
        };
        self.next = end;
        time.saturating_sub(*self.first.get_or_insert(time))
    }

    /// Packets that are due by `time`, or all that are left. Their times are relative to the first frame shown.
    pub fn packets(&mut self, time: Option<i64>) -> Vec<(usize, Packet)> {
        self.listen();
        let first = self.first.unwrap_or(0);
        let until = time.map_or(i64::MAX, |time| time.saturating_add(first));
        let mut due = Vec::new();
        while self.packets.peek().is_some_and(|Reverse(next)| next.due <= until) {
            due.extend(self.packets.pop().map(|Reverse(next)| next));
        }
        // Those of a stream stay in the order in which they are decoded.
        due.sort_unstable_by_key(|waiting| waiting.order);
        let gone = due
            .iter()
            .map(|waiting| size(std::slice::from_ref(&waiting.packet)));
        self.waiting.fetch_sub(gone.sum(), Ordering::Relaxed);
        let shown = due.into_iter().filter_map(
            |Waiting {
                 place, mut packet, ..
             }| {
                let (_, stream) = self.streams.get(place)?;
                let moved = rescale(first, self.time_base, stream.time_base);
                packet.pts = packet.pts.saturating_sub(moved);
                packet.dts = packet.dts.map(|dts| dts.saturating_sub(moved));
                // Packets that end before the first frame are dropped, but not the priming of sound before frame 0.
                let over = first > 0 && packet.pts.saturating_add_unsigned(packet.duration) <= 0;
                (!over).then_some((place, packet))
            },
        );
        shown.collect()
    }

    /// When the last frame ends, relative to the first frame shown.
    pub fn end(&self) -> i64 {
        self.next.saturating_sub(self.first.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use latentbit_container::{ChunkHead, LatentFrames, PacketKind, PixelFrames, TokenGrid, Tokens};

    use super::*;
    use crate::streaming::testing::video;

    /// Sound in milliseconds, as stream 1.
    fn sound() -> PacketStreams {
        let milliseconds = Rational { num: 1, den: 1000 };
        let stream = PacketStream::new(PacketKind::Audio, "A_OPUS", milliseconds);
        vec![(StreamId(1), stream)]
    }

    fn packets(times: &[i64]) -> Packets {
        let packet = |&pts: &i64| Packet {
            pts,
            duration: 20,
            data: vec![0; 100],
            ..Packet::default()
        };
        Packets {
            stream: StreamId(1),
            sequence: 0,
            packets: times.iter().map(packet).collect(),
        }
    }

    fn chunk(first_frame: u64, start: i64) -> Chunk {
        Chunk {
            head: ChunkHead {
                first_frame: PixelFrames(first_frame),
                frame_count: PixelFrames(10),
                latent_frames: LatentFrames(3),
                key: true,
                ..ChunkHead::default()
            },
            times: Times {
                start,
                durations: None,
            },
            tokens: Tokens::new(TokenGrid { t: 1, h: 1, w: 1 }, 1, vec![0]),
        }
    }

    #[test]
    fn packets_come_with_their_frames() {
        let (sender, mut presentation) = Presentation::new(&video(), sound());
        sender.chunk(&chunk(50, 50));
        sender.range(52..54);
        // The frames are shown from 2080 and from 2120 ms on.
        let some = packets(&[2000, 2070, 2080, 2110, 2130, 2200]);
        sender.admit_packets(&some).unwrap();
        sender.packets(some);
        assert_eq!(presentation.range(), Some(52..54));
        let times = |due: Vec<(usize, Packet)>| due.iter().map(|(_, packet)| packet.pts).collect::<Vec<_>>();
        let time = presentation.time(52);
        assert_eq!(
            (time, times(presentation.packets(Some(time)))),
            (0, vec![-10, 0, 30])
        );
        let time = presentation.time(53);
        assert_eq!((time, times(presentation.packets(Some(time)))), (1, vec![50]));
        let end = presentation.end();
        assert_eq!((end, times(presentation.packets(Some(end)))), (2, Vec::new()));
    }

    #[test]
    fn packets_that_wait_are_bounded() {
        let (sender, mut presentation) = Presentation::new(&video(), sound());
        let mut large = packets(&[0]);
        large.packets[0].data = vec![0; limits().max_waiting_bytes.unwrap() as usize / 2 + 1];
        sender.admit_packets(&large).unwrap();
        assert!(sender.admit_packets(&large).unwrap_err().contains("--no-audio"));
        // What is dropped or taken makes room.
        sender.drop_packets(&large);
        sender.packets(large.clone());
        assert_eq!(presentation.packets(None).len(), 1);
        sender.admit_packets(&large).unwrap();
    }

    /// Packets that are never due cost nothing at each frame: with the heap's order each is moved a few times in all.
    #[test]
    fn packets_that_wait_are_not_looked_at_again() {
        let (sender, mut presentation) = Presentation::new(&video(), sound());
        let never: Vec<i64> = vec![i64::MAX; 20_000];
        sender.packets(packets(&never));
        for frame in 0..200_000 {
            let time = presentation.time(frame);
            assert!(presentation.packets(Some(time)).is_empty());
        }
        assert_eq!(presentation.packets(None).len(), never.len());
    }

    #[test]
    fn packets_last_until_they_end() {
        let (sender, _presentation) = Presentation::new(&video(), sound());
        // Frame 50 is shown at 2000 ms.
        assert!(sender.lasts_until(&packets(&[1900, 1985]), 50));
        assert!(!sender.lasts_until(&packets(&[1900, 1980]), 50));
        assert!(sender.wants(StreamId(1)) && !sender.wants(StreamId(2)));
    }
}
