//! Media files through libav, the libraries of ffmpeg. Here is what reading and writing share.

mod attached;
mod ffi;
pub mod filtered;
mod graph;
mod matroska;
mod opus;
mod orientation;
mod packets;
pub mod raw;
pub mod read;
mod tags;
#[cfg(test)]
mod tests;
mod views;
pub mod write;

use crate::color::PlaneRef;
use crate::error::{MediaError, MediaErrorKind};
use crate::options::reduced;
use ffmpeg_next as av;
use latentbit_container::Rational;
use std::sync::Once;

static START: Once = Once::new();

/// Prepares libav once and silences it: its messages name no file and would tear a progress line apart.
pub fn init() {
    START.call_once(|| {
        // It only prepares the texts of errors, and cannot fail.
        let _ = av::init();
        av::log::set_level(av::log::Level::Quiet);
    });
}

/// Lets libav speak on stderr, or not.
pub fn set_verbose(verbose: bool) {
    init();
    av::log::set_level(if verbose {
        av::log::Level::Warning
    } else {
        av::log::Level::Quiet
    });
}

/// Copies samples into a frame, whose lines are longer.
fn fill(frame: &mut av::frame::Video, planes: &[PlaneRef<'_>]) {
    for (p, plane) in planes.iter().enumerate() {
        let stride = frame.stride(p);
        let rows = plane.data.chunks(plane.stride.max(1));
        for (to, from) in frame.data_mut(p).chunks_mut(stride.max(1)).zip(rows) {
            let n = from.len().min(to.len());
            to[..n].copy_from_slice(&from[..n]);
        }
    }
}

/// An error of libav while doing `action`.
pub fn error(place: &str, action: &str, e: av::Error) -> MediaError {
    match e {
        av::Error::Other { errno } => MediaError::io(place, action, std::io::Error::from_raw_os_error(errno)),
        // What a server answers says nothing of what it would have given.
        av::Error::HttpBadRequest
        | av::Error::HttpUnauthorized
        | av::Error::HttpForbidden
        | av::Error::HttpNotFound
        | av::Error::HttpOther4xx
        | av::Error::HttpServerError => {
            MediaError::new(MediaErrorKind::Io, place, format!("cannot {action}: {e}"))
        }
        other => MediaError::new(
            MediaErrorKind::Invalid,
            place,
            format!("cannot {action}: {other}"),
        ),
    }
}

/// The name under which libav opens `path` as a file, whatever colons it holds.
pub fn file_url(place: &str, path: &str) -> Result<String, MediaError> {
    if path.contains('\0') {
        return Err(MediaError::new(
            MediaErrorKind::Usage,
            place,
            "the name holds a zero byte",
        ));
    }
    Ok(format!("file:{path}"))
}

/// A fraction of libav in lowest terms; none unless it is positive.
pub fn positive(r: av::Rational) -> Option<Rational> {
    reduced(
        u128::try_from(r.numerator()).ok()?,
        u128::try_from(r.denominator()).ok()?,
    )
}

/// A fraction for libav, whose parts are signed.
pub fn to_av(r: Rational) -> av::Rational {
    let (mut num, mut den) = (r.num, r.den.max(1));
    while num > i32::MAX as u32 || den > i32::MAX as u32 {
        (num, den) = (num >> 1, (den >> 1).max(1));
    }
    av::Rational::new(num as i32, den as i32)
}

/// A time stamp in seconds.
pub fn seconds(time: i64, base: av::Rational) -> f64 {
    time as f64 * f64::from(base.numerator()) / f64::from(base.denominator().max(1))
}
