//! Fewer bits per token, by leaving the last planes out.

use std::io::{Read, Write};

use super::{copy, intact};
use crate::error::{Error, Result};
use crate::header::Stream;
use crate::limits::Limits;
use crate::writer::{Summary, Writer, WriterOptions};

/// Copies a file with at most `bits` bits per token in every chunk. The planes that stay are copied byte for byte. An
/// elastic stream keeps whole layers: as many as hold no more than `bits` planes.
///
/// # Errors
/// Any error of a strict [`Reader`](crate::Reader) or a [`Writer`]; [`Error::Parameter`] if `bits` is 0, or less than the
/// step of an elastic stream's depths.
pub fn trim<R: Read, W: Write>(
    input: R,
    output: W,
    bits: u8,
    limits: &Limits,
    options: WriterOptions,
) -> Result<(W, Summary)> {
    if bits == 0 {
        return Err(Error::parameter("bits per token", "at least 1", bits));
    }
    let mut reader = intact(input, limits)?;
    let mut header = reader.header().clone();
    for stream in &mut header.streams {
        if let Stream::Video(video) = stream {
            let least = video.depth_step.unwrap_or(1).min(video.bits);
            if bits < least {
                return Err(Error::parameter(
                    "bits per token",
                    format!("at least {least}"),
                    bits,
                ));
            }
            video.bits = video.bits.min(bits);
        }
    }
    let mut writer = Writer::new(output, &header, options)?;
    copy(&mut reader, &mut writer, |chunk| {
        if !chunk.is_lost() {
            chunk.truncate_bits(bits);
        }
    })?;
    writer.finish()
}
