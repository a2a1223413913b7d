//! Hands the frames of a source to a pipeline.

use latentbit_codec::Error;
use latentbit_codec::pipeline::FrameInput;

use crate::interrupt;
use latentbit_media::{FrameSource, MediaError, MediaErrorKind};

/// Pushes all frames of a source, `place` in messages; `beside` is called after each of them with true, and after the last
/// one with false unless the source ended otherwise. Gives the error that ended it early, if there are frames before it
/// that are worth keeping.
///
/// # Errors
/// A source without a frame, one that fails, and a pipeline that ended early.
pub fn feed(
    place: &str,
    source: &mut dyn FrameSource,
    mut input: FrameInput,
    mut beside: impl FnMut(&mut dyn FrameSource, bool),
) -> anyhow::Result<Option<anyhow::Error>> {
    let mut frames = 0u64;
    let fault = loop {
        if interrupt::interrupted() {
            break None;
        }
        match source.next_frame() {
            Ok(Some(frame)) => {
                beside(source, true);
                input.push(&frame)?;
                frames += 1;
            }
            Ok(None) => {
                beside(source, false);
                break None;
            }
            Err(error) => {
                let kept = matches!(
                    error.kind(),
                    MediaErrorKind::Truncated { .. } | MediaErrorKind::Invalid
                );
                if kept && frames > 0 {
                    break Some(error.into());
                }
                // The input half is dropped without a flush, so no half-done file gets its name.
                return Err(error.into());
            }
        }
    };
    if frames == 0 {
        let message = "there is no frame to encode";
        return Err(MediaError::new(MediaErrorKind::Invalid, place, message).into());
    }
    input.flush()?;
    Ok(fault)
}

/// What feeding a pipeline and emptying it gave, or the error that explains why one of them failed.
pub fn both<A, B>(fed: anyhow::Result<A>, emptied: anyhow::Result<B>) -> anyhow::Result<(A, B)> {
    let is_closed = |error: &anyhow::Error| matches!(error.downcast_ref(), Some(Error::Closed));
    match (fed, emptied) {
        // A pipeline that closed early is a consequence; the cause is on the other side.
        (Err(error), _) if !is_closed(&error) => Err(error),
        (_, Err(error)) | (Err(error), Ok(_)) => Err(error),
        (Ok(fed), Ok(emptied)) => Ok((fed, emptied)),
    }
}
