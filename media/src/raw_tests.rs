use super::super::types::Chroma;
use super::*;
use std::io::Cursor;

#[test]
fn descriptions() {
    let f: RawFormat = "101x67@30000/1001:yuv420p10le".parse().unwrap();
    assert_eq!((f.width, f.height, f.layout.depth), (101, 67, 10));
    assert_eq!(
        f.frame_rate,
        Rational {
            num: 30000,
            den: 1001
        }
    );
    let f: RawFormat = "4x2@29.97:gray".parse().unwrap();
    assert_eq!((f.layout.chroma(), f.frame_rate.den), (Chroma::Gray, 1001));
    for bad in [
        "",
        "4x2",
        "4x2@25",
        "4@25:gray",
        "0x2@25:gray",
        "4x16385@25:gray",
        "4x2@0:gray",
        "4x2@25:nv12",
        "4x2@25:yuva420p",
        "x@:",
        "-4x2@25:gray",
    ] {
        let e = bad.parse::<RawFormat>().unwrap_err();
        assert!(e.contains("WxH@FPS:PIXFMT"), "{e}");
    }
}

#[test]
fn every_layout_round_trips() {
    for name in [
        "yuv420p",
        "yuv422p10le",
        "yuv444p12le",
        "gray",
        "gray16le",
        "rgb24",
        "rgb48le",
        "gbrp10le",
    ] {
        let format: RawFormat = format!("7x5@25:{name}").parse().unwrap();
        let n = format.layout.frame_bytes(7, 5);
        // Mid-gray in every family, so that nothing is out of gamut.
        let middle = 1u16 << (format.layout.depth - 1);
        let one: Vec<u8> = match format.layout.depth {
            8 => vec![middle as u8; n],
            _ => std::iter::repeat_n(middle.to_le_bytes(), n / 2)
                .flatten()
                .collect(),
        };
        let bytes = [one.clone(), one].concat();
        let input = Box::new(Cursor::new(bytes.clone()));
        let mut reader = RawReader::new("test", input, format, Some(bytes.len() as u64)).unwrap();
        assert_eq!(reader.info().frame_count, Some(2));
        let mut out = Vec::new();
        let mut writer = RawWriter::new("test", &mut out, reader.info(), format.layout);
        while let Some(frame) = reader.pull().unwrap() {
            writer.push(&frame, 0).unwrap();
        }
        writer.finish().unwrap();
        drop(writer);
        assert_eq!(out, bytes, "{name}");
    }
}

#[test]
fn a_wrong_size_shows_as_truncation() {
    let format: RawFormat = "4x4@25:gray".parse().unwrap();
    let mut reader = RawReader::new("test", Box::new(Cursor::new(vec![0; 40])), format, None).unwrap();
    assert!(reader.pull().unwrap().is_some() && reader.pull().unwrap().is_some());
    assert_eq!(
        reader.pull().unwrap_err().kind(),
        MediaErrorKind::Truncated { frames: 2 }
    );
}
