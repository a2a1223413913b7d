//! Tests of whole streams.

mod damage;
mod golden;
mod records;
mod round_trip;
mod seek;
mod write;

use crate::testing::{chunks, video};
use crate::{Chunk, Compression, Error, Limits, Reader, Result, Status, VideoStream, Writer, WriterOptions};

/// A stream of `chunks`, as bytes.
fn write(video: &VideoStream, chunks: &[Chunk], options: WriterOptions) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &video.clone().into(), options).unwrap();
    for chunk in chunks {
        writer.write_chunk(chunk).unwrap();
    }
    writer.finish().unwrap().0
}

/// Four chunks of 5, 8, 5 and 3 frames: full, continuing, key again, a rest.
fn small() -> (VideoStream, Vec<Chunk>, Vec<u8>) {
    let video = video();
    let chunks = chunks(&video, 21, 2, 11);
    (video.clone(), chunks.clone(), write(&video, &chunks, raw()))
}

/// Raw planes and no second header.
fn raw() -> WriterOptions {
    WriterOptions {
        compression: Compression::Raw,
        header_interval: 0,
        ..WriterOptions::default()
    }
}

/// Everything that comes out before the end or an error.
fn read_strict(bytes: &[u8]) -> (Vec<Chunk>, Status, Option<Error>) {
    let mut reader = match Reader::new(bytes, Limits::default()) {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Status::Failed, Some(error)),
    };
    let mut chunks = Vec::new();
    let error = loop {
        match reader.next_chunk() {
            Ok(Some(chunk)) => chunks.push(chunk),
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    if error.is_some() {
        assert!(
            matches!(reader.next_chunk(), Ok(None)),
            "nothing comes after an error"
        );
    }
    (chunks, reader.status(), error)
}

fn read_all(bytes: &[u8]) -> Result<(VideoStream, Vec<Chunk>)> {
    let mut reader = Reader::new(bytes, Limits::default())?;
    let mut chunks = Vec::new();
    while let Some(chunk) = reader.next_chunk()? {
        chunks.push(chunk);
    }
    assert_eq!(reader.header().streams.len(), 1);
    Ok((reader.header().first_video().unwrap().1.clone(), chunks))
}

/// Where each record of an intact stream starts, and the end.
fn boundaries(bytes: &[u8]) -> Vec<usize> {
    let mut at = 8;
    let mut all = vec![at];
    while at < bytes.len() {
        let len: [u8; 4] = bytes[at + 12..at + 16].try_into().unwrap();
        at += 32 + u32::from_le_bytes(len) as usize;
        all.push(at);
    }
    all
}
