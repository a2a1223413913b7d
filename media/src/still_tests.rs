use super::*;
use std::fs;

fn info(chroma: Chroma, bit_depth: u8) -> VideoInfo {
    VideoInfo {
        width: 13,
        height: 7,
        frame_rate: Rational { num: 25, den: 1 },
        pixel_aspect: Rational { num: 1, den: 1 },
        color: Color {
            primaries: 1,
            transfer: 13,
            matrix: 0,
            range: ColorRange::Full,
        },
        chroma,
        chroma_location: 0,
        bit_depth,
        frame_count: Some(1),
        time_base: None,
        packet_streams: Vec::new(),
        kind: MediaKind::StillImage,
    }
}

fn frame(gray: bool) -> Frame {
    let pixel = |i: usize| {
        let v = i as f32 / 91.0;
        if gray { [v, v, v] } else { [v, 1.0 - v, 0.5 * v] }
    };
    Frame {
        width: 13,
        height: 7,
        data: (0..91).flat_map(pixel).collect(),
    }
}

fn open(path: &str) -> Result<StillReader, MediaError> {
    StillReader::new(path, Box::new(fs::File::open(path).unwrap()))
}

fn worst(a: &Frame, b: &Frame) -> f32 {
    a.data
        .iter()
        .zip(&b.data)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

#[test]
fn pictures_round_trip() {
    let dir = tempfile::tempdir().unwrap();
    for (name, format, chroma, depth, limit) in [
        ("a.png", StillFormat::Png, Chroma::Rgb, 8, 0.5 / 255.0),
        ("b.png", StillFormat::Png, Chroma::Rgb, 16, 0.5 / 65535.0),
        ("c.png", StillFormat::Png, Chroma::Gray, 8, 0.5 / 255.0),
        ("d.png", StillFormat::Png, Chroma::Gray, 10, 0.5 / 65535.0),
        ("e.jpg", StillFormat::Jpeg, Chroma::Rgb, 8, 0.1),
        ("f.jpg", StillFormat::Jpeg, Chroma::Gray, 8, 0.05),
    ] {
        let path = dir.path().join(name);
        let path = path.to_str().unwrap();
        let original = frame(chroma == Chroma::Gray);
        let mut writer = StillWriter::new(path, format, &info(chroma, depth), 95).unwrap();
        writer.push(&original, 0).unwrap();
        writer.finish().unwrap();
        let mut reader = open(path).unwrap();
        assert_eq!(reader.info().chroma, chroma, "{name}");
        assert_eq!(reader.info().bit_depth, if depth > 8 { 16 } else { 8 }, "{name}");
        let back = reader.pull().unwrap().unwrap();
        assert!(
            worst(&back, &original) <= limit + 1e-6,
            "{name} {}",
            worst(&back, &original)
        );
        assert!(reader.pull().unwrap().is_none());
    }
}

#[test]
fn transparency_is_laid_over_black() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.png");
    image::RgbaImage::from_pixel(2, 2, image::Rgba([255, 128, 0, 0]))
        .save(&path)
        .unwrap();
    let back = open(path.to_str().unwrap()).unwrap().pull().unwrap().unwrap();
    assert!(back.data.iter().all(|v| *v == 0.0));
}

#[test]
fn damaged_pictures_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    for (name, format) in [("a.png", StillFormat::Png), ("a.jpg", StillFormat::Jpeg)] {
        let path = dir.path().join(name);
        let path = path.to_str().unwrap();
        let mut writer = StillWriter::new(path, format, &info(Chroma::Rgb, 8), 95).unwrap();
        writer.push(&frame(false), 0).unwrap();
        writer.finish().unwrap();
        let bytes = fs::read(path).unwrap();
        for cut in [0, 1, 8, 20, bytes.len() / 2] {
            fs::write(path, &bytes[..cut]).unwrap();
            assert!(open(path).is_err(), "{name} {cut}");
        }
    }
    // A header that claims more pixels than any limit allows.
    let mut huge = fs::read(dir.path().join("a.png")).unwrap();
    huge.clear();
    huge.extend_from_slice(
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\x7f\xff\xff\xff\x7f\xff\xff\xff\x08\x02\0\0\0\0\0\0\0",
    );
    let path = dir.path().join("huge.png");
    fs::write(&path, huge).unwrap();
    assert!(open(path.to_str().unwrap()).is_err());
}

#[test]
fn names_with_numbers() {
    assert_eq!(numbered_name("f-%04d.png", 7).unwrap(), "f-0007.png");
    assert_eq!(numbered_name("%d.jpg", 12).unwrap(), "12.jpg");
    for plain in ["a.png", "100%.png", "a%sd.png", "%123d.png"] {
        assert_eq!(numbered_name(plain, 1), None, "{plain}");
    }
}

#[test]
fn several_frames_need_a_numbered_name() {
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("a.png");
    let mut writer = StillWriter::new(
        plain.to_str().unwrap(),
        StillFormat::Png,
        &info(Chroma::Rgb, 8),
        95,
    )
    .unwrap();
    writer.push(&frame(false), 0).unwrap();
    let error = writer.push(&frame(false), 0).unwrap_err();
    assert!(error.kind() == MediaErrorKind::Usage && error.to_string().contains("%04d"));
    drop(writer);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

    let pattern = dir.path().join("%03d.png");
    let mut writer = StillWriter::new(
        pattern.to_str().unwrap(),
        StillFormat::Png,
        &info(Chroma::Rgb, 8),
        95,
    )
    .unwrap();
    writer.push(&frame(false), 0).unwrap();
    writer.push(&frame(false), 0).unwrap();
    writer.finish().unwrap();
    drop(writer);
    assert!(dir.path().join("001.png").exists() && dir.path().join("002.png").exists());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}
