//! Any bytes: no panic, bounded memory, and the same result however the input is cut into pieces.
#![no_main]

use std::io::Cursor;

use latentbit_container::{
    Chunk, ErrorKind, Event, Limits, Next, Parser, ReadMode, Reader, Status, read_chunk_at, read_index,
};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits {
    max_frame_side: Some(4096),
    max_header_bytes: Some(1 << 16),
    max_chunk_bytes: Some(1 << 20),
    max_chunk_tokens: Some(1 << 16),
    max_index_bytes: Some(1 << 20),
    max_missing_chunks: Some(1 << 10),
};

type Outcome = (Vec<Chunk>, Option<ErrorKind>, Status);

fn parse(data: &[u8], piece: usize, mode: ReadMode) -> Outcome {
    let mut parser = Parser::new(LIMITS, mode);
    let mut pieces = data.chunks(piece);
    let mut chunks = Vec::new();
    loop {
        match parser.poll() {
            Ok(Next::NeedInput) => match pieces.next() {
                Some(piece) => parser.push(piece),
                None => parser.finish(),
            },
            Ok(Next::Event(Event::Chunk(chunk))) => chunks.push(chunk),
            Ok(Next::Event(_)) => {}
            Ok(Next::End) => return (chunks, None, parser.status()),
            Err(error) => {
                assert!(!error.to_string().is_empty());
                return (chunks, Some(error.kind()), parser.status());
            }
        }
    }
}

fuzz_target!(|data: &[u8]| {
    for mode in [ReadMode::Strict, ReadMode::Resync] {
        let whole = parse(data, usize::MAX, mode);
        assert_eq!(parse(data, 1, mode), whole);
        assert_eq!(parse(data, 61, mode), whole);
    }
    let Ok(reader) = Reader::new(data, LIMITS) else {
        return;
    };
    let mut file = Cursor::new(data);
    if let Ok(Some(index)) = read_index(&mut file, &LIMITS) {
        for info in index.iter().take(64) {
            let _ = read_chunk_at(&mut file, reader.header(), info, &LIMITS);
        }
    }
});
