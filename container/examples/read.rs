//! Reads a `.lbit` file or pipe from front to back: `cargo run -p latentbit-container --example read -- IN.lbit`, or
//! `... --example read < IN.lbit`.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Write};

use latentbit_container::{Event, Limits, Reader};

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1) {
        Some(path) => read(File::open(path)?, &mut io::stdout()),
        None => read(io::stdin(), &mut io::stdout()),
    }
}

/// Prints what comes, as soon as it comes. Memory stays flat: one record at a time.
fn read(input: impl Read, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    // The limits bound what a file from strangers can ask for.
    let mut reader = Reader::new(input, Limits::default())?;
    for (id, video) in reader.header().ids().zip(&reader.header().streams) {
        writeln!(out, "stream {id}: {video:?}")?;
    }
    while let Some(event) = reader.next_event()? {
        match event {
            Event::Chunk(chunk) => {
                let frames = chunk.frames();
                let tokens = &chunk.tokens;
                writeln!(
                    out,
                    "chunk {}: frames {} to {}, {} tokens of {} bits{}",
                    chunk.sequence,
                    frames.start,
                    frames.end.0.saturating_sub(1),
                    tokens.grid,
                    tokens.bits,
                    if chunk.key { ", key" } else { "" }
                )?;
            }
            Event::Packets(packets) => {
                writeln!(
                    out,
                    "stream {}: {} packets",
                    packets.stream,
                    packets.packets.len()
                )?;
            }
            Event::Metadata(metadata) => {
                for (key, value) in &metadata.entries {
                    writeln!(out, "{key} = {value}")?;
                }
            }
            other => writeln!(out, "{other:?}")?,
        }
    }
    writeln!(out, "{:?}", reader.status())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_conformance_files_is_printed() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../testdata/conformance/subset/sound.lbit"
        );
        let mut out = Vec::new();
        read(File::open(path).unwrap(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.contains("chunk 0: frames 0 to 4, 2x4x6 tokens of 12 bits, key"),
            "{text}"
        );
        assert!(text.contains(" packets\n"), "{text}");
        assert!(text.ends_with("Complete { tail: true }\n"), "{text}");
        // A pipe that ends too soon is an error, after all that came.
        let bytes = std::fs::read(path).unwrap();
        let mut out = Vec::new();
        assert!(read(&bytes[..bytes.len() / 2], &mut out).is_err());
        assert!(!out.is_empty());
    }
}
