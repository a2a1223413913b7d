//! Hands the chunks of a stream to a decoder: those of a range of frames, with a place held for what is lost.

use std::ops::Range;
use std::sync::mpsc::Sender;

use anyhow::Context;
use latentbit_codec::pipeline::{ChunkInput, Coded};
use latentbit_container::{Chunk, Error, ErrorKind, Event};

use crate::exit::Exit;
use crate::streaming::lbit_input::Input;
use crate::streaming::presentation::SideData;
use latentbit_media::{MediaError, MediaErrorKind};

/// Chunks that are held back to see whether the range begins in a later group. With more than that they are decoded
/// for nothing, which costs time but not memory.
const MAX_HELD: usize = 64;

/// What came of reading a stream.
#[derive(Debug, Default)]
pub struct Feed {
    /// What was wrong with it, in order.
    pub damage: Vec<String>,
    /// The exit code that follows from what cannot be filled in: lost chunks are no part of it.
    pub exit: Option<Exit>,
    /// Index of the frame after the last one that was read or is known to be lost.
    pub end: u64,
    /// What follows from bytes that could not be read, unless it turns out that chunks are missing there.
    unexplained: Option<Exit>,
}

impl Feed {
    /// Takes a fault in. Damage weighs more than an end that is cut off.
    fn note(&mut self, exit: Exit) {
        if self.exit != Some(Exit::Damaged) {
            self.exit = Some(exit);
        }
    }

    /// Takes in that no chunk is missing where bytes could not be read before: something else was there.
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

/// Finds the chunks that frames from `start` on depend on.
struct Selector {
    start: u64,
    held: Vec<Coded>,
    started: bool,
}

impl Selector {
    fn new(start: u64) -> Self {
        Self {
            start,
            held: Vec::new(),
            started: false,
        }
    }

    /// What goes to the decoder now that `part`, of the frames before `end`, has come.
    fn take(&mut self, part: Coded, end: u64) -> Vec<Coded> {
        if !self.started && matches!(&part, Coded::Chunk(chunk) if chunk.key) {
            self.held.clear();
        }
        self.held.push(part);
        self.started |= end > self.start || self.held.len() > MAX_HELD;
        if self.started {
            std::mem::take(&mut self.held)
        } else {
            Vec::new()
        }
    }
}

/// Reads the stream and pushes what `range` needs, and the chunk after it where its last ones are lost.
///
/// With `keep_going`, damage does not end it: what is wrong is in the result. Fails for what leaves nothing to go on
/// with.
pub fn feed(
    mut input: Input,
    range: Range<u64>,
    mut decoder: ChunkInput,
    keep_going: bool,
    side_data: &Sender<SideData>,
) -> anyhow::Result<Feed> {
    let mut feed = Feed::default();
    let mut selector = Selector::new(range.start);
    let mut chunks = 0u64;
    let mut after_lost = false;
    // Whoever joins in the middle waits for a chunk that can be decoded alone.
    let mut joining = input.joining;
    loop {
        let (part, frames) = match input.reader.next_event() {
            Ok(Some(Event::Chunk(chunk))) if chunk.stream == input.stream => {
                joining &= !chunk.key;
                if joining {
                    continue;
                }
                feed.settle();
                chunks += 1;
                let frames = frames_of(&chunk);
                // Only gone when the frames are not wanted any more.
                let _ = side_data.send(SideData::of(&chunk));
                (Coded::Chunk(chunk), frames)
            }
            Ok(Some(Event::Packets(packets))) => {
                let _ = side_data.send(SideData::Packets(packets));
                continue;
            }
            Ok(Some(Event::Missing {
                stream,
                chunks,
                frames,
            })) if stream == input.stream => {
                let message = format!(
                    "chunks {} to {} are lost, and with them the frames {} to {}",
                    chunks.start,
                    chunks.end.saturating_sub(1),
                    frames.start,
                    frames.end.saturating_sub(1)
                );
                if !keep_going {
                    return Err(MediaError::new(MediaErrorKind::Invalid, &input.place, message).into());
                }
                feed.damage.push(format!("{}: {message}", input.place));
                feed.unexplained = None;
                let lost = Coded::Lost {
                    chunks,
                    frames: frames.clone(),
                };
                (lost, frames)
            }
            // What came before the header is what a stream is joined after.
            Ok(Some(Event::Lost(lost))) if joining && lost.offset == 0 => continue,
            Ok(Some(Event::Lost(lost))) => {
                feed.damage.push(format!("{}: {}", input.place, lost.reason));
                feed.settle();
                feed.unexplained = Some(exit_of(&lost.reason));
                continue;
            }
            Ok(Some(_)) => continue,
            Ok(None) => break,
            Err(error) if keep_going && chunks > 0 && worth_keeping(&error) => {
                feed.damage.push(format!("{}: {error}", input.place));
                feed.note(exit_of(&error));
                break;
            }
            Err(error) => return Err(error).context(input.place),
        };
        let wanted = frames.start < range.end;
        if !wanted && !after_lost {
            break;
        }
        if wanted {
            feed.end = frames.end;
        }
        after_lost = matches!(part, Coded::Lost { .. });
        for part in selector.take(part, frames.end) {
            if !open(decoder.push(part))? {
                return Ok(feed);
            }
        }
        if !wanted {
            break;
        }
    }
    feed.settle();
    open(decoder.flush())?;
    Ok(feed)
}

/// Whether the decoder takes more. It says itself why not; it may also have given all the frames that were wanted.
fn open(pushed: latentbit_codec::Result<()>) -> anyhow::Result<bool> {
    match pushed {
        Ok(()) => Ok(true),
        Err(latentbit_codec::Error::Closed) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn frames_of(chunk: &Chunk) -> Range<u64> {
    let first = chunk.first_frame.0;
    first..first.saturating_add(chunk.frame_count.0)
}

/// Whether the chunks before the error are good without what comes after it.
fn worth_keeping(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Truncated | ErrorKind::Format | ErrorKind::Unsupported | ErrorKind::Limits
    )
}

#[cfg(test)]
mod tests {
    use latentbit_container::{ChunkHead, LatentFrames, PixelFrames, Times, TokenGrid, Tokens};

    use super::*;

    fn chunk(sequence: u64, key: bool) -> (Coded, Range<u64>) {
        let chunk = Chunk {
            head: ChunkHead {
                sequence,
                first_frame: PixelFrames(sequence * 10),
                frame_count: PixelFrames(10),
                latent_frames: LatentFrames(3),
                key,
                ..ChunkHead::default()
            },
            times: Times::default(),
            tokens: Tokens {
                grid: TokenGrid { t: 1, h: 1, w: 1 },
                bits: 1,
                values: vec![0],
            },
        };
        let frames = frames_of(&chunk);
        (Coded::Chunk(chunk), frames)
    }

    fn select(start: u64, keys: &[bool]) -> Vec<u64> {
        let mut selector = Selector::new(start);
        let mut out = Vec::new();
        for (sequence, &key) in keys.iter().enumerate() {
            let (part, frames) = chunk(sequence as u64, key);
            out.extend(selector.take(part, frames.end));
        }
        let numbers = out.iter().map(|part| match part {
            Coded::Chunk(chunk) => chunk.sequence,
            Coded::Lost { .. } => u64::MAX,
        });
        numbers.collect()
    }

    #[test]
    fn ranges_begin_at_a_key_chunk() {
        let keys = [true, false, false, true, false, true];
        assert_eq!(select(0, &keys), [0, 1, 2, 3, 4, 5]);
        assert_eq!(select(29, &keys), [0, 1, 2, 3, 4, 5]);
        assert_eq!(select(30, &keys), [3, 4, 5]);
        assert_eq!(select(45, &keys), [3, 4, 5]);
        assert_eq!(select(59, &keys), [5]);
        assert_eq!(select(60, &keys), [] as [u64; 0]);
    }

    #[test]
    fn little_is_held() {
        let mut keys = vec![false; 200];
        keys[0] = true;
        assert_eq!(select(1999, &keys).len(), 200);
    }

    /// Bytes that could not be read are explained by the chunks that are missing there, and count where none is.
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
