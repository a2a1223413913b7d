//! Hands the chunks of a stream to a decoder: those of a range of frames, with a place held for what is lost.

use std::ops::Range;
use std::sync::mpsc::Sender;

use anyhow::Context;
use latentbit_codec::pipeline::{ChunkInput, Coded};
use latentbit_container::{Chunk, Error, ErrorKind, Event, PixelFrames};

use crate::exit::Exit;
use crate::lbit_input::Input;
use crate::media::{MediaError, MediaErrorKind};
use crate::shown::Along;

/// Chunks that are held back to see whether the range begins in a later group. With more than that they are decoded
/// for nothing, which costs time but not memory.
const MAX_HELD: usize = 64;

/// What came of reading a stream.
#[derive(Debug, Default)]
pub struct Feed {
    /// What was wrong with it, in order.
    pub damage: Vec<String>,
    /// The exit code that follows from it.
    pub exit: Option<Exit>,
    /// Frames of the range that are lost.
    pub lost_frames: u64,
}

impl Feed {
    /// Takes a fault in. Lost chunks weigh more than an end that is cut off.
    fn note(&mut self, exit: Exit) {
        if self.exit != Some(Exit::Damaged) {
            self.exit = Some(exit);
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

/// Finds the chunks that frames from `range.start` on depend on.
struct Selector {
    range: Range<u64>,
    held: Vec<Coded>,
    /// Index of the first frame of what is held, or of what went to the decoder first.
    first: u64,
    started: bool,
}

impl Selector {
    /// What goes to the decoder now that `part`, of the frames `frames`, has come.
    fn take(&mut self, part: Coded, frames: Range<u64>) -> Vec<Coded> {
        if !self.started {
            if matches!(&part, Coded::Chunk(chunk) if chunk.key) {
                self.held.clear();
            }
            if self.held.is_empty() {
                self.first = frames.start;
            }
        }
        self.held.push(part);
        self.started |= frames.end > self.range.start || self.held.len() > MAX_HELD;
        if self.started {
            std::mem::take(&mut self.held)
        } else {
            Vec::new()
        }
    }
}

/// Reads the stream and pushes what `range` needs. Before the first push, `first` is told the index of the first frame
/// that will come out.
///
/// With `keep_going`, damage does not end it: what is wrong is in the result. Fails for what leaves nothing to go on
/// with.
pub fn feed(
    mut input: Input,
    range: Range<u64>,
    mut decoder: ChunkInput,
    keep_going: bool,
    mut first: impl FnMut(u64),
    along: &Sender<Along>,
) -> anyhow::Result<Feed> {
    let mut feed = Feed::default();
    let mut selector = Selector {
        range: range.clone(),
        held: Vec::new(),
        first: 0,
        started: false,
    };
    let mut told = false;
    let mut chunks = 0u64;
    // Whoever joins in the middle waits for a chunk that can be decoded alone.
    let mut joining = input.joining;
    loop {
        let (part, frames) = match input.reader.next_event() {
            Ok(Some(Event::Chunk(chunk))) if chunk.stream == input.stream => {
                joining &= !chunk.key;
                if joining {
                    continue;
                }
                chunks += 1;
                let frames = frames_of(&chunk);
                // Only gone when the frames are not wanted any more.
                let _ = along.send(Along::of(&chunk));
                (Coded::Chunk(chunk), frames)
            }
            Ok(Some(Event::Packets(packets))) => {
                let _ = along.send(Along::Packets(packets));
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
                feed.note(Exit::Damaged);
                let wanted = frames.start.max(range.start)..frames.end.min(range.end);
                feed.lost_frames += wanted.end.saturating_sub(wanted.start);
                (
                    Coded::Lost(PixelFrames(frames.end.saturating_sub(frames.start))),
                    frames,
                )
            }
            // What came before the header is what a stream is joined after.
            Ok(Some(Event::Lost(lost))) if joining && lost.offset == 0 => continue,
            Ok(Some(Event::Lost(lost))) => {
                feed.damage.push(format!("{}: {}", input.place, lost.reason));
                feed.note(exit_of(&lost.reason));
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
        if frames.start >= range.end {
            break;
        }
        for part in selector.take(part, frames) {
            if !told {
                first(selector.first);
                told = true;
            }
            if !open(decoder.push(part))? {
                return Ok(feed);
            }
        }
    }
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
    use latentbit_container::{LatentFrames, StreamId, Times, TokenGrid, Tokens};

    use super::*;

    fn chunk(sequence: u64, key: bool) -> (Coded, Range<u64>) {
        let chunk = Chunk {
            stream: StreamId(0),
            segment: 0,
            times: Times::default(),
            sequence,
            first_frame: PixelFrames(sequence * 10),
            frame_count: PixelFrames(10),
            latent_frames: LatentFrames(3),
            key,
            tokens: Tokens {
                grid: TokenGrid { t: 1, h: 1, w: 1 },
                bits: 1,
                values: vec![0],
            },
        };
        let frames = frames_of(&chunk);
        (Coded::Chunk(chunk), frames)
    }

    fn select(start: u64, keys: &[bool]) -> (Vec<u64>, u64) {
        let mut selector = Selector {
            range: start..u64::MAX,
            held: Vec::new(),
            first: 0,
            started: false,
        };
        let mut out = Vec::new();
        for (sequence, &key) in keys.iter().enumerate() {
            let (part, frames) = chunk(sequence as u64, key);
            out.extend(selector.take(part, frames));
        }
        let numbers = out.iter().map(|part| match part {
            Coded::Chunk(chunk) => chunk.sequence,
            Coded::Lost(_) => u64::MAX,
        });
        (numbers.collect(), selector.first)
    }

    #[test]
    fn ranges_begin_at_a_key_chunk() {
        let keys = [true, false, false, true, false, true];
        assert_eq!(select(0, &keys), (vec![0, 1, 2, 3, 4, 5], 0));
        assert_eq!(select(29, &keys), (vec![0, 1, 2, 3, 4, 5], 0));
        assert_eq!(select(30, &keys), (vec![3, 4, 5], 30));
        assert_eq!(select(45, &keys), (vec![3, 4, 5], 30));
        assert_eq!(select(59, &keys), (vec![5], 50));
        assert_eq!(select(60, &keys), (vec![], 50));
    }

    #[test]
    fn little_is_held() {
        let mut keys = vec![false; 200];
        keys[0] = true;
        let (numbers, first) = select(1999, &keys);
        assert_eq!((numbers.len(), first), (200, 0));
    }
}
