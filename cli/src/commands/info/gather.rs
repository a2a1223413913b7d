//! Reads a file to its end and keeps what is worth telling.

use std::io::Read;

use latentbit_container::{
    Chapter, ChunkInfo, Coder, Error, Event, Header, Lost, Metadata, Reader, Status, StreamId, Totals,
    Version,
};

/// What is known of a chunk beside its place.
pub struct ChunkContents {
    pub info: ChunkInfo,
    pub coder: Coder,
    /// Stored bytes of its planes.
    pub plane_bytes: Vec<usize>,
    /// Whether it says how long each frame is shown.
    pub timed: bool,
}

/// Packets of one stream.
#[derive(Clone, Copy, Default)]
pub struct PacketContents {
    pub packets: u64,
    pub bytes: u64,
}

/// What a file holds.
pub struct Contents {
    pub header: Header,
    pub version: Version,
    pub chunks: Vec<ChunkContents>,
    /// By stream.
    pub packets: Vec<PacketContents>,
    pub metadata: Vec<Metadata>,
    pub chapters: Vec<Chapter>,
    /// Chunks that are missing, by stream.
    pub missing: Vec<u64>,
    pub lost: Vec<Lost>,
    pub status: Status,
    pub ended: Option<Vec<Totals>>,
    /// What ended the reading, if it was not the end of the file.
    pub error: Option<Error>,
}

impl Contents {
    /// Reads all that `reader` has.
    pub fn of<R: Read>(mut reader: Reader<R>) -> Self {
        let header = reader.header().clone();
        let streams = header.streams.len();
        let mut contents = Self {
            header,
            version: reader.version(),
            chunks: Vec::new(),
            packets: vec![PacketContents::default(); streams],
            metadata: Vec::new(),
            chapters: Vec::new(),
            missing: vec![0; streams],
            lost: Vec::new(),
            status: Status::Reading,
            ended: None,
            error: None,
        };
        loop {
            match reader.next_stored_event() {
                Ok(Some(event)) => contents.take(event, reader.last_chunk()),
                Ok(None) => break,
                Err(error) => {
                    contents.error = Some(error);
                    break;
                }
            }
        }
        contents.status = reader.status();
        contents.ended = reader.ended().map(<[Totals]>::to_vec);
        contents
    }

    fn take(&mut self, event: Event, info: Option<&ChunkInfo>) {
        match event {
            Event::Stored(chunk) => {
                if chunk.is_lost() {
                    self.count_missing(chunk.stream, 1);
                }
                self.chunks.extend(info.map(|&info| ChunkContents {
                    info,
                    coder: chunk.coder,
                    plane_bytes: chunk.planes.iter().map(|plane| plane.bytes.len()).collect(),
                    timed: chunk.times.durations.is_some(),
                }));
            }
            Event::Packets(packets) => {
                if let Some(contents) = self.packets.get_mut(packets.stream.index()) {
                    contents.packets += packets.packets.len() as u64;
                    let bytes = packets.packets.iter().map(|packet| packet.data.len() as u64);
                    contents.bytes += bytes.sum::<u64>();
                }
            }
            Event::Metadata(metadata) => self.metadata.push(metadata),
            Event::Chapters(chapters) => self.chapters = chapters,
            Event::Missing { stream, chunks, .. } => self.count_missing(stream, chunks.end - chunks.start),
            Event::Lost(lost) => self.lost.push(lost),
            _ => {}
        }
    }

    fn count_missing(&mut self, stream: StreamId, chunks: u64) {
        if let Some(missing) = self.missing.get_mut(stream.index()) {
            *missing += chunks;
        }
    }
}
