//! Writes a `.lbit` file of made-up tokens: `cargo run -p latentbit-container --example write -- OUT.lbit`.

use std::error::Error;
use std::fs::File;
use std::io::Write;

use latentbit_container::metadata::key;
use latentbit_container::{
    BundleId, ChunkPlan, Header, Metadata, PixelFrames, Rational, StreamId, TokenLayout, VideoStream, Writer,
    WriterOptions,
};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: write OUT.lbit")?;
    let bytes = write(File::create(&path)?, PixelFrames(100))?;
    println!("{path}: {bytes} bytes");
    Ok(())
}

/// Writes `frames` frames, and gives the bytes that they took. `output` may be a pipe: nothing is changed later.
fn write(output: impl Write, frames: PixelFrames) -> latentbit_container::Result<u64> {
    // Which model made the tokens, and how it cuts video into them. A decoder refuses tokens of another model.
    let bundle = BundleId {
        name: "example".to_owned(),
        sha256: [7; 32],
    };
    let layout = TokenLayout {
        bits: 18,
        patch: [1, 1, 1],
        strides: [4, 8, 8],
    };
    let video = VideoStream::new([128, 72], bundle, layout).with_constant_rate(Rational { num: 25, den: 1 });
    let mut writer = Writer::new(output, &Header::from(video.clone()), WriterOptions::default())?;
    writer.write_metadata(&Metadata {
        stream: StreamId::NONE,
        entries: vec![(key::TITLE.to_owned(), "Made-up tokens".to_owned())],
    })?;
    // Chunks of 4 latent frames, and a key chunk, where decoding can begin, every 8 chunks.
    for planned in ChunkPlan::new(frames, 4, 8, 4) {
        let tokens = video.grid(planned.latent_frames).len() as u64;
        let values = (0..tokens).map(|token| (token * token + planned.sequence) % (1 << 18));
        writer.write_chunk(&planned.with_tokens(&video, values.collect()))?;
    }
    let (_, summary) = writer.finish()?;
    Ok(summary.bytes)
}

#[cfg(test)]
mod tests {
    use latentbit_container::{Limits, verify};

    use super::*;

    #[test]
    fn what_it_writes_is_whole() {
        let mut file = Vec::new();
        let bytes = write(&mut file, PixelFrames(100)).unwrap();
        assert_eq!(bytes, file.len() as u64);
        let verified = verify(&file[..], &Limits::default()).unwrap();
        assert!(verified.is_whole(), "{:?}", verified.problems);
        assert_eq!(verified.totals.unwrap()[0].frames, PixelFrames(100));
    }
}
