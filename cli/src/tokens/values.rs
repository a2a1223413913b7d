//! The second reading of a file: the tokens of the chunks that were listed in the first one.

use std::io::Read;

use anyhow::anyhow;
use latentbit_container::{ChunkInfo, Error, Event, StreamId};

use super::layout::Layout;
use super::listing::Listing;
use super::reading::Reading;

/// Why tokens could not be written.
#[derive(Debug)]
pub enum Failed {
    /// A chunk that was listed cannot be unpacked: its checksums hold, so that only unpacking shows it.
    Unpack(Error),
    Other(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

/// Gives the numbers of each chunk that `listing` names to `put`, with at most `bits` bits of each token.
///
/// Fails if they are not just those chunks: the array would be of another length than its header says.
pub fn write_values<R: Read>(
    reading: &mut Reading<R>,
    stream: StreamId,
    listing: &Listing,
    layout: Layout,
    bits: u8,
    mut put: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> Result<(), Failed> {
    let mut listed = listing.places.iter();
    let mut buffer = Vec::new();
    while let Some(event) = reading.next()? {
        let Event::Chunk(mut chunk) = event else {
            continue;
        };
        if chunk.stream != stream {
            continue;
        }
        let (expected, found) = (listed.next(), reading.last_chunk().copied());
        if expected != found.as_ref() {
            return Err(unlike(&mut reading.damage.found, expected, found.as_ref()));
        }
        chunk.tokens.truncate_bits(bits);
        buffer.clear();
        layout.put_all(&mut buffer, &chunk.tokens);
        put(&buffer)?;
    }
    match listed.next() {
        None => Ok(()),
        expected => Err(unlike(&mut reading.damage.found, expected, None)),
    }
}

fn unlike(damage: &mut Vec<Error>, expected: Option<&ChunkInfo>, found: Option<&ChunkInfo>) -> Failed {
    let passed_over = damage.iter().position(|reason| {
        reason.chunk().is_some() && reason.chunk() == expected.map(|chunk| chunk.sequence)
    });
    if let Some(at) = passed_over {
        return Failed::Unpack(damage.swap_remove(at));
    }
    let text = |chunk: Option<&ChunkInfo>| {
        chunk.map_or_else(
            || "the end of the chunks".to_owned(),
            |chunk| {
                let (number, offset, len) = (chunk.sequence, chunk.offset, chunk.stored_len);
                format!("chunk {number} of {len} bytes at byte {offset}")
            },
        )
    };
    let (expected, found) = (text(expected), text(found));
    Failed::Other(anyhow!(
        "the file is not what it was when its chunks were listed: expected {expected}, found {found}; export it again \
         when nothing writes to it any more"
    ))
}

#[cfg(test)]
mod tests {
    use latentbit_container::{
        ChunkPlan, Compression, Header, Limits, PixelFrames, ReadMode, Reader, VideoStream, Writer,
        WriterOptions,
    };

    use super::*;
    use crate::tokens::testing::video;

    const STREAM: StreamId = StreamId(0);

    fn file(frames: u64, value: u64) -> Vec<u8> {
        let video = VideoStream {
            frame_count: None,
            ..video()
        };
        let options = WriterOptions {
            compression: Compression::Raw,
            ..WriterOptions::default()
        };
        let mut writer = Writer::new(Vec::new(), &Header::from(video.clone()), options).unwrap();
        for planned in ChunkPlan::new(PixelFrames(frames), 4, 0, 4) {
            let tokens = video.grid(planned.latent_frames).len();
            writer
                .write_chunk(&planned.with_tokens(&video, vec![value; tokens]))
                .unwrap();
        }
        writer.finish().unwrap().0
    }

    fn reading(bytes: &[u8], unpack: bool) -> Reading<&[u8]> {
        let reader = Reader::with_mode(bytes, Limits::default(), ReadMode::Resync).unwrap();
        Reading::new(reader, unpack)
    }

    /// Lists one file and takes the tokens from another one.
    fn write(listed: &[u8], read: &[u8]) -> Result<Vec<u8>, Failed> {
        let listing = Listing::new(reading(listed, false), STREAM, &video(), 10).unwrap();
        let mut out = Vec::new();
        let layout = Layout::new(10, None);
        write_values(&mut reading(read, true), STREAM, &listing, layout, 10, |bytes| {
            out.extend_from_slice(bytes);
            Ok(())
        })?;
        assert_eq!(out.len() as u64, listing.steps() * 6 * 2);
        Ok(out)
    }

    #[test]
    fn a_file_that_changes_between_the_readings_is_refused() {
        let long = file(60, 5);
        assert_eq!(
            write(&long, &long).unwrap().chunks_exact(2).next(),
            Some(&[5, 0][..])
        );
        let says = |listed: &[u8], read: &[u8]| match write(listed, read).unwrap_err() {
            Failed::Other(error) => error.to_string(),
            Failed::Unpack(error) => panic!("{error}"),
        };
        let other = says(&long, &file(40, 5));
        assert!(other.contains("expected chunk 2 of"), "{other}");
        assert!(other.contains("export it again"), "{other}");
        let more = says(&file(29, 5), &file(45, 5));
        assert!(
            more.contains("expected the end of the chunks, found chunk 2"),
            "{more}"
        );
        let cut = says(&long, &long[..long.len() / 2]);
        assert!(cut.contains("found the end of the chunks"), "{cut}");
    }

    #[test]
    fn a_chunk_that_is_damaged_meanwhile_is_told() {
        let good = file(60, 5);
        let mut bad = good.clone();
        let at = bad.len() / 2;
        bad[at] ^= 1;
        assert!(matches!(
            write(&good, &bad),
            Err(Failed::Unpack(_) | Failed::Other(_))
        ));
        assert!(matches!(write(&bad, &good), Err(Failed::Other(_))));
    }
}
