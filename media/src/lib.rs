//! Frames and packets in and out of the world: YUV4MPEG2, raw video, PNG and JPEG, from files and pipes, and, with the
//! feature `libav`, everything that ffmpeg's libraries read and write.
//!
//! Begin with [`open_source`] and [`open_sink`]. Both work on a thread of their own behind a short queue, so that
//! decoding, computing and encoding overlap, and memory does not grow with the length of the video. [`Filters`] change
//! frames on their way in.

#![deny(unsafe_code)]

mod along;
mod atomic;
mod background;
mod cadence;
pub mod color;
mod error;
mod exif;
mod filters;
mod icc;
#[cfg(feature = "libav")]
mod libav;
mod name;
mod options;
mod pixel;
mod raw;
mod sink;
mod source;
mod start;
mod still;
mod tensor;
#[cfg(test)]
mod testing;
mod video;
#[cfg(feature = "libav")]
mod whole;
mod y4m;

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use along::{Along, Tags, picture};
pub use atomic::{AtomicFile, Target, remove_unfinished, set_replace, set_sync, stdout, sync_tree};
pub use error::{MediaError, MediaErrorKind};
pub use filters::{Crop, Filters, Resize};
pub use latentbit_codec::Frame;
pub use latentbit_container::{
    Chapter, Chroma, Color, ColorRange, Packet, PacketKind, PacketStream, Rational,
};
pub use name::{is_utf8, path_of, shown, text_of, text_of_bytes};
pub use options::{FpsMode, InputOptions, OutputOptions, RawFormat, parse_rate};
pub use pixel::{Packing, PixelLayout};
pub use sink::{open_player, open_sink};
pub use source::{is_address, is_media, open_source};
pub use start::Start;
pub use tensor::{FRAMES, TensorWriter};
pub use video::{Damage, Extras, FrameSink, FrameSource, MAX_SIDE, MediaKind, VideoInfo};

/// A frame as the bytes of a PNG file of 8 bits a sample.
///
/// # Errors
/// [`MediaErrorKind::Io`] for a frame whose data is not of its size.
pub fn png(frame: &Frame) -> Result<Vec<u8>, MediaError> {
    let mut bytes = Vec::new();
    let written = still::Coding::default().write_png(&mut bytes, frame);
    written.map_err(|error| MediaError::io("picture", "draw", error))?;
    Ok(bytes)
}

/// Lets libav print its own messages on stderr, or not, which is the default. No effect without the feature `libav`.
pub fn set_verbose(verbose: bool) {
    #[cfg(feature = "libav")]
    libav::set_verbose(verbose);
    #[cfg(not(feature = "libav"))]
    let _ = verbose;
}

/// What fuzz targets reach of the readers that are private.
#[cfg(fuzzing)]
pub mod fuzzing {
    use crate::background::PullSource;
    use std::io::Cursor;

    /// Reads a y4m stream to its end.
    pub fn y4m(bytes: &[u8]) {
        let input = Box::new(Cursor::new(bytes.to_vec()));
        let source = crate::y4m::Y4mReader::new("y4m", input, Some(bytes.len() as u64));
        if let Ok(source) = source {
            read_all(source);
        }
    }

    /// Reads a picture.
    pub fn still(bytes: &[u8]) {
        let input = Box::new(Cursor::new(bytes.to_vec()));
        let source = crate::still::StillReader::new("picture", input, [0.0; 3]);
        if let Ok(source) = source {
            read_all(source);
        }
    }

    fn read_all(mut source: impl PullSource) {
        let pixels = |info: &crate::VideoInfo| info.width as usize * info.height as usize * 3;
        let values = pixels(source.info());
        while let Ok(Some(frame)) = source.pull() {
            assert_eq!(frame.data.len(), values);
        }
    }
}
