//! Threads and short queues around readers and writers.
//!
//! A reader or writer is built on its own thread and never leaves it, because libav's handles may not change threads.

use crate::error::{MediaError, MediaErrorKind};
use crate::start::{Start, frames_after};
use crate::video::{Extras, FrameSink, FrameSource, VideoInfo};
use crossbeam_channel::{Receiver, Sender, bounded};
use latentbit_codec::Frame;
use latentbit_container::Packet;
use std::thread::{self, JoinHandle};

/// Frames waiting between two stages: enough to overlap, and few, because a 4K frame in f32 takes 100 MB and the pipeline
/// has queues of its own.
const QUEUE: usize = 1;

/// A reader that runs on one thread.
pub trait PullSource {
    /// What is known about the video.
    fn info(&self) -> &VideoInfo;
    /// Skips up to `count` frames and says how many there were.
    fn skip(&mut self, count: u64) -> Result<u64, MediaError>;
    /// The next frame, or `None` after the last.
    fn pull(&mut self) -> Result<Option<Frame>, MediaError>;
    /// What belongs to the frame pulled last; at the end, what is left over.
    fn extras(&mut self) -> Extras {
        Extras::default()
    }
}

/// A writer that runs on one thread.
pub trait PushSink {
    /// Writes a frame, which has the size that the writer was made for.
    fn push(&mut self, frame: &Frame, time: i64) -> Result<(), MediaError>;
    /// Writes a packet, if the output holds any.
    fn push_packet(&mut self, _stream: usize, _packet: &Packet) -> Result<(), MediaError> {
        Ok(())
    }
    /// Says when the last frame ends, before [`finish`](Self::finish).
    fn end_at(&mut self, _time: i64) {}
    /// Writes what is outstanding and gives the file its name.
    fn finish(&mut self) -> Result<(), MediaError>;
}

/// An explicit end tells a finished reader from one whose thread died.
enum Message {
    Frame(Frame, Extras),
    Failed(MediaError, Extras),
    End(Extras),
}

struct BackgroundSource {
    place: String,
    info: VideoInfo,
    /// Lets the reader begin.
    begin: Option<Sender<()>>,
    frames: Receiver<Message>,
    extras: Extras,
    ended: bool,
}

/// Starts a reader on its own thread and waits until it has described the video. It reads frames only once the first one
/// is asked for, so that memory measured before that does not depend on how far it got.
pub fn spawn_source<S: PullSource>(
    place: &str,
    start: Option<Start>,
    limit: Option<u64>,
    build: impl FnOnce() -> Result<S, MediaError> + Send + 'static,
) -> Result<Box<dyn FrameSource>, MediaError> {
    let (opened, open) = bounded(1);
    let (sender, frames) = bounded(QUEUE);
    let (begin, begun) = bounded(1);
    let name = place.to_owned();
    thread::Builder::new()
        .name("read".to_owned())
        .spawn(move || {
            let mut source = match build() {
                Ok(source) => source,
                Err(e) => {
                    let _ = opened.send(Err(e));
                    return;
                }
            };
            let _ = opened.send(Ok(source.info().clone()));
            if begun.recv().is_err() {
                return;
            }
            let last = match read_all(&name, &mut source, start, limit, &sender) {
                Ok(()) => Message::End(source.extras()),
                Err(e) => Message::Failed(e, source.extras()),
            };
            let _ = sender.send(last);
        })
        .map_err(|e| MediaError::io(place, "start a reading thread", e))?;
    let mut info = open.recv().map_err(|_| died(place, "reading"))??;
    let left = frames_after(start, info.frame_count, info.frame_rate);
    // Whatever the length of the input, no more frames come than were asked for.
    info.frame_count = [left, limit].into_iter().flatten().min();
    Ok(Box::new(BackgroundSource {
        place: place.to_owned(),
        info,
        begin: Some(begin),
        frames,
        extras: Extras::default(),
        ended: false,
    }))
}

fn read_all<S: PullSource>(
    place: &str,
    source: &mut S,
    start: Option<Start>,
    limit: Option<u64>,
    sender: &Sender<Message>,
) -> Result<(), MediaError> {
    if let Some(start) = start {
        let want = start.frames_at(source.info().frame_rate);
        let done = source.skip(want)?;
        if done < want {
            return Err(starts_after_end(place, done));
        }
    }
    let mut left = limit.unwrap_or(u64::MAX);
    while left > 0 {
        let Some(frame) = source.pull()? else { break };
        // The receiver is gone when nobody wants more frames.
        let extras = source.extras();
        if sender.send(Message::Frame(frame, extras)).is_err() {
            break;
        }
        left -= 1;
    }
    Ok(())
}

/// The error for a start point after the last frame.
pub fn starts_after_end(place: &str, frames: u64) -> MediaError {
    MediaError::new(
        MediaErrorKind::Usage,
        place,
        format!("the start point lies after the end; the video has {frames} frames"),
    )
}

fn died(place: &str, what: &str) -> MediaError {
    MediaError::new(
        MediaErrorKind::Io,
        place,
        format!("the {what} thread ended unexpectedly; this is a bug"),
    )
}

impl FrameSource for BackgroundSource {
    fn info(&self) -> &VideoInfo {
        &self.info
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, MediaError> {
        if self.ended {
            return Ok(None);
        }
        if let Some(begin) = self.begin.take() {
            // A thread that died says so below.
            let _ = begin.send(());
        }
        let message = self.frames.recv();
        self.ended = !matches!(message, Ok(Message::Frame(..)));
        match message {
            Ok(Message::Frame(frame, extras)) => {
                self.extras = extras;
                Ok(Some(frame))
            }
            Ok(Message::End(extras)) => {
                self.extras = extras;
                Ok(None)
            }
            Ok(Message::Failed(e, extras)) => {
                self.extras = extras;
                Err(e)
            }
            Err(_) => Err(died(&self.place, "reading")),
        }
    }

    fn take_extras(&mut self) -> Extras {
        std::mem::take(&mut self.extras)
    }
}

enum Order {
    Frame(Frame, i64),
    Packet(usize, Packet),
    End(i64),
    Finish,
}

struct BackgroundSink {
    place: String,
    size: (usize, usize),
    orders: Option<Sender<Order>>,
    worker: Option<JoinHandle<Result<(), MediaError>>>,
}

/// Starts a writer on its own thread and waits until it could open its target.
pub fn spawn_sink<S: PushSink>(
    place: &str,
    info: &VideoInfo,
    build: impl FnOnce() -> Result<S, MediaError> + Send + 'static,
) -> Result<Box<dyn FrameSink>, MediaError> {
    let (opened, open) = bounded(1);
    let (orders, inbox) = bounded(QUEUE);
    let worker = thread::Builder::new()
        .name("write".to_owned())
        .spawn(move || {
            let mut sink = match build() {
                Ok(sink) => sink,
                Err(e) => {
                    let _ = opened.send(Err(e));
                    return Ok(());
                }
            };
            let _ = opened.send(Ok(()));
            for order in inbox {
                match order {
                    Order::Frame(frame, time) => sink.push(&frame, time)?,
                    Order::Packet(stream, packet) => sink.push_packet(stream, &packet)?,
                    Order::End(time) => sink.end_at(time),
                    Order::Finish => return sink.finish(),
                }
            }
            // Dropped without `finish`: the writer's own drop takes its temporary file away.
            Ok(())
        })
        .map_err(|e| MediaError::io(place, "start a writing thread", e))?;
    open.recv().map_err(|_| died(place, "writing"))??;
    Ok(Box::new(BackgroundSink {
        place: place.to_owned(),
        size: (info.width as usize, info.height as usize),
        orders: Some(orders),
        worker: Some(worker),
    }))
}

impl BackgroundSink {
    fn send(&mut self, order: Order) -> Result<(), MediaError> {
        let sent = self
            .orders
            .as_ref()
            .is_some_and(|orders| orders.send(order).is_ok());
        if sent {
            Ok(())
        } else {
            self.join().and(Err(died(&self.place, "writing")))
        }
    }

    fn join(&mut self) -> Result<(), MediaError> {
        self.orders = None;
        match self.worker.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(died(&self.place, "writing")),
            None => Ok(()),
        }
    }
}

impl FrameSink for BackgroundSink {
    fn write_frame(&mut self, frame: Frame, time: i64) -> Result<(), MediaError> {
        let (w, h) = self.size;
        if (frame.width, frame.height, frame.data.len()) != (w, h, w * h * 3) {
            return Err(MediaError::new(
                MediaErrorKind::Usage,
                &self.place,
                format!(
                    "a frame of {}x{} does not fit an output of {w}x{h}",
                    frame.width, frame.height
                ),
            ));
        }
        self.send(Order::Frame(frame, time))
    }

    fn write_packet(&mut self, stream: usize, packet: Packet) -> Result<(), MediaError> {
        self.send(Order::Packet(stream, packet))
    }

    fn end_at(&mut self, time: i64) -> Result<(), MediaError> {
        self.send(Order::End(time))
    }

    fn finish(mut self: Box<Self>) -> Result<(), MediaError> {
        self.send(Order::Finish)?;
        self.join()
    }
}

impl Drop for BackgroundSink {
    fn drop(&mut self) {
        // Waiting here makes sure that no temporary file outlives the program.
        let _ = self.join();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::plain_info;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    /// Endless frames, counted.
    struct Endless {
        info: VideoInfo,
        pulled: Arc<AtomicU64>,
    }

    impl PullSource for Endless {
        fn info(&self) -> &VideoInfo {
            &self.info
        }

        fn skip(&mut self, count: u64) -> Result<u64, MediaError> {
            Ok(count)
        }

        fn pull(&mut self) -> Result<Option<Frame>, MediaError> {
            self.pulled.fetch_add(1, Ordering::SeqCst);
            Ok(Some(Frame {
                width: 1,
                height: 1,
                data: vec![0.5; 3],
            }))
        }
    }

    fn opened(pulled: &Arc<AtomicU64>) -> Box<dyn FrameSource> {
        let info = plain_info(1, 1);
        let pulled = pulled.clone();
        spawn_source("a", None, None, move || Ok(Endless { info, pulled })).unwrap()
    }

    #[test]
    fn nothing_is_read_before_a_frame_is_asked_for() {
        let pulled = Arc::new(AtomicU64::new(0));
        let mut source = opened(&pulled);
        thread::sleep(Duration::from_millis(50));
        assert_eq!(pulled.load(Ordering::SeqCst), 0);
        assert!(source.next_frame().unwrap().is_some());
        assert!(pulled.load(Ordering::SeqCst) > 0);
    }

    #[test]
    fn a_reader_is_only_a_queue_ahead() {
        let pulled = Arc::new(AtomicU64::new(0));
        let mut source = opened(&pulled);
        for _ in 0..3 {
            source.next_frame().unwrap();
        }
        thread::sleep(Duration::from_millis(50));
        // One waits in the queue, one for room in it.
        assert!(pulled.load(Ordering::SeqCst) <= 3 + QUEUE as u64 + 1);
    }

    #[test]
    fn a_source_that_nobody_reads_ends_its_thread() {
        let pulled = Arc::new(AtomicU64::new(0));
        drop(opened(&pulled));
        // The thread has the other half of the counter, and drops it when it ends.
        for _ in 0..1000 {
            if Arc::strong_count(&pulled) == 1 {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("the reader is still there");
    }
}
