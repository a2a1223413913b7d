//! What a writer refuses, and what reaches the other end when.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use super::small;
use crate::{ErrorKind, LatentFrames, PixelFrames, StreamId, Writer, WriterOptions};

/// Counts whole writes and flushes; fails at a given flush.
#[derive(Clone, Default)]
struct Pipe(Rc<RefCell<(Vec<usize>, usize)>>, Option<usize>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().0.push(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushes = &mut self.0.borrow_mut().1;
        *flushes += 1;
        if self.1 == Some(*flushes) {
            Err(io::ErrorKind::BrokenPipe.into())
        } else {
            Ok(())
        }
    }
}

#[test]
fn each_chunk_is_one_write_and_flushed() {
    let (video, chunks, _) = small();
    let pipe = Pipe::default();
    let seen = pipe.0.clone();
    let mut writer = Writer::new(pipe, &video.into(), WriterOptions::default()).unwrap();
    assert_eq!((seen.borrow().0.len(), seen.borrow().1), (1, 1));
    for (n, chunk) in chunks.iter().enumerate() {
        writer.write_chunk(chunk).unwrap();
        assert_eq!((seen.borrow().0.len(), seen.borrow().1), (n + 2, n + 2));
    }
    let (_, summary) = writer.finish().unwrap();
    assert_eq!(summary.bytes, seen.borrow().0.iter().sum::<usize>() as u64);
    assert_eq!(summary.totals[0].frames, PixelFrames(21));
}

#[test]
fn nothing_follows_a_failed_write() {
    let (video, chunks, _) = small();
    let pipe = Pipe(Rc::default(), Some(2));
    let seen = pipe.0.clone();
    let mut writer = Writer::new(pipe, &video.into(), WriterOptions::default()).unwrap();
    let error = writer.write_chunk(&chunks[0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    let written = seen.borrow().0.len();
    assert_eq!(writer.write_chunk(&chunks[0]).unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(writer.finish().map(|_| ()).unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(seen.borrow().0.len(), written);
}

#[test]
fn chunks_that_do_not_fit_are_refused() {
    let (video, chunks, _) = small();
    let mut writer = Writer::new(Vec::new(), &video.into(), WriterOptions::default()).unwrap();
    let mut refused = |n: usize, change: &dyn Fn(&mut crate::Chunk)| {
        let mut chunk = chunks[n].clone();
        change(&mut chunk);
        let error = writer.write_chunk(&chunk).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Parameter);
        error.to_string()
    };
    assert!(refused(1, &|_| ()).contains("chunk number"));
    assert!(refused(0, &|c| c.first_frame = PixelFrames(1)).contains("first frame"));
    assert!(
        refused(1, &|c| (c.sequence, c.first_frame) = (0, PixelFrames(0))).contains("key chunk at the start")
    );
    assert!(refused(0, &|c| c.frame_count = PixelFrames(6)).contains("frames of a chunk: expected 1 to 5"));
    assert!(refused(0, &|c| c.frame_count = PixelFrames(0)).contains("frames of a chunk"));
    assert!(refused(0, &|c| c.latent_frames = LatentFrames(3)).contains("latent frames of a chunk"));
    assert!(refused(0, &|c| c.latent_frames = LatentFrames(1)).contains("expected 1 to 1"));
    assert!(refused(0, &|c| c.tokens.bits = 4).contains("bits per token: expected 1 to 3"));
    assert!(refused(0, &|c| c.tokens.values[0] = 8).contains("token"));
    assert!(refused(0, &|c| (c.tokens.grid.h, c.tokens.grid.w) = (3, 2)).contains("token grid"));
    assert!(refused(0, &|c| c.stream = StreamId(1)).contains("stream of a chunk"));
    assert!(refused(0, &|c| c.times.durations = Some(vec![1])).contains("durations of frames"));

    writer.write_chunk(&chunks[0]).unwrap();
    let mut short = chunks[1].clone();
    short.frame_count = PixelFrames(7);
    writer.write_chunk(&short).unwrap();
    let mut after = chunks[1].clone();
    (after.sequence, after.first_frame) = (2, PixelFrames(12));
    assert!(
        writer
            .write_chunk(&after)
            .unwrap_err()
            .to_string()
            .contains("not full")
    );

    let mut early = chunks[1].clone();
    (early.sequence, early.first_frame, early.key) = (2, PixelFrames(12), true);
    (early.latent_frames, early.frame_count) = (LatentFrames(2), PixelFrames(5));
    early.times.start = 4;
    assert!(
        writer
            .write_chunk(&early)
            .unwrap_err()
            .to_string()
            .contains("start time")
    );
}
