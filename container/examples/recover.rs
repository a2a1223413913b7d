//! Makes a whole `.lbit` file of a damaged one: `cargo run -p latentbit-container --example recover -- IN.lbit OUT.lbit`.

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};

use latentbit_container::edit::{self, Recovered};
use latentbit_container::{Limits, WriterOptions, verify_file};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(input), Some(output)) = (arguments.next(), arguments.next()) else {
        return Err("usage: recover IN.lbit OUT.lbit".into());
    };
    let input = BufReader::new(File::open(input)?);
    let recovered = recover(input, BufWriter::new(File::create(output)?))?;
    println!(
        "{} chunks copied; {} chunks with {} frames are lost, and their places are held",
        recovered.chunks, recovered.lost_chunks, recovered.lost_frames
    );
    Ok(())
}

/// Says what is wrong, and copies what is right. Every frame that is left keeps its number and its time.
fn recover(mut input: impl Read + Seek, output: impl Write) -> latentbit_container::Result<Recovered> {
    let limits = Limits::default();
    for problem in verify_file(&mut input, &limits)?.problems {
        eprintln!("{problem}");
    }
    let (_, recovered) = edit::recover(input, output, &limits, WriterOptions::default())?;
    Ok(recovered)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn one_damaged_chunk_costs_one_chunk() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../testdata/conformance/subset/sound.lbit"
        );
        let whole = std::fs::read(path).unwrap();
        let file = latentbit_container::File::open(Cursor::new(&whole[..]), Limits::default()).unwrap();
        let chunks = file.chunks(file.first_video().unwrap().0).to_vec();
        let mut damaged = whole.clone();
        damaged[chunks[1].offset as usize + 60] ^= 1;
        let mut out = Vec::new();
        let recovered = recover(Cursor::new(&damaged[..]), &mut out).unwrap();
        assert_eq!(
            (recovered.chunks, recovered.lost_chunks),
            (chunks.len() as u64 - 1, 1)
        );
        assert_eq!(recovered.lost_frames, chunks[1].frame_count.0);
        assert!(
            verify_file(Cursor::new(&out[..]), &Limits::default())
                .unwrap()
                .problems
                .is_empty()
        );
        let untouched = recover(Cursor::new(&whole[..]), Vec::new()).unwrap();
        assert!(untouched.is_whole());
    }
}
