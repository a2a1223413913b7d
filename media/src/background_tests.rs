use super::super::testing::plain_info;
use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Frames without end, which are counted.
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
