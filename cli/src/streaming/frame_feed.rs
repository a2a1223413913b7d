//! Hands the frames of a source to a pipeline.

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
