//! Whether a file goes on to where its own lengths say that it ends.
//!
//! Readers of media take what there is and stop without a word. Containers say how long their parts are, though, so that a
//! download that broke off shows, whatever is inside.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

/// Parts of a file that are looked at before giving up.
const MOST_PARTS: usize = 4_000_000;

/// What is missing at the end of a file, in words; none if nothing is, or if its format does not tell.
pub fn missing(file: impl Read + Seek) -> io::Result<Option<String>> {
    let mut file = File::new(file)?;
    let mut head = [0; 16];
    file.read_at(0, &mut head)?;
    let found = match &head {
        [0x1a, 0x45, 0xdf, 0xa3, ..] => matroska(&mut file),
        [b'R', b'I', b'F', b'F', ..] => riff(&mut file),
        [b'F', b'L', b'V', ..] => flv(&mut file),
        [b'O', b'g', b'g', b'S', ..] => ogg(&mut file),
        [b'D', b'K', b'I', b'F', ..] => ivf(&mut file),
        [b'G', b'I', b'F', b'8', ..] => gif(&mut file),
        [0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11, ..] => asf(&mut file),
        [_, _, _, _, kind @ ..] if is_box(&kind[..4]) => boxes(&mut file),
        _ => transport_stream(&mut file),
    };
    match found {
        // What cannot be read here is for the real reader to complain about.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        other => other,
    }
}

struct File<F> {
    inner: BufReader<F>,
    len: u64,
}

impl<F: Read + Seek> File<F> {
    fn new(mut inner: F) -> io::Result<Self> {
        let len = inner.seek(SeekFrom::End(0))?;
        inner.rewind()?;
        Ok(Self {
            inner: BufReader::new(inner),
            len,
        })
    }

    /// Fills `buffer` with the bytes from `at` on; fails if there are not so many.
    fn exactly(&mut self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let here = self.inner.stream_position()?;
        // A relative seek keeps the buffer where it can.
        let by = i64::try_from(at).unwrap_or(i64::MAX) - i64::try_from(here).unwrap_or(i64::MAX);
        self.inner.seek_relative(by)?;
        self.inner.read_exact(buffer)
    }

    /// As [`exactly`](Self::exactly), with zeros where there is nothing.
    fn read_at(&mut self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        buffer.fill(0);
        let there = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX);
        let there = there.min(buffer.len());
        self.exactly(at, &mut buffer[..there])
    }

    fn number<const N: usize>(&mut self, at: u64, little: bool) -> io::Result<u64> {
        let mut bytes = [0; N];
        self.exactly(at, &mut bytes)?;
        let digits: Vec<u8> = match little {
            true => bytes.iter().rev().copied().collect(),
            false => bytes.to_vec(),
        };
        Ok(digits
            .iter()
            .fold(0, |number, &digit| number << 8 | u64::from(digit)))
    }

    /// Says so if what is called `what` ends after the file does.
    fn ends(&self, what: &str, end: u64) -> Option<String> {
        (end > self.len).then(|| {
            let lacking = end - self.len;
            format!("{what} goes on for {lacking} bytes after the end of the file")
        })
    }
}

fn is_box(kind: &[u8]) -> bool {
    matches!(
        kind,
        b"ftyp" | b"moov" | b"mdat" | b"free" | b"skip" | b"wide" | b"styp" | b"sidx" | b"moof" | b"pnot"
    )
}

/// ISO base media: MP4, MOV, 3GP, HEIF.
fn boxes<F: Read + Seek>(file: &mut File<F>) -> io::Result<Option<String>> {
    let mut at = 0;
    for _ in 0..MOST_PARTS {
        if at >= file.len {
            break;
        }
        if at + 8 > file.len {
            return Ok(file.ends("the head of a box", at + 8));
        }
        let mut kind = [0; 4];
        file.exactly(at + 4, &mut kind)?;
        if !kind
            .iter()
            .all(|byte| (0x20..0x7f).contains(byte) || *byte == 0xa9)
        {
            break;
        }
        let size = match file.number::<4>(at, false)? {
            0 => break,
            1 => file.number::<8>(at + 8, false)?,
            size => size,
        };
        if size < 8 {
            break;
        }
        let name = format!("the box '{}'", kind.escape_ascii());
        at = at.saturating_add(size);
        if let Some(said) = file.ends(&name, at) {
            return Ok(Some(said));
        }
    }
    Ok(None)
}

/// AVI, WebP, WAV; large AVI files have several such lists.
fn riff<F: Read + Seek>(file: &mut File<F>) -> io::Result<Option<String>> {
    let mut at = 0;
    while at + 12 <= file.len {
        let mut kind = [0; 4];
        file.exactly(at, &mut kind)?;
        if &kind != b"RIFF" {
            break;
        }
        let size = file.number::<4>(at + 4, true)?;
        // Programs that write to pipes do not know it.
        if size == 0 || size >= 0xffff_fff0 {
            break;
        }
        at += 8 + size;
        if let Some(said) = file.ends("the list 'RIFF'", at) {
            return Ok(Some(said));
        }
        at += size & 1;
    }
    Ok(None)
}

/// The bytes of an EBML number, and its value; none if all bits are set, which means that it is not known.
fn ebml_number<F: Read + Seek>(file: &mut File<F>, at: u64, marked: bool) -> io::Result<(u64, Option<u64>)> {
    let first = file.number::<1>(at, false)?;
    let len = u64::from((first as u8).leading_zeros()) + 1;
    if len > 8 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut value = first;
    for more in 1..len {
        value = value << 8 | file.number::<1>(at + more, false)?;
    }
    let mask = (1u64 << (7 * len)) - 1;
    let known = (value & mask != mask).then_some(value & mask);
    Ok((len, if marked { Some(value) } else { known }))
}

/// Matroska and WebM.
fn matroska<F: Read + Seek>(file: &mut File<F>) -> io::Result<Option<String>> {
    const SEGMENT: u64 = 0x1853_8067;
    const CLUSTER: u64 = 0x1f43_b675;
    let mut at = 0;
    for _ in 0..MOST_PARTS {
        if at >= file.len {
            return Ok(None);
        }
        let head = ebml_number(file, at, true).and_then(|(id_len, id)| {
            let (size_len, size) = ebml_number(file, at + id_len, false)?;
            Ok((id.unwrap_or(0), id_len + size_len, size))
        });
        let (id, head, size) = match head {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && at + 12 > file.len => {
                return Ok(Some("the last element is cut off".to_owned()));
            }
            other => other?,
        };
        let name = match id {
            SEGMENT => "the segment",
            CLUSTER => "the last cluster",
            _ => "the last element",
        };
        at = match size {
            // What a live stream does not know the length of is gone through part by part.
            None if matches!(id, SEGMENT | CLUSTER) => at + head,
            None => return Ok(None),
            Some(size) => {
                let end = at.saturating_add(head).saturating_add(size);
                if let Some(said) = file.ends(name, end) {
                    return Ok(Some(said));
                }
                end
            }
        };
        if id == SEGMENT && size.is_some() {
            break;
        }
    }
    Ok(None)
}

/// Each tag ends with its length, so the end of the file must be the end of a tag.
fn flv<F: Read + Seek>(file: &mut File<F>) -> io::Result<Option<String>> {
    let mut at = file.number::<4>(5, false)? + 4;
    for _ in 0..MOST_PARTS {
        if at >= file.len {
            break;
        }
        if at + 11 > file.len {
            return Ok(file.ends("the head of the last tag", at + 11));
        }
        let size = file.number::<3>(at + 1, false)?;
        at += 11 + size + 4;
        if let Some(said) = file.ends("the last tag", at) {
            return Ok(Some(said));
        }
    }
    Ok(None)
}

/// The last page must be whole, and the last of its stream.
fn ogg<F: Read + Seek>(file: &mut File<F>) -> io::Result<Option<String>> {
    const LONGEST_PAGE: u64 = 27 + 255 + 255 * 255;
    let from = file.len.saturating_sub(2 * LONGEST_PAGE);
    let mut bytes = vec![0; usize::try_from(file.len - from).unwrap_or(0)];
    file.exactly(from, &mut bytes)?;
    let Some(at) = bytes.windows(5).rposition(|window| window == b"OggS\0") else {
        return Ok(None);
    };
    let page = &bytes[at..];
    let segments = page.get(26).copied().map_or(0, usize::from);
    let table = page.get(27..27 + segments);
    let whole = table.map(|table| 27 + segments + table.iter().map(|&len| usize::from(len)).sum::<usize>());
    match whole {
        Some(len) if len <= page.len() => {
            let last = page.get(5).is_some_and(|flags| flags & 4 != 0);
            Ok((!last).then(|| "the last page is not marked as the end of its stream".to_owned()))
        }
        _ => Ok(Some("the last page is cut off".to_owned())),
    }
}

fn ivf<F: Read + Seek>(file: &mut File<F>) -> io::Result<Option<String>> {
    let mut at = file.number::<2>(6, true)?;
    for _ in 0..MOST_PARTS {
        if at >= file.len {
            break;
        }
        if at + 12 > file.len {
            return Ok(file.ends("the head of the last frame", at + 12));
        }
        at += 12 + file.number::<4>(at, true)?;
        if let Some(said) = file.ends("the last frame", at) {
            return Ok(Some(said));
        }
    }
    Ok(None)
}

fn gif<F: Read + Seek>(file: &mut File<F>) -> io::Result<Option<String>> {
    let from = file.len.saturating_sub(64);
    let mut bytes = vec![0; usize::try_from(file.len - from).unwrap_or(0)];
    file.exactly(from, &mut bytes)?;
    // Some programs fill files up with zeros.
    let last = bytes.iter().rev().find(|byte| **byte != 0);
    Ok((last != Some(&0x3b)).then(|| "the byte that ends a GIF file is missing".to_owned()))
}

/// ASF and WMV: a list of objects with their lengths.
fn asf<F: Read + Seek>(file: &mut File<F>) -> io::Result<Option<String>> {
    let mut at = 0;
    for _ in 0..64 {
        if at + 24 > file.len {
            break;
        }
        let size = file.number::<8>(at + 16, true)?;
        // That of a stream's data may be unknown.
        if size < 24 {
            break;
        }
        at = at.saturating_add(size);
        if let Some(said) = file.ends("an object", at) {
            return Ok(Some(said));
        }
    }
    Ok(None)
}

/// MPEG transport streams consist of packets of one length.
fn transport_stream<F: Read + Seek>(file: &mut File<F>) -> io::Result<Option<String>> {
    const SYNC: u64 = 0x47;
    for (size, at) in [(188, 0), (192, 4), (204, 0)] {
        if file.len < 5 * size {
            continue;
        }
        let mut in_step = true;
        for packet in 0..5 {
            in_step &= file.number::<1>(at + packet * size, false)? == SYNC;
        }
        let rest = file.len % size;
        let begins = file.len - rest + at;
        if in_step && rest > at && file.number::<1>(begins, false)? == SYNC {
            let lacking = size - rest;
            return Ok(Some(format!(
                "the last packet lacks {lacking} of its {size} bytes"
            )));
        }
        if in_step {
            break;
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn said(bytes: &[u8]) -> Option<String> {
        missing(Cursor::new(bytes)).unwrap()
    }

    /// Each format's file of some parts, and from which byte on it is known where it should end.
    fn files() -> Vec<(&'static str, Vec<u8>, usize)> {
        let part = |kind: &[u8; 4], len: u32| {
            let mut bytes = (len + 8).to_be_bytes().to_vec();
            bytes.extend_from_slice(kind);
            bytes.resize(len as usize + 8, 7);
            bytes
        };
        let mp4 = [part(b"ftyp", 8), part(b"mdat", 300), part(b"moov", 100)].concat();
        let mut riff = b"RIFF\0\x01\0\0AVI ".to_vec();
        riff.resize(256 + 8, 1);
        let mut known = vec![
            0x1a, 0x45, 0xdf, 0xa3, 0x82, 1, 1, 0x18, 0x53, 0x80, 0x67, 0x41, 0x00,
        ];
        known.resize(13 + 256, 3);
        // A segment and clusters of unknown length, with blocks of a byte's length.
        let mut live = vec![0x1a, 0x45, 0xdf, 0xa3, 0x82, 1, 1, 0x18, 0x53, 0x80, 0x67, 0xff];
        for _ in 0..3 {
            live.extend([0x1f, 0x43, 0xb6, 0x75, 0xff, 0xe7, 0x81, 0]);
            live.extend([0xa3, 0x90]);
            live.extend([5; 16]);
        }
        let mut flv = b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec();
        for _ in 0..3 {
            flv.extend([9, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0]);
            flv.extend([1; 20]);
            flv.extend([0, 0, 0, 31]);
        }
        let mut ogg = Vec::new();
        for flags in [2, 0, 4] {
            ogg.extend(b"OggS\0");
            ogg.push(flags);
            ogg.extend([0; 20]);
            ogg.extend([2, 10, 20]);
            ogg.extend([9; 30]);
        }
        let mut ivf = b"DKIF\0\0\x20\0VP80".to_vec();
        ivf.resize(32, 0);
        for _ in 0..3 {
            ivf.extend([20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            ivf.extend([1; 20]);
        }
        let ts: Vec<u8> = (0..7)
            .flat_map(|_| std::iter::once(0x47).chain([1; 187]))
            .collect();
        let mut gif = b"GIF89a".to_vec();
        gif.extend([1; 40]);
        gif.push(0x3b);
        vec![
            ("mp4", mp4, 8),
            ("riff", riff, 12),
            ("matroska", known, 13),
            ("live", live, 12),
            ("flv", flv, 13),
            ("ogg", ogg, 3 * 59 - 58),
            ("ivf", ivf, 32),
            ("ts", ts, 5 * 188),
            ("gif", gif, 7),
        ]
    }

    #[test]
    fn a_whole_file_is_whole_and_a_part_of_it_is_not() {
        for (name, bytes, from) in files() {
            assert_eq!(said(&bytes), None, "{name}");
            let between = match name {
                // Where one part ends and the next begins, nobody knows that more should come.
                "mp4" => vec![16, 324],
                "live" => (0..3)
                    .flat_map(|n| [12 + n * 26, 12 + n * 26 + 5, 12 + n * 26 + 8])
                    .collect(),
                "flv" => (0..3).map(|n| 13 + n * 35).collect(),
                "ivf" => (0..3).map(|n| 32 + n * 32).collect(),
                "ts" => (5..7).map(|n| n * 188).collect(),
                _ => Vec::new(),
            };
            for len in (from..bytes.len()).filter(|len| !between.contains(len)) {
                assert!(said(&bytes[..len]).is_some(), "{name} {len}");
            }
        }
    }

    #[test]
    fn noise_is_no_danger_and_other_files_say_nothing() {
        for (_, mut bytes, _) in files() {
            for at in 0..bytes.len() {
                bytes[at] ^= 0xff;
                let _ = said(&bytes);
                bytes[at] ^= 0xff;
            }
        }
        for bytes in [
            &b""[..],
            b"hello",
            b"YUV4MPEG2 W2 H2\nFRAME\n",
            &[0xff; 4000],
            &[0; 4000],
        ] {
            assert_eq!(said(bytes), None);
        }
    }
}
