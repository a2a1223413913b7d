//! What TIFF files, and the Exif data of pictures, which has their form, say of a picture.

use std::io::{self, Read, Seek, SeekFrom};

/// The first directory of a TIFF file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Directory {
    /// How the picture is turned and mirrored to be shown: 1 to 8, 1 for not at all.
    pub orientation: u32,
    /// Whether another directory follows: in a TIFF file, another page.
    pub has_next: bool,
}

impl Directory {
    /// Reads it; none if this is no TIFF.
    ///
    /// # Errors
    /// Those of reading, and [`io::ErrorKind::UnexpectedEof`] if it is cut off.
    pub fn read(mut file: impl Read + Seek) -> io::Result<Option<Self>> {
        const ORIENTATION: u32 = 0x112;
        let mut head = [0; 8];
        file.read_exact(&mut head)?;
        let number = |bytes: &[u8]| {
            let digits = bytes.iter().map(|byte| u32::from(*byte));
            match head[0] {
                b'I' => digits.rev().fold(0, |number, digit| number << 8 | digit),
                _ => digits.fold(0, |number, digit| number << 8 | digit),
            }
        };
        if !matches!(head.first_chunk(), Some(b"II*\0" | b"MM\0*")) {
            return Ok(None);
        }
        file.seek(SeekFrom::Start(number(&head[4..]).into()))?;
        let mut count = [0; 2];
        file.read_exact(&mut count)?;
        let mut orientation = 1;
        for _ in 0..number(&count) {
            let mut entry = [0; 12];
            file.read_exact(&mut entry)?;
            // A number of 16 bits stands at the beginning of its field.
            if number(&entry[..2]) == ORIENTATION {
                orientation = number(&entry[8..10]);
            }
        }
        let mut next = [0; 4];
        // Exif data of some cameras ends without this.
        let has_next = file.read_exact(&mut next).is_ok() && number(&next) != 0;
        Ok(Some(Self {
            orientation: if (1..=8).contains(&orientation) {
                orientation
            } else {
                1
            },
            has_next,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn tiff(little: bool, orientation: u16, next: u32) -> Vec<u8> {
        let two = |n: u16| if little { n.to_le_bytes() } else { n.to_be_bytes() };
        let four = |n: u32| if little { n.to_le_bytes() } else { n.to_be_bytes() };
        let mut bytes = if little {
            b"II*\0".to_vec()
        } else {
            b"MM\0*".to_vec()
        };
        bytes.extend(four(10));
        bytes.extend([9, 9]);
        bytes.extend(two(2));
        for (tag, value) in [(0x100, 64), (0x112, orientation)] {
            bytes.extend([two(tag), two(3)].concat());
            bytes.extend(four(1));
            bytes.extend([two(value), two(0)].concat());
        }
        bytes.extend(four(next));
        bytes
    }

    #[test]
    fn both_orders_of_bytes() {
        for little in [true, false] {
            for (orientation, next) in [(1, 0), (6, 0), (8, 99)] {
                let bytes = tiff(little, orientation, next);
                let found = Directory::read(Cursor::new(&bytes)).unwrap().unwrap();
                let expected = Directory {
                    orientation: orientation.into(),
                    has_next: next != 0,
                };
                assert_eq!(found, expected);
                for len in 0..bytes.len() - 4 {
                    assert!(Directory::read(Cursor::new(&bytes[..len])).is_err(), "{len}");
                }
            }
            let odd = Directory::read(Cursor::new(tiff(little, 77, 0))).unwrap();
            assert_eq!(odd.unwrap().orientation, 1);
        }
        assert_eq!(Directory::read(Cursor::new(b"no TIFF at all")).unwrap(), None);
    }
}
