//! Progress bars on stderr, if that is a terminal, and the summary that takes their place.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::escape::escaped;

/// Shows frames per second and, if the total is known, the time left.
pub fn bar(frames: Option<u64>, quiet: bool) -> ProgressBar {
    let template = match frames {
        Some(_) => "{wide_bar} {pos}/{len} frames, {per_sec}, {eta} left",
        None => "{spinner} {pos} frames, {per_sec}, {elapsed}",
    };
    styled(frames, template, quiet)
}

/// Shows clips per second, the bar's message and the time left.
pub fn clips(clips: u64, quiet: bool) -> ProgressBar {
    let template = "{wide_bar} {pos}/{len} clips, {per_sec}, {msg}, {eta} left";
    styled(Some(clips), template, quiet)
}

/// Shows bytes of the file `name`.
pub fn bytes(name: &str, bytes: u64, quiet: bool) -> ProgressBar {
    let template = "{msg} {wide_bar} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
    styled(Some(bytes), template, quiet).with_message(name.to_owned())
}

/// Prints how long work ended, in the place of its bar: to people, and not into logs.
pub fn summary(text: &str, quiet: bool) {
    if !quiet && std::io::stderr().is_terminal() {
        eprintln!("{}", escaped(text));
    }
}

fn styled(length: Option<u64>, template: &str, quiet: bool) -> ProgressBar {
    let target = if quiet {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr()
    };
    let bar = ProgressBar::with_draw_target(length, target);
    // A template that does not parse only spoils the looks of the bar.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
