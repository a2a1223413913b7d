//! The progress bar on stderr; there is none where stderr is no terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Frames per second and how many are left, if the total is known.
pub fn bar(frames: Option<u64>, quiet: bool) -> ProgressBar {
    let template = match frames {
        Some(_) => "{wide_bar} {pos}/{len} frames, {per_sec}, {eta} left",
        None => "{spinner} {pos} frames, {per_sec}, {elapsed}",
    };
    styled(frames, template, quiet)
}

/// Clips per second and how many are left; the message of the bar stands among it.
pub fn clips(clips: u64, quiet: bool) -> ProgressBar {
    let template = "{wide_bar} {pos}/{len} clips, {per_sec}, {msg}, {eta} left";
    styled(Some(clips), template, quiet)
}

/// Bytes of the file `name`.
pub fn bytes(name: &str, bytes: u64, quiet: bool) -> ProgressBar {
    let template = "{msg} {wide_bar} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
    styled(Some(bytes), template, quiet).with_message(name.to_owned())
}

fn styled(length: Option<u64>, template: &str, quiet: bool) -> ProgressBar {
    let target = if quiet {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr()
    };
    let bar = ProgressBar::with_draw_target(length, target);
    // A template that does not parse only costs the looks of the bar.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
