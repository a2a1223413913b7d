//! Descriptions of sound and subtitles, by way of Matroska.
//!
//! A `.lbit` file names codecs as Matroska does. libav keeps what it knows of a stream to itself, but it can write a
//! Matroska file of it, and read one: the one gives its description, the other takes it.

mod ebml;
mod track;

use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, PoisonError};

use av::format::context::StreamIo;
use ffmpeg_next as av;
use latentbit_container::{PacketKind, PacketStream, Rational};

pub use track::Track;

/// A file in memory that libav and we hold together.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Cursor<Vec<u8>>>>);

impl Shared {
    fn with<T>(&self, run: impl FnOnce(&mut Cursor<Vec<u8>>) -> T) -> T {
        // Whoever panicked while holding it left bytes that are as good as before.
        run(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|file| file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Shared {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.with(|file| file.read(bytes))
    }
}

impl Seek for Shared {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.with(|file| file.seek(to))
    }
}

/// Describes a stream of libav. The error says why Matroska cannot hold it.
pub fn describe(
    parameters: av::codec::Parameters,
    kind: PacketKind,
    time_base: Rational,
) -> Result<PacketStream, String> {
    let text = |error: av::Error| error.to_string();
    let file = Shared::default();
    let io = StreamIo::from_write_seek(file.clone()).map_err(text)?;
    let mut output = av::format::output_to_stream(io, None, Some("matroska")).map_err(text)?;
    let mut stream = output.add_stream(None::<av::Codec>).map_err(text)?;
    stream.set_parameters(parameters);
    let mut settings = av::Dictionary::new();
    // Tags of other file formats are no reason to refuse a codec.
    settings.set("strict", "unofficial");
    drop(output.write_header_with(settings).map_err(text)?);
    output.write_trailer().map_err(text)?;
    drop(output);
    let bytes = file.with(|file| std::mem::take(file.get_mut()));
    let track = Track::read(&bytes).ok_or("libav wrote no track")?;
    Ok(track.into_stream(kind, time_base))
}

/// What libav must know to write a stream. The error says what is wrong with its description.
pub fn parameters(stream: &PacketStream) -> Result<av::codec::Parameters, String> {
    let text = |error: av::Error| error.to_string();
    let file = Cursor::new(Track::from_stream(stream).write());
    let io = StreamIo::from_read_seek(file).map_err(text)?;
    let input = av::format::input_from_stream(io, Some("track.mkv"), None).map_err(text)?;
    let parameters = input.streams().next().ok_or("libav finds no track")?.parameters();
    match parameters.id() {
        av::codec::Id::None => Err(format!("libav does not know the codec {}", stream.codec)),
        _ => Ok(parameters),
    }
}

/// Whether libav writes such a stream in a file of this format; the error says why not.
pub fn try_format(format: &str, parameters: &av::codec::Parameters) -> Result<(), String> {
    let text = |error: av::Error| error.to_string();
    let io = StreamIo::from_write_seek(Shared::default()).map_err(text)?;
    let mut output = av::format::output_to_stream(io, None, Some(format)).map_err(text)?;
    let mut stream = output.add_stream(None::<av::Codec>).map_err(text)?;
    stream.set_parameters(parameters.clone());
    stream.set_time_base(av::Rational::new(1, 1000));
    output.write_header().map(|_| ()).map_err(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::libav::init;

    #[test]
    fn libav_reads_what_we_write() {
        init();
        let base = Rational { num: 1, den: 1000 };
        let audio_specific_config = vec![0x12, 0x10];
        let aac = Track {
            audio: true,
            codec: "A_AAC".to_owned(),
            private: audio_specific_config,
            sample_rate: 44100,
            channels: 2,
            ..Track::default()
        };
        let text = Track {
            codec: "S_TEXT/UTF8".to_owned(),
            ..Track::default()
        };
        for (track, kind, id) in [
            (aac, PacketKind::Audio, av::codec::Id::AAC),
            (text, PacketKind::Subtitles, av::codec::Id::SUBRIP),
        ] {
            let stream = track.into_stream(kind, base);
            let parameters = parameters(&stream).unwrap();
            assert_eq!(parameters.id(), id);
            // And back again.
            let described = describe(parameters.clone(), kind, base).unwrap();
            assert_eq!(
                (&described.codec, &described.private),
                (&stream.codec, &stream.private)
            );
            assert!(try_format("matroska", &parameters).is_ok());
            assert!(try_format("webm", &parameters).is_err());
        }
    }

    #[test]
    fn unknown_codecs_are_told() {
        init();
        let stream = Track {
            codec: "A_NOBODY/KNOWS".to_owned(),
            audio: true,
            ..Track::default()
        }
        .into_stream(PacketKind::Audio, Rational { num: 1, den: 1000 });
        assert!(parameters(&stream).err().unwrap().contains("A_NOBODY/KNOWS"));
    }
}
