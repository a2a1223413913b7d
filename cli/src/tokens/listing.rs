//! Which chunks a file has, and which are lost.

use std::collections::BTreeSet;
use std::io::Read;
use std::ops::Range;

use latentbit_container::edit::{Border, Gap};
use latentbit_container::{
    ChunkInfo, Error, Event, Metadata, StoredChunk, StreamId, Times, Tokens, VideoStream,
};

use super::reading::{Damage, Reading};
use super::sidecar::{ChapterEntry, ChunkEntry, MetadataEntry, chapter_entries};

/// What a file holds of a stream of tokens.
#[derive(Debug, Default)]
pub struct Listing {
    /// All chunks in order, those that are lost as well.
    pub chunks: Vec<ChunkEntry>,
    /// Where those lie that are not lost, to tell them again.
    pub places: Vec<ChunkInfo>,
    pub metadata: Vec<MetadataEntry>,
    pub chapters: Vec<ChapterEntry>,
    /// Other streams that there is metadata about.
    pub others: BTreeSet<StreamId>,
    pub damage: Damage,
}

impl Listing {
    /// Lists what `reading` gives of a stream, with at most `bits` bits per token.
    pub fn new<R: Read>(
        reading: Reading<R>,
        stream: StreamId,
        video: &VideoStream,
        bits: u8,
    ) -> Result<Self, Error> {
        Self::with_tokens(reading, stream, video, bits, |_| Ok(()))
    }

    /// As [`new`](Self::new), and gives the tokens of each chunk to `take`, all their bits, if `reading` unpacks them.
    ///
    /// # Errors
    /// A reading that fails, and what `take` fails with.
    pub fn with_tokens<R: Read, E: From<Error>>(
        mut reading: Reading<R>,
        stream: StreamId,
        video: &VideoStream,
        bits: u8,
        mut take: impl FnMut(Tokens) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut lister = Lister {
            stream,
            video,
            bits,
            step: 0,
            before: None,
            open: None,
            listing: Self::default(),
        };
        while let Some(event) = reading.next()? {
            match event {
                Event::Stored(chunk) if chunk.stream == stream && chunk.is_lost() => {
                    let first = chunk.first_frame.0;
                    let frames = first..first.saturating_add(chunk.frame_count.0);
                    lister.missing(chunk.sequence..chunk.sequence.saturating_add(1), frames);
                    lister
                        .open
                        .iter_mut()
                        .for_each(|open| open.held.push(chunk.clone()));
                }
                Event::Stored(chunk) if chunk.stream == stream => {
                    lister.chunk(reading.last_chunk(), chunk.times, chunk.grid.t);
                }
                Event::Chunk(chunk) if chunk.stream == stream => {
                    lister.chunk(reading.last_chunk(), chunk.times, chunk.tokens.grid.t);
                    take(chunk.tokens)?;
                }
                Event::Missing {
                    stream: of,
                    chunks,
                    frames,
                } if of == stream => lister.missing(chunks, frames),
                Event::Metadata(metadata) => lister.metadata(metadata),
                Event::Chapters(chapters) => lister.listing.chapters = chapter_entries(&chapters),
                _ => {}
            }
        }
        lister.close(None);
        let mut listing = lister.listing;
        listing.damage = reading.damage;
        Ok(listing)
    }

    /// How many steps of tokens there are.
    pub fn steps(&self) -> u64 {
        self.chunks.last().map_or(0, |chunk| chunk.steps[1])
    }

    /// How many frames there are, those that are lost as well.
    pub fn frames(&self) -> u64 {
        let last = self.chunks.last();
        last.map_or(0, |chunk| chunk.first_frame.saturating_add(chunk.frames))
    }
}

/// Chunks in a row that have no tokens.
struct Open {
    chunks: Range<u64>,
    frames: Range<u64>,
    /// What the file says of them, of those that it holds a place for.
    held: Vec<StoredChunk>,
}

struct Lister<'a> {
    stream: StreamId,
    video: &'a VideoStream,
    bits: u8,
    /// Where the next chunk begins in the array.
    step: u64,
    /// The end of the last chunk that has tokens.
    before: Option<Border>,
    open: Option<Open>,
    listing: Listing,
}

impl Lister<'_> {
    fn chunk(&mut self, info: Option<&ChunkInfo>, times: Times, steps: u32) {
        let Some(info) = info else {
            return;
        };
        self.close(Some(Border {
            segment: info.segment,
            time: times.start,
        }));
        self.before = Some(Border {
            segment: info.segment,
            time: times.of(info.frame_count.0, self.video.frame_duration),
        });
        let from = self.step;
        self.step += u64::from(steps);
        let entry = ChunkEntry::new(info, times, [from, self.step], self.bits);
        self.listing.chunks.push(entry);
        self.listing.places.push(*info);
    }

    fn missing(&mut self, chunks: Range<u64>, frames: Range<u64>) {
        match &mut self.open {
            Some(open) => (open.chunks.end, open.frames.end) = (chunks.end, frames.end),
            None => {
                self.open = Some(Open {
                    chunks,
                    frames,
                    held: Vec::new(),
                });
            }
        }
    }

    /// Lists the chunks without tokens that came last, now that it is known what comes after them.
    fn close(&mut self, after: Option<Border>) {
        let Some(open) = self.open.take() else {
            return;
        };
        let step = self.step;
        let entries = &mut self.listing.chunks;
        if open.held.len() as u64 == open.chunks.end.saturating_sub(open.chunks.start) {
            // Whoever held their places knew more of them than their neighbours tell.
            entries.extend(open.held.iter().map(|place| ChunkEntry::lost(place, step)));
            return;
        }
        let gap = Gap {
            stream: self.stream,
            chunks: open.chunks,
            frames: open.frames,
            before: self.before,
            after,
        };
        entries.extend(gap.places(self.video).map(|place| ChunkEntry::lost(&place, step)));
    }

    fn metadata(&mut self, metadata: Metadata) {
        // In a file of its own the stream is the first one.
        let stream = match metadata.stream {
            StreamId::NONE => None,
            of if of == self.stream => Some(0),
            other => {
                self.listing.others.insert(other);
                return;
            }
        };
        self.listing.metadata.push(MetadataEntry {
            stream,
            entries: metadata.entries,
        });
    }
}
