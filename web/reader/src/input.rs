//! The bytes of a file that come bit by bit: what is missing is noted, fetched by JavaScript, and the reading is done anew.
//!
//! The container reads with `Read` and `Seek`, which must answer at once; a browser only promises bytes for later. So a
//! reading that needs bytes that are not here fails, [`Blocks::missing`] says which they were, and after they were
//! [put](Blocks::put) it starts again. What is fetched doubles as long as a reading goes on where it was, so that reading
//! a whole file again and again costs no more than reading it three times.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::rc::Rc;

/// Bytes fetched at least.
const BLOCK: u64 = 1 << 16;

/// The parts of a file that are here.
#[derive(Debug)]
pub struct Blocks {
    len: u64,
    /// By the offset of their first byte; all but the last of the file are `BLOCK` bytes.
    blocks: BTreeMap<u64, Block>,
    held: u64,
    /// The most to hold between two readings, and while one runs.
    keep: u64,
    most: u64,
    missing: Option<u64>,
    /// What the reading that runs has fetched in a row.
    in_row: Range<u64>,
    clock: u64,
}

#[derive(Debug)]
struct Block {
    bytes: Box<[u8]>,
    used: u64,
}

/// Bytes to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    pub offset: u64,
    pub len: u64,
}

impl Blocks {
    pub const fn new(len: u64, keep: u64, most: u64) -> Self {
        Self {
            len,
            blocks: BTreeMap::new(),
            held: 0,
            keep,
            most,
            missing: None,
            in_row: 0..0,
            clock: 0,
        }
    }

    /// Begins a reading.
    pub const fn begin(&mut self) {
        self.missing = None;
        self.in_row = 0..0;
        self.clock += 1;
    }

    /// Ends a reading: lets go of what was not used for longest.
    pub fn end(&mut self) {
        if self.held <= self.keep {
            return;
        }
        let mut ages: Vec<(u64, u64)> = self.blocks.iter().map(|(&at, block)| (block.used, at)).collect();
        ages.sort_unstable();
        for (_, at) in ages {
            if self.held <= self.keep {
                break;
            }
            if let Some(block) = self.blocks.remove(&at) {
                self.held -= block.bytes.len() as u64;
            }
        }
    }

    /// What the last try of a reading lacked.
    pub fn missing(&mut self) -> Result<Option<Missing>, String> {
        let Some(at) = self.missing.take() else {
            return Ok(None);
        };
        let offset = at - at % BLOCK;
        let row = match offset == self.in_row.end {
            true => self.in_row.end - self.in_row.start,
            false => {
                self.in_row = offset..offset;
                0
            }
        };
        let end = offset.saturating_add(row.max(BLOCK)).min(self.len);
        // Not beyond what is here already.
        let end = self
            .blocks
            .range(offset..end)
            .next()
            .map_or(end, |(&next, _)| next);
        let len = end - offset;
        if self.held.saturating_add(len) > self.most {
            return Err(format!(
                "this needs more than {} bytes of the file at once; raise maxHeldBytes",
                self.most
            ));
        }
        Ok(Some(Missing { offset, len }))
    }

    /// Takes bytes that were missing.
    pub fn put(&mut self, offset: u64, bytes: &[u8]) {
        self.in_row.end = offset.saturating_add(bytes.len() as u64);
        for (at, part) in (offset..)
            .step_by(BLOCK as usize)
            .zip(bytes.chunks(BLOCK as usize))
        {
            let block = Block {
                bytes: part.into(),
                used: self.clock,
            };
            self.held += part.len() as u64;
            if let Some(before) = self.blocks.insert(at, block) {
                self.held -= before.bytes.len() as u64;
            }
        }
    }

    /// The bytes from `at` on that lie together, or none if they are not here.
    fn at(&mut self, at: u64) -> Option<&[u8]> {
        let start = at - at % BLOCK;
        let block = self.blocks.get_mut(&start)?;
        block.used = self.clock;
        let inside = usize::try_from(at - start).unwrap_or(usize::MAX);
        block.bytes.get(inside..).filter(|bytes| !bytes.is_empty())
    }
}

/// A place in a file whose bytes come bit by bit.
#[derive(Clone, Debug)]
pub struct Input {
    blocks: Rc<RefCell<Blocks>>,
    position: u64,
}

impl Input {
    pub fn new(blocks: &Rc<RefCell<Blocks>>) -> Self {
        Self {
            blocks: blocks.clone(),
            position: 0,
        }
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut blocks = self.blocks.borrow_mut();
        if buffer.is_empty() || self.position >= blocks.len {
            return Ok(0);
        }
        // After the first miss nothing is read: whoever takes the miss for damage must not look elsewhere.
        let here = blocks.missing.is_none();
        let Some(mut bytes) = blocks.at(self.position).filter(|_| here) else {
            blocks.missing.get_or_insert(self.position);
            return Err(io::Error::other("not fetched yet"));
        };
        let len = bytes.read(buffer)?;
        self.position += len as u64;
        Ok(len)
    }
}

impl Seek for Input {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let len = self.blocks.borrow().len;
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(by) => len.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the way JavaScript does: try, fetch what is missing, try again. Gives what was fetched as well.
    fn run<T>(
        blocks: &Rc<RefCell<Blocks>>,
        file: &[u8],
        mut reading: impl FnMut(Input) -> io::Result<T>,
    ) -> (T, Vec<Missing>) {
        let mut fetched = Vec::new();
        blocks.borrow_mut().begin();
        loop {
            let result = reading(Input::new(blocks));
            let missing = blocks.borrow_mut().missing().unwrap();
            let Some(missing) = missing else {
                blocks.borrow_mut().end();
                return (result.unwrap(), fetched);
            };
            fetched.push(missing);
            let from = missing.offset as usize;
            let part = &file[from..from + missing.len as usize];
            blocks.borrow_mut().put(missing.offset, part);
        }
    }

    fn of(len: usize, keep: u64, most: u64) -> (Vec<u8>, Rc<RefCell<Blocks>>) {
        let file = (0..len).map(|at| (at * 7 / 5) as u8).collect();
        (file, Rc::new(RefCell::new(Blocks::new(len as u64, keep, most))))
    }

    #[test]
    fn a_whole_file_takes_few_tries_and_is_let_go_again() {
        let (file, blocks) = of(10_000_001, 1 << 20, 1 << 30);
        let whole = |mut input: Input| {
            let mut bytes = Vec::new();
            input.read_to_end(&mut bytes).map(|_| bytes)
        };
        let (found, fetched) = run(&blocks, &file, whole);
        assert!(found == file);
        assert!(fetched.len() < 12, "{fetched:?}");
        assert_eq!(
            fetched.iter().map(|missing| missing.len).sum::<u64>(),
            file.len() as u64
        );
        assert!(blocks.borrow().held <= 1 << 20);
        // What is left is read without fetching.
        let (found, again) = run(&blocks, &file, whole);
        assert!(found == file && again.iter().map(|missing| missing.len).sum::<u64>() < file.len() as u64);
    }

    #[test]
    fn a_place_far_off_costs_one_block() {
        let (file, blocks) = of(5_000_000, 1 << 20, 1 << 30);
        let end = |mut input: Input| {
            let mut bytes = [0; 44];
            input.seek(SeekFrom::End(-44))?;
            input.read_exact(&mut bytes).map(|()| bytes)
        };
        let (found, fetched) = run(&blocks, &file, end);
        assert_eq!(found[..], file[file.len() - 44..]);
        assert_eq!(fetched.len(), 1);
        assert!(fetched[0].len <= BLOCK && run(&blocks, &file, end).1.is_empty());
    }

    #[test]
    fn more_than_may_be_held_is_refused() {
        let (file, blocks) = of(5_000_000, 0, 1 << 20);
        blocks.borrow_mut().begin();
        let refused = loop {
            assert!(io::copy(&mut Input::new(&blocks), &mut io::sink()).is_err());
            let missing = blocks.borrow_mut().missing();
            match missing {
                Ok(Some(Missing { offset, len })) => {
                    let part = &file[offset as usize..(offset + len) as usize];
                    blocks.borrow_mut().put(offset, part);
                }
                Ok(None) => panic!("nothing was missing"),
                Err(refused) => break refused,
            }
        };
        assert!(refused.contains("maxHeldBytes"), "{refused}");
        assert!(blocks.borrow().held <= 1 << 20);
    }
}
