//! The damage matrix: every file of the suite, damaged in every way. Never a panic, never more memory than a small file
//! may take, the right class of error, and every chunk that is not damaged comes back bit for bit.
//!
//! `make torture` runs it over every byte and bit; `cargo test` over all headers and a sample of the payloads.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::ops::Range;

use latentbit_container::{
    Chunk, Error, ErrorKind, Event, Limits, Next, Parser, ReadMode, Reader, WriterOptions, edit, verify_file,
};
use peak_alloc::PeakAlloc;

use crate::files::File;
use crate::record::{MAGIC_LEN, Record, join, split};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// No file of the suite is larger than 64 KiB; what is read, unpacked and written again of one fits in this many bytes,
/// whatever its fields claim.
const MOST_MEMORY: usize = 16 << 20;

/// What happened.
#[derive(Debug, Default)]
struct Totals {
    files: u64,
    cases: u64,
    truncated: u64,
    flipped: u64,
    zeroed: u64,
    moved: u64,
    /// Chunks that were recovered.
    recovered: u64,
}

/// Chunks by stream and number.
type Chunks = BTreeMap<(u16, u64), Chunk>;

fn number(chunk: &Chunk) -> (u16, u64) {
    (chunk.stream.0, chunk.sequence)
}

/// A file, and where its records lie.
struct Case<'a> {
    file: &'a File,
    records: Vec<Record>,
    starts: Vec<usize>,
    chunks: Chunks,
}

impl<'a> Case<'a> {
    fn new(file: &'a File) -> Self {
        let records = split_loose(&file.bytes);
        let mut starts = vec![MAGIC_LEN];
        for record in &records {
            starts.push(starts.last().unwrap() + record.bytes().len());
        }
        let (chunks, error) = read(&file.bytes, ReadMode::Strict);
        assert!(error.is_none());
        Self {
            file,
            records,
            starts,
            chunks,
        }
    }

    /// The record that a byte lies in; none for the magic.
    fn record_at(&self, at: usize) -> Option<usize> {
        (at >= MAGIC_LEN).then(|| self.starts.partition_point(|&start| start <= at) - 1)
    }

    fn has_copy(&self, without: usize) -> bool {
        let header = |record: &Record| matches!(&record.tag, b"HEAD" | b"head");
        let others = self.records.iter().enumerate().filter(|(n, _)| *n != without);
        others.into_iter().any(|(_, record)| header(record))
    }

    /// All chunks but those of the records in `without`.
    fn chunks_without(&self, without: &[usize]) -> Chunks {
        let lost = |key: &(u16, u64)| {
            without
                .iter()
                .filter_map(|&n| self.records.get(n))
                .any(|record| record.tag == *b"CHNK" && (record.stream, record.sequence) == *key)
        };
        let kept = self.chunks.iter().filter(|(key, _)| !lost(key));
        kept.map(|(key, chunk)| (*key, chunk.clone())).collect()
    }
}

/// The records of a file whose last one may be cut off.
fn split_loose(bytes: &[u8]) -> Vec<Record> {
    let mut end = MAGIC_LEN;
    while let Some(len) = bytes.get(end + 12..end + 16) {
        let next = end + 32 + u32::from_le_bytes(len.try_into().unwrap()) as usize;
        if next > bytes.len() {
            break;
        }
        end = next;
    }
    split(&bytes[..end])
}

fn read(bytes: &[u8], mode: ReadMode) -> (Chunks, Option<Error>) {
    let mut chunks = Chunks::new();
    let mut reader = match Reader::with_mode(bytes, Limits::default(), mode) {
        Ok(reader) => reader,
        Err(error) => return (chunks, Some(error)),
    };
    loop {
        match reader.next_event() {
            Ok(Some(Event::Chunk(chunk))) => {
                chunks.insert(number(&chunk), chunk);
            }
            Ok(Some(_)) => {}
            Ok(None) => return (chunks, None),
            Err(error) => return (chunks, Some(error)),
        }
    }
}

/// The same, one byte at a time.
fn trickle(bytes: &[u8], mode: ReadMode) -> (Chunks, Option<Error>) {
    let mut parser = Parser::new(Limits::default(), mode);
    let mut chunks = Chunks::new();
    let mut rest = bytes.iter();
    loop {
        match parser.poll() {
            Ok(Next::NeedInput) => match rest.next() {
                Some(byte) => parser.push(&[*byte]),
                None => parser.finish(),
            },
            Ok(Next::Event(Event::Chunk(chunk))) => {
                chunks.insert(number(&chunk), chunk);
            }
            Ok(Next::Event(_)) => {}
            Ok(Next::End) => return (chunks, None),
            Err(error) => return (chunks, Some(error)),
        }
    }
}

/// Chunks of the file that `recover` makes; none if it could not make one.
fn recovered(bytes: &[u8]) -> Option<Chunks> {
    let limits = Limits::default();
    let options = WriterOptions::default();
    let (new, _) = edit::recover(Cursor::new(bytes), Vec::new(), &limits, options).ok()?;
    let (chunks, error) = read(&new, ReadMode::Strict);
    assert!(error.is_none(), "a recovered file is whole: {error:?}");
    Some(chunks)
}

impl Totals {
    /// Reads a damaged file in every way. `expected` is what must come back of it, `kinds` which errors may end a strict
    /// reading.
    fn check(&mut self, case: &Case<'_>, what: &str, bytes: &[u8], expected: &Chunks, kinds: &[ErrorKind]) {
        let name = || format!("{}/{}: {what}", case.file.class, case.file.name);
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        self.cases += 1;

        let (strict, error) = read(bytes, ReadMode::Strict);
        match &error {
            Some(error) => assert!(kinds.contains(&error.kind()), "{}: {error}", name()),
            None => assert!(kinds.contains(&ErrorKind::Io), "{}: no error", name()),
        }
        for (key, chunk) in &strict {
            assert_eq!(case.chunks.get(key), Some(chunk), "{}", name());
        }
        let (lenient, _) = read(bytes, ReadMode::Resync);
        for (key, chunk) in &lenient {
            assert_eq!(case.chunks.get(key), Some(chunk), "{}", name());
        }
        let found = recovered(bytes);
        let found_chunks = found.unwrap_or_default();
        assert!(found_chunks == *expected, "{}: {:?}", name(), found_chunks.keys());
        self.recovered += found_chunks.len() as u64;
        let verified = verify_file(Cursor::new(bytes), &Limits::default()).unwrap();
        // It checks more than a reading does: the index, too.
        let faulty = !verified.problems.is_empty() || verified.lost_chunks > 0;
        assert!(faulty || error.is_none(), "{}", name());

        let used = MEMORY.peak_usage() - before;
        assert!(used < MOST_MEMORY, "{}: {used} bytes", name());
    }

    fn truncated(&mut self, case: &Case<'_>, len: usize) {
        let end = case
            .records
            .iter()
            .position(|record| record.tag == *b"ENDS")
            .unwrap();
        let whole = len >= case.starts[end + 1];
        let lost: Vec<usize> = (0..case.records.len())
            .filter(|&n| case.starts[n + 1] > len)
            .collect();
        let expected = match lost.contains(&0) {
            true => Chunks::new(),
            false => case.chunks_without(&lost),
        };
        // Io stands for no error: an index that is cut off is no fault.
        let kinds = if whole {
            [ErrorKind::Io]
        } else {
            [ErrorKind::Truncated]
        };
        self.truncated += 1;
        self.check(
            case,
            &format!("cut off at {len}"),
            &case.file.bytes[..len],
            &expected,
            &kinds,
        );
    }

    fn flipped(&mut self, case: &Case<'_>, bit: usize) {
        let mut bytes = case.file.bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let record = case.record_at(bit / 8);
        let expected = match record {
            None => case.chunks.clone(),
            Some(record) if !case.has_copy(record) => Chunks::new(),
            Some(record) => case.chunks_without(&[record]),
        };
        // A bit of what was cut off within is no fault.
        let cut = record == Some(case.records.len());
        let kinds: &[ErrorKind] = match cut {
            true => &[ErrorKind::Io, ErrorKind::Format],
            false => &[ErrorKind::Format],
        };
        self.flipped += 1;
        self.check(case, &format!("bit {bit} flipped"), &bytes, &expected, kinds);
    }

    fn zeroed(&mut self, case: &Case<'_>, stretch: Range<usize>) {
        let mut bytes = case.file.bytes.clone();
        bytes[stretch.clone()].fill(0);
        if bytes == case.file.bytes {
            return;
        }
        let harmed: Vec<usize> = (0..case.records.len())
            .filter(|&n| case.starts[n] < stretch.end && case.starts[n + 1] > stretch.start)
            .collect();
        let header = (0..case.records.len())
            .filter(|n| !harmed.contains(n))
            .any(|n| matches!(&case.records[n].tag, b"HEAD" | b"head"));
        let expected = match header {
            true => case.chunks_without(&harmed),
            false => Chunks::new(),
        };
        self.zeroed += 1;
        let kinds = [ErrorKind::Format, ErrorKind::Truncated, ErrorKind::Io];
        self.check(case, &format!("zeros at {stretch:?}"), &bytes, &expected, &kinds);
    }

    /// Records dropped, doubled, swapped, and put in from another file.
    fn moved(&mut self, case: &Case<'_>, foreign: &Record) {
        let fault = [ErrorKind::Format, ErrorKind::Truncated, ErrorKind::Unsupported];
        let any = [ErrorKind::Io, ErrorKind::Format, ErrorKind::Truncated];
        let mut check = |what: String, records: &[Record], expected: &Chunks, kinds: &[ErrorKind]| {
            self.moved += 1;
            self.check(case, &what, &join(records), expected, kinds);
        };
        for n in 0..case.records.len() {
            let critical = case.records[n].tag[0].is_ascii_uppercase();
            let mut without = case.records.clone();
            without.remove(n);
            let expected = match case.has_copy(n) {
                true => case.chunks_without(&[n]),
                false => Chunks::new(),
            };
            check(
                format!("record {n} dropped"),
                &without,
                &expected,
                if critical { &fault } else { &any },
            );

            let mut doubled = case.records.clone();
            doubled.insert(n, case.records[n].clone());
            check(
                format!("record {n} doubled"),
                &doubled,
                &case.chunks,
                if critical { &fault } else { &any },
            );

            if n + 1 < case.records.len() {
                let mut swapped = case.records.clone();
                swapped.swap(n, n + 1);
                check(
                    format!("records {n} and {} swapped", n + 1),
                    &swapped,
                    &case.chunks,
                    &any,
                );
            }
            if n > 0 {
                let mut spliced = case.records.clone();
                spliced.insert(n, foreign.clone());
                check(
                    format!("a foreign chunk before record {n}"),
                    &spliced,
                    &case.chunks,
                    &fault,
                );
            }
        }
        let mut turned = case.records.clone();
        let is_chunk = |record: &Record| record.tag == *b"CHNK";
        let chunks: Vec<Record> = turned
            .iter()
            .filter(|record| is_chunk(record))
            .rev()
            .cloned()
            .collect();
        for (to, from) in turned.iter_mut().filter(|record| is_chunk(record)).zip(chunks) {
            *to = from;
        }
        check(
            "all chunks in reverse order".to_owned(),
            &turned,
            &case.chunks,
            &any,
        );
    }

    fn file(&mut self, file: &File, thorough: bool) {
        let case = Case::new(file);
        self.files += 1;
        for mode in [ReadMode::Strict, ReadMode::Resync] {
            assert_eq!(trickle(&file.bytes, mode).0, case.chunks, "{}", file.name);
        }
        let len = file.bytes.len();
        // Headers are what bounds and kinds of records stand in.
        let in_header = |at: usize| match case.record_at(at) {
            None => true,
            Some(record) => {
                at < case.starts[record] + 28 + 44
                    || case.starts.get(record + 1).is_none_or(|&end| at + 4 >= end)
            }
        };
        for at in 0..len {
            if thorough || (in_header(at) && at % 3 == 0) || at % 97 == 0 {
                self.truncated(&case, at);
            }
            for bit in 0..8 {
                let sampled = in_header(at) && (at * 8 + bit) % 5 == 0 || (at * 8 + bit) % 509 == 0;
                if thorough || sampled {
                    self.flipped(&case, at * 8 + bit);
                }
            }
        }
        for from in (0..len).step_by(if thorough { 64 } else { 512 }) {
            self.zeroed(&case, from..(from + 4096).min(len));
            self.zeroed(&case, from..(from + 100).min(len));
        }
        let mut foreign = split(&crate::files::clip(crate::files::raw()))[2].clone();
        foreign.payload[0] ^= 0x5a;
        self.moved(&case, &foreign);
    }
}

#[test]
fn damage_matrix() {
    let thorough = std::env::var_os("LATENTBIT_TORTURE").is_some();
    let mut totals = Totals::default();
    for file in crate::all() {
        // Large ones take long. Of a file with a kind of stream that nobody knows no copy is made.
        let usual = file.bytes.len() < 8000 || thorough;
        if file.class != "faulty" && file.name != "unknown-kind" && usual {
            totals.file(&file, thorough);
        }
    }
    println!("{totals:#?}");
    assert!(totals.cases > 5000);
}
