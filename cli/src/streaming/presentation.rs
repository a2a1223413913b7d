//! When decoded frames are shown, and the packets that go with them.

use std::collections::VecDeque;
use std::sync::mpsc::Receiver;

use latentbit_container::{
    Chunk, Header, Packet, PacketStream, Packets, Rational, Stream, StreamId, Times, VideoStream, rescale,
};

/// What a stream holds beside its tokens.
pub enum SideData {
    /// A chunk: its first frame, and the times of its frames.
    Chunk {
        first_frame: u64,
        frames: u64,
        times: Times,
    },
    /// Packets of another stream.
    Packets(Packets),
}

impl SideData {
    pub fn of(chunk: &Chunk) -> Self {
        Self::Chunk {
            first_frame: chunk.first_frame.0,
            frames: chunk.frame_count.0,
            times: chunk.times.clone(),
        }
    }
}

/// Streams of packets that are wanted, by their numbers in the file.
pub fn wanted(header: &Header, choose: impl Fn(&PacketStream) -> bool) -> Vec<(StreamId, PacketStream)> {
    let streams = header.ids().zip(&header.streams);
    let packets = streams.filter_map(|(id, stream)| match stream {
        Stream::Packets(packets) if choose(packets) => Some((id, packets.clone())),
        _ => None,
    });
    packets.collect()
}

/// Times the frames that a decoder gives, and releases the packets that are due with them.
pub struct Presentation {
    told: Receiver<SideData>,
    time_base: Rational,
    frame_duration: u32,
    streams: Vec<(StreamId, PacketStream)>,
    /// Chunks whose frames are still to come: first frame, frames, times.
    chunks: VecDeque<(u64, u64, Times)>,
    /// Packets that came, with the place of their stream among those that are wanted.
    packets: VecDeque<(usize, Packet)>,
    /// Time of the first frame that is shown.
    first: Option<i64>,
    /// Where a frame is shown of which nothing was said.
    next: i64,
}

impl Presentation {
    pub fn new(
        told: Receiver<SideData>,
        video: &VideoStream,
        streams: Vec<(StreamId, PacketStream)>,
    ) -> Self {
        Self {
            told,
            time_base: video.time_base,
            frame_duration: video.frame_duration,
            streams,
            chunks: VecDeque::new(),
            packets: VecDeque::new(),
            first: None,
            next: 0,
        }
    }

    /// Takes in what was told since.
    fn listen(&mut self) {
        while let Ok(side_data) = self.told.try_recv() {
            match side_data {
                SideData::Chunk {
                    first_frame,
                    frames,
                    times,
                } => self.chunks.push_back((first_frame, frames, times)),
                SideData::Packets(packets) => {
                    let place = self.streams.iter().position(|(id, _)| *id == packets.stream);
                    if let Some(place) = place {
                        self.packets
                            .extend(packets.packets.into_iter().map(|packet| (place, packet)));
                    }
                }
            }
        }
    }

    /// When frame `index` is shown, counted from the first frame that is.
    pub fn time(&mut self, index: u64) -> i64 {
        self.listen();
        while self
            .chunks
            .front()
            .is_some_and(|(first, frames, _)| first.saturating_add(*frames) <= index)
        {
            self.chunks.pop_front();
        }
        let time = match self.chunks.front() {
            Some((first, _, times)) if *first <= index => times.of(index - first, self.frame_duration),
            // A frame of a chunk that is lost.
            _ => self.next,
        };
        self.next = time.saturating_add(i64::from(self.frame_duration));
        time.saturating_sub(*self.first.get_or_insert(time))
    }

    /// Packets of the time before a frame that is shown at `time`, or, at the end, of all the time that was shown. Their
    /// times count from the first frame.
    pub fn packets(&mut self, time: Option<i64>) -> Vec<(usize, Packet)> {
        self.listen();
        let first = self.first.unwrap_or(0);
        let mut due = Vec::new();
        let mut later = VecDeque::new();
        for (place, mut packet) in std::mem::take(&mut self.packets) {
            let Some((_, stream)) = self.streams.get(place) else {
                continue;
            };
            let at = rescale(packet.pts, stream.time_base, self.time_base).saturating_sub(first);
            if time.is_some_and(|time| at > time) {
                later.push_back((place, packet));
                continue;
            }
            let moved = rescale(first, self.time_base, stream.time_base);
            packet.pts = packet.pts.saturating_sub(moved);
            packet.dts = packet.dts.map(|dts| dts.saturating_sub(moved));
            // What was over before the first frame is not wanted; sound that was primed before frame 0 is.
            let over = first > 0 && packet.pts.saturating_add_unsigned(packet.duration) <= 0;
            if !over {
                due.push((place, packet));
            }
        }
        self.packets = later;
        due
    }

    /// The end of the last frame, counted from the first.
    pub fn end(&self) -> i64 {
        self.next.saturating_sub(self.first.unwrap_or(0))
    }
}
