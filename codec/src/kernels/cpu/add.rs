//! Values that go to a sink as they are, so that it can add its stream to them.

use rayon::prelude::*;

use super::Sink;
use super::finish::{Finish, Place};
use super::scratch::{at_least, with_scratch};
use super::words::Format;
use crate::kernels::spec::Activation;

/// Gives (T, H, W, C) values to a sink.
///
/// # Panics
/// If the sink has another extent: a mistake of the caller.
pub(crate) fn add(format: Format, values: &[f32], size: [usize; 3], channels: usize, sink: Sink<'_>) {
    let [_, height, width] = size;
    let row = width * channels;
    if size.contains(&0) || channels == 0 {
        return;
    }
    let zeros = vec![0.0; channels];
    let finish = Finish::new(format, size, channels, Activation::None, sink);
    let lines = values.par_chunks_exact(row).take(size[0] * height);
    lines.enumerate().for_each(|(line, values)| {
        with_scratch(|scratch| {
            let sums = at_least(&mut scratch.sums, row);
            sums.copy_from_slice(values);
            let spare = at_least(&mut scratch.spare, channels);
            let place = Place {
                frame: line / height,
                row: line % height,
                column: 0,
                step: 1,
            };
            // SAFETY: tasks have rows of their own.
            unsafe { finish.run(sums, channels, &zeros, place, spare) };
        });
    });
}
