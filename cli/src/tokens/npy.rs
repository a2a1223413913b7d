//! The header of npy files.

use std::io::{self, Read};

use super::layout::{Array, bad, read_up_to};

const MAGIC: &[u8] = b"\x93NUMPY";

/// Longest header in bytes; numpy itself refuses more than 10000 unless told otherwise.
const MAX_HEADER: u32 = 1 << 16;

/// The numbers begin at a multiple of this.
const ALIGN: usize = 64;

/// numpy leaves room for the first side to grow to this many digits.
const GROWTH_DIGITS: usize = 21;

/// The header of numpy's format 1.0, byte for byte as `numpy.save` writes it.
pub fn header(array: &Array) -> io::Result<Vec<u8>> {
    let kind = match array.dtype.as_str() {
        "u8" => "|u1",
        "u16" => "<u2",
        "u32" => "<u4",
        _ => "<u8",
    };
    let sides: Vec<String> = array.shape.iter().map(u64::to_string).collect();
    let shape = match &sides[..] {
        [side] => format!("({side},)"),
        _ => format!("({})", sides.join(", ")),
    };
    let mut text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
    let room = sides
        .first()
        .map_or(0, |side| GROWTH_DIGITS.saturating_sub(side.len()));
    text.push_str(&" ".repeat(room));
    // The header ends with at least one space and a newline.
    let len = MAGIC.len() + 4 + text.len() + 1;
    text.push_str(&" ".repeat(ALIGN - len % ALIGN));
    text.push('\n');
    let len = u16::try_from(text.len()).map_err(|_| bad("the array has too many sides"))?;
    Ok([MAGIC, &[1, 0], &len.to_le_bytes()[..], text.as_bytes()].concat())
}

/// Reads a header of numpy's formats 1, 2 and 3: a Python literal with three entries.
pub fn read_header(file: &mut impl Read) -> io::Result<Array> {
    let start = read_up_to(file, 8)?;
    if !start.starts_with(MAGIC) {
        return Err(bad("expected an array of numpy, found another kind of file"));
    }
    let digits = match start.get(MAGIC.len()) {
        Some(1) => 2,
        Some(2 | 3) => 4,
        other => {
            let found = other.copied().unwrap_or_default();
            return Err(bad(format!(
                "expected version 1, 2 or 3 of numpy's format, found {found}"
            )));
        }
    };
    let mut len = [0; 4];
    file.read_exact(&mut len[..digits])?;
    let len = u32::from_le_bytes(len);
    if len > MAX_HEADER {
        return Err(bad(format!(
            "expected a header of numpy of at most {MAX_HEADER} bytes, found {len}"
        )));
    }
    let text = read_up_to(file, u64::from(len))?;
    let text = String::from_utf8_lossy(&text);
    // What follows a key, up to the comma or bracket that ends it.
    let value = |key: &str, end: char| {
        let (_, after) = text.split_once(&format!("'{key}':"))?;
        after.split(end).next().map(str::trim)
    };
    let (Some(kind), Some(order), Some(shape)) = (
        value("descr", ','),
        value("fortran_order", ','),
        value("shape", ')'),
    ) else {
        return Err(bad("expected a header with descr, fortran_order and shape"));
    };
    let dtype = match kind.trim_matches(['\'', '"']) {
        "|u1" => "u8",
        "<u2" => "u16",
        "<u4" => "u32",
        "<u8" => "u64",
        other => {
            return Err(bad(format!(
                "expected numbers of type |u1, <u2, <u4 or <u8, found {other}; convert it with astype"
            )));
        }
    };
    if order != "False" {
        return Err(bad(
            "expected C order, found Fortran order; convert it with numpy.ascontiguousarray",
        ));
    }
    let sides = shape.trim_start_matches('(').split(',').map(str::trim);
    let sides: Result<Vec<u64>, _> = sides.filter(|side| !side.is_empty()).map(str::parse).collect();
    Ok(Array {
        dtype: dtype.to_owned(),
        shape: sides.map_err(|_| bad(format!("expected sides that are numbers, found {shape}")))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(dtype: &str, shape: &[u64]) -> Array {
        Array {
            dtype: dtype.to_owned(),
            shape: shape.to_vec(),
        }
    }

    /// What numpy 2.4.6 wrote.
    #[test]
    fn headers_are_those_of_numpy() {
        let cases: [(&str, &[u64], &str, usize); 4] = [
            (
                "u16",
                &[5, 2, 3],
                "{'descr': '<u2', 'fortran_order': False, 'shape': (5, 2, 3), }",
                128,
            ),
            (
                "u64",
                &[0, 2, 3],
                "{'descr': '<u8', 'fortran_order': False, 'shape': (0, 2, 3), }",
                128,
            ),
            (
                "u32",
                &[1_234_567_890_123, 60, 106, 2],
                "{'descr': '<u4', 'fortran_order': False, 'shape': (1234567890123, 60, 106, 2), }",
                128,
            ),
            (
                "u16",
                &[7],
                "{'descr': '<u2', 'fortran_order': False, 'shape': (7,), }",
                128,
            ),
        ];
        for (dtype, shape, text, len) in cases {
            let mut expected = format!("{text:<118}");
            expected.replace_range(117.., "\n");
            let start = [b"\x93NUMPY\x01\x00", &[(len - 10) as u8, 0][..]].concat();
            let found = header(&array(dtype, shape)).unwrap();
            assert_eq!(found, [&start[..], expected.as_bytes()].concat());
        }
        // Where no padding is needed, numpy pads by 64 bytes.
        let sides = [&[5][..], &[10000; 15]].concat();
        assert_eq!(header(&array("u16", &sides)).unwrap().len(), 256);
    }

    #[test]
    fn headers_are_read_back() {
        let array = array("u32", &[5, 60, 106, 2]);
        let header = header(&array).unwrap();
        let mut rest = &header[..];
        assert_eq!(read_header(&mut rest).unwrap(), array);
        assert!(rest.is_empty());
        for len in 0..header.len() {
            let error = read_header(&mut &header[..len]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{len}");
        }
    }

    #[test]
    fn other_arrays_are_refused() {
        let good = header(&array("u32", &[1])).unwrap();
        let with = |from: &str, to: &str| {
            let at = good.windows(from.len()).position(|part| part == from.as_bytes());
            let mut bytes = good.clone();
            let at = at.unwrap();
            bytes.splice(at..at + from.len(), to.bytes());
            read_header(&mut &bytes[..]).unwrap_err().to_string()
        };
        assert!(with("<u4", "<f4").contains("<f4"));
        assert!(with("False", "True ").contains("Fortran"));
        assert!(with("shape", "shaqe").contains("shape"));
        assert!(with("(1,)", "(x,)").contains("numbers"));
        assert!(with("\x01\0", "\x09\0").contains("found 9"));
        let huge = [MAGIC, &[2, 0, 0xff, 0xff, 0xff, 0xff]].concat();
        assert!(
            read_header(&mut &huge[..])
                .unwrap_err()
                .to_string()
                .contains("65536")
        );
    }
}
