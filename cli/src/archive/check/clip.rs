//! The tokens of a clip.

use std::fs::File;
use std::io::{self, BufReader, Read};

use latentbit_container::{Limits, Reader, verify};

use super::super::digested::Digested;
use super::super::shard::LBIT;
use super::{Check, Expected, number, text};
use latentbit_media::MediaError;

/// Bytes that hold a header.
const HEAD: usize = 1 << 16;

impl Check<'_> {
    /// Checks a file that is a clip.
    pub fn file(&mut self, name: &str, clips: &[Expected]) -> anyhow::Result<()> {
        let path = self.folder.file(name);
        let place = path.display().to_string();
        let file = File::open(&path).map_err(|error| MediaError::io(&place, "open", error))?;
        let length = file
            .metadata()
            .map_err(|error| MediaError::io(&place, "look at", error))?
            .len();
        self.report.bytes += length;
        let mut file = BufReader::new(file);
        for clip in clips {
            if name != format!("{}.{LBIT}", clip.key) {
                self.problem(name, &format!("the manifest has it for the clip {:?}", clip.key));
            }
            let expected = (number(&clip.cells, "offset"), number(&clip.cells, "bytes"));
            if expected != (Some(0), Some(length)) {
                self.problem(
                    name,
                    &format!("the manifest has bytes {expected:?} of it, and it has {length} from byte 0"),
                );
            }
            self.lbit(name, clip, &mut file, length)?;
        }
        Ok(())
    }

    /// Checks the `len` bytes of a clip's tokens, which `input` gives.
    pub fn lbit(
        &mut self,
        place: &str,
        clip: &Expected,
        input: &mut impl Read,
        len: u64,
    ) -> anyhow::Result<()> {
        let place = format!("{place}, clip {}", clip.key);
        // What a row says of a clip is checked on its bytes as they go by; only its head is kept.
        let mut input = Digested::new(Head {
            inner: input.take(len),
            head: Vec::new(),
        });
        let found = verify(&mut input, &Limits::default());
        let read = input.finish();
        let (sha256, Head { head, .. }) = read.map_err(|error| MediaError::io(&place, "read", error))?;
        if sha256 != text(&clip.cells, "sha256") {
            self.problem(
                &place,
                &format!(
                    "its bytes have the SHA-256 {sha256}, and the manifest says {}",
                    text(&clip.cells, "sha256")
                ),
            );
        }
        match found {
            Err(error) => self.problem(&place, &error.to_string()),
            Ok(found) if !found.is_whole() => {
                let first = found
                    .problems
                    .first()
                    .map_or_else(String::new, ToString::to_string);
                self.problem(&place, &format!("it is not whole: {first}"));
            }
            Ok(found) => {
                let totals = found.totals.iter().flatten().next().copied().unwrap_or_default();
                for (name, value) in [("frames", totals.frames.0), ("chunks", totals.chunks)] {
                    self.equal(&place, clip, name, value);
                }
            }
        }
        if let Ok(reader) = Reader::new(&head[..], Limits::default())
            && let Some((_, video)) = reader.header().first_video()
        {
            for (name, value) in [
                ("width", video.width.into()),
                ("height", video.height.into()),
                ("bits", video.bits.into()),
            ] {
                self.equal(&place, clip, name, value);
            }
            let bundle = video.bundle.sha256_hex();
            if bundle != text(&clip.cells, "bundle_sha256") {
                self.problem(
                    &place,
                    &format!("it was made with the bundle {bundle}, as the manifest does not say"),
                );
            }
        }
        Ok(())
    }

    fn equal(&mut self, place: &str, clip: &Expected, name: &str, value: u64) {
        let told = number(&clip.cells, name);
        if told != Some(value) {
            let row = clip.row;
            self.problem(
                place,
                &format!(
                    "{name} is {value}, and row {row} of the manifest says {}",
                    told.map_or_else(|| "nothing".to_owned(), |told| told.to_string())
                ),
            );
        }
    }
}

/// Bytes of which the first ones are kept.
struct Head<R> {
    inner: R,
    head: Vec<u8>,
}

impl<R: Read> Read for Head<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(buffer)?;
        let room = HEAD - self.head.len();
        self.head.extend_from_slice(&buffer[..len.min(room)]);
        Ok(len)
    }
}
