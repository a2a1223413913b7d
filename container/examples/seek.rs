//! Reads some seconds from the middle of a `.lbit` file without reading the rest:
//! `cargo run -p latentbit-container --example seek -- IN.lbit FROM TO`.

use std::error::Error;
use std::io::{BufReader, Read, Seek};

use latentbit_container::{Event, File, Limits, PixelFrames, StreamId, ticks_of};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(path), Some(from), Some(to)) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err("usage: seek IN.lbit FROM TO".into());
    };
    let input = BufReader::new(std::fs::File::open(path)?);
    let part = part(input, from.parse()?, to.parse()?)?;
    println!(
        "{} chunks hold the part and what it depends on; leave out the first {} of their frames",
        part.chunks, part.left_out
    );
    println!("{} tokens and {} packets in that time", part.tokens, part.packets);
    Ok(())
}

/// What was read.
#[derive(Debug, Default, PartialEq)]
struct Part {
    chunks: usize,
    left_out: PixelFrames,
    tokens: usize,
    packets: usize,
}

/// Reads what is shown from second `from` up to second `to`, and the sound and subtitles beside it.
fn part(input: impl Read + Seek, from: f64, to: f64) -> latentbit_container::Result<Part> {
    // Reads the header and the index; or the whole file, if it has no index.
    let mut file = File::open(input, Limits::default())?;
    let Some((stream, video)) = file.first_video() else {
        return Ok(Part::default());
    };
    let times = ticks_of(from, video.time_base)..ticks_of(to, video.time_base);
    let Some(needed) = file.chunks_for_times(stream, times)? else {
        return Ok(Part::default());
    };
    let mut found = Part {
        left_out: needed.left_out(),
        ..Part::default()
    };
    let beside: Vec<StreamId> = file.header().ids().filter(|&id| id != stream).collect();
    let mut part = file.part(needed).with_packets(&beside)?;
    while let Some(event) = part.next_event()? {
        match event {
            Event::Chunk(chunk) => {
                found.chunks += 1;
                found.tokens += chunk.tokens.values.len();
            }
            Event::Packets(packets) => found.packets += packets.packets.len(),
            Event::Missing { chunks, .. } => eprintln!("chunks {chunks:?} are lost"),
            _ => {}
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_begins_at_its_key_chunk() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../testdata/conformance/subset/sound.lbit"
        );
        let open = || std::fs::File::open(path).unwrap();
        let mut file = File::open(open(), Limits::default()).unwrap();
        let stream = file.first_video().unwrap().0;
        let span = file.span(stream).unwrap();
        let second = file.chunks(stream)[1];
        assert!(!second.key);
        let base = file.first_video().unwrap().1.time_base;
        let seconds = |ticks: i64| ticks as f64 * f64::from(base.num) / f64::from(base.den);
        let found = part(open(), seconds(second.start + 1), seconds(second.start + 2)).unwrap();
        assert_eq!(
            (found.chunks, found.left_out),
            (2, second.first_frame + PixelFrames(1))
        );
        let all = part(open(), 0.0, seconds(span.end) + 1.0).unwrap();
        assert_eq!(all.chunks, file.chunks(stream).len());
        assert!(all.packets > found.packets);
        assert_eq!(part(open(), 1e6, 2e6).unwrap(), Part::default());
    }
}
