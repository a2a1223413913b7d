//! Planes as zstd frames (LBIT §6.1), unpacked in plain Rust, for targets that zstd's C does not build for.
//!
//! Of frames that break RFC 8878 it and [`super::zstd`] do not refuse the same ones; all others they read alike.

use std::io::Read;

use ::ruzstd::decoding::errors::FrameDecoderError;
use ::ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use crate::error::Broken;

/// Bytes before the descriptor of a frame.
const MAGIC_LEN: usize = 4;
/// In the descriptor: always 0.
const RESERVED: u8 = 1 << 3;
/// In the descriptor: the content is the window, and no window is declared.
const SINGLE_SEGMENT: u8 = 1 << 5;
/// In the descriptor: how many bytes the content size has.
const SIZE_FLAG: u8 = 3 << 6;

/// Unpacks planes, with the buffers of one decoder for all of them.
#[derive(Default)]
pub(super) struct Decoder(FrameDecoder);

impl Decoder {
    /// The content of the one frame in `from`, which may be `most` bytes long.
    pub fn decode_at_most(&mut self, from: &[u8], most: usize) -> Result<Vec<u8>, Broken> {
        self.content(from, most, |content| match content <= most as u64 {
            true => Ok(()),
            false => {
                let expected = format!("at most {most} bytes");
                Err(Broken::new("length of a layer", expected, content))
            }
        })
    }

    /// Fills `to` with the content of the one frame in `from`.
    pub fn decode(&mut self, from: &[u8], to: &mut [u8]) -> Result<(), Broken> {
        let len = to.len();
        let content = self.content(from, len, |content| match content == len as u64 {
            true => Ok(()),
            false => {
                let expected = format!("{len} bytes");
                Err(Broken::new("length of a bit-plane", expected, content))
            }
        })?;
        to.copy_from_slice(&content);
        Ok(())
    }

    /// The content of the one frame in `from`, of at most `most` bytes, if `check` takes the length that it declares.
    fn content(
        &mut self,
        from: &[u8],
        most: usize,
        check: impl FnOnce(u64) -> Result<(), Broken>,
    ) -> Result<Vec<u8>, Broken> {
        let one_frame = || {
            Broken::new(
                "compressed bit-plane",
                "one zstd frame with its content size",
                "other bytes",
            )
        };
        let bad = |found: &dyn ToString| {
            Broken::new("compressed bit-plane", "a valid zstd frame", found.to_string())
        };
        let (magic, after) = from.split_at_checked(MAGIC_LEN).ok_or_else(one_frame)?;
        let (&descriptor, after) = after.split_first().ok_or_else(one_frame)?;
        if descriptor & RESERVED != 0 || descriptor & (SIZE_FLAG | SINGLE_SEGMENT) == 0 {
            return Err(one_frame());
        }
        // The content is all that the frame can refer to (LBIT §6.1). So its window is left out: the decoder would take
        // memory for all of it.
        let window = usize::from(descriptor & SINGLE_SEGMENT == 0);
        let after = after.get(window..).ok_or_else(one_frame)?;
        let descriptor = [descriptor | SINGLE_SEGMENT];
        let mut input = magic.chain(&descriptor[..]).chain(after);
        let decoder = &mut self.0;
        decoder.set_max_window_size(most as u64);
        match decoder.reset(&mut input) {
            Ok(()) => check(decoder.content_size())?,
            Err(FrameDecoderError::WindowSizeTooBig { requested, .. }) => check(requested)?,
            Err(error) => return Err(bad(&error)),
        }
        let mut content = Vec::new();
        while !decoder.is_finished() {
            decoder
                .decode_blocks(&mut input, BlockDecodingStrategy::UptoBlocks(1))
                .map_err(|error| bad(&error))?;
            content.extend(decoder.collect().unwrap_or_default());
            if content.len().saturating_add(decoder.can_collect()) > most {
                return Err(bad(&format!("one of more than {most} bytes")));
            }
        }
        if input.read(&mut [0]).map_err(|error| bad(&error))? > 0 {
            return Err(one_frame());
        }
        if content.len() as u64 != decoder.content_size() {
            return Err(bad(&format!("one of {} bytes", content.len())));
        }
        let stored = decoder.get_checksum_from_data();
        if stored.is_some() && stored != decoder.get_calculated_checksum() {
            return Err(bad(&"one with a wrong checksum"));
        }
        Ok(content)
    }
}

#[cfg(all(test, feature = "zstd"))]
mod tests {
    use proptest::prelude::*;

    use super::super::zstd as c;
    use super::*;

    /// What both decoders make of `frame`.
    fn both(frame: &[u8], most: usize) -> [Option<Vec<u8>>; 2] {
        let mine = Decoder::default().decode_at_most(frame, most).ok();
        [mine, c::Decoder::default().decode_at_most(frame, most).ok()]
    }

    /// Bytes of which some are like those before them, as planes are.
    fn content() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            (any::<u8>(), 1..300usize).prop_map(|(byte, len)| vec![byte; len]),
            prop::collection::vec(any::<u8>(), 1..80),
            prop::collection::vec(0..4u8, 1..2000),
        ];
        prop::collection::vec(part, 1..12).prop_map(|parts| parts.concat())
    }

    #[test]
    fn frames_are_read_as_the_c_library_reads_them() {
        let mut decoder = Decoder::default();
        for len in [1, 5, 255, 256, 4000, 70_000, 300_000] {
            let plane: Vec<u8> = (0..len).map(|at: usize| (at * at / 700 % 7) as u8).collect();
            for level in [-5, 1, 3, 12, 19] {
                let frames = c::encode(level, len, &plane).unwrap();
                let frame = frames[0].as_deref().unwrap();
                let mut found = vec![0; len];
                decoder.decode(frame, &mut found).unwrap();
                assert!(found == plane, "{len} bytes, level {level}");
                assert_eq!(decoder.decode_at_most(frame, len).unwrap(), plane);
                assert!(decoder.decode_at_most(frame, len - 1).is_err());
                assert!(decoder.decode(frame, &mut vec![0; len + 1]).is_err());
            }
        }
    }

    #[test]
    fn a_window_and_a_checksum_are_allowed() {
        let plane = vec![7; 3000];
        // Made by a stream, which does not know that the content is short: a window of 8 MiB.
        let mut encoder = ::zstd::stream::Encoder::new(Vec::new(), 19).unwrap();
        encoder.include_checksum(true).unwrap();
        encoder.set_pledged_src_size(Some(3000)).unwrap();
        encoder.window_log(23).unwrap();
        std::io::Write::write_all(&mut encoder, &plane).unwrap();
        let mut frame = encoder.finish().unwrap();
        assert_eq!(both(&frame, 3000), [Some(plane.clone()), Some(plane)]);
        *frame.last_mut().unwrap() ^= 1;
        assert_eq!(both(&frame, 3000), [None, None]);
        // One that does not say how long it is, and two in a row.
        let mut encoder = ::zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
        encoder.include_contentsize(false).unwrap();
        std::io::Write::write_all(&mut encoder, &[1; 50]).unwrap();
        let unsized_frame = encoder.finish().unwrap();
        assert_eq!(both(&unsized_frame, 3000), [None, None]);
        let one = c::encode(3, 50, &[1; 50]).unwrap()[0].clone().unwrap();
        assert_eq!(both(&[one.clone(), one].concat(), 3000), [None, None]);
    }

    proptest! {
        /// Nor do they end the program.
        #[test]
        fn damaged_frames_are_refused_or_as_long_as_they_say(
            plane in content(),
            level in 1..20i32,
            flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8u32), 0..4),
            cut in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let mut frame = c::encode(level, plane.len(), &plane).unwrap()[0].clone().unwrap();
            for (at, bit) in flips {
                let at = at.index(frame.len());
                frame[at] ^= 1 << bit;
            }
            if let Some(cut) = cut {
                frame.truncate(cut.index(frame.len()));
            }
            let mut decoder = Decoder::default();
            let mut exact = vec![0; plane.len()];
            let found = decoder.decode_at_most(&frame, plane.len() * 2);
            let as_long = found.is_ok_and(|content| content.len() == plane.len());
            prop_assert_eq!(decoder.decode(&frame, &mut exact).is_ok(), as_long);
        }
    }
}
