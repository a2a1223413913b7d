//! Feeds a pipeline with the frames of a source.

use latentbit_codec::pipeline::FrameInput;

use crate::interrupt;
use latentbit_media::{FrameSource, MediaError, MediaErrorKind};

/// Pushes all frames of a source, which messages call `place`. Calls `beside` with true after each frame is read, and with
/// false at the regular end. Returns the error that ended the source early, if the frames before it are worth keeping.
///
/// # Errors
/// A source that has no frame or fails; a pipeline that ended early.
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
                // Dropping the input without a flush keeps a half-done file from getting its name.
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
