use super::*;
use std::io::Cursor;

fn info(width: u32, height: u32, chroma: Chroma, bit_depth: u8) -> VideoInfo {
    let ntsc = Rational {
        num: 30000,
        den: 1001,
    };
    VideoInfo {
        pixel_aspect: Rational { num: 64, den: 45 },
        color: Color {
            range: ColorRange::Limited,
            ..Color::default()
        },
        chroma,
        chroma_location: match chroma {
            Chroma::C420 | Chroma::C422 => location::LEFT,
            _ => location::UNSPECIFIED,
        },
        bit_depth,
        ..VideoInfo::new(width, height, ntsc)
    }
}

fn picture(w: usize, h: usize, seed: usize) -> Frame {
    let data = (0..w * h).flat_map(|i| {
        let v = 0.3 + 0.3 * (((i % w) + (i / w) + seed) as f32 / 40.0).sin();
        [v, v + 0.1, v + 0.05]
    });
    Frame {
        width: w,
        height: h,
        data: data.collect(),
    }
}

fn write(info: &VideoInfo, frames: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Y4mWriter::new("test", &mut bytes, info).unwrap();
    for i in 0..frames {
        writer
            .push(&picture(info.width as usize, info.height as usize, i), 0)
            .unwrap();
    }
    writer.finish().unwrap();
    drop(writer);
    bytes
}

fn read(bytes: &[u8]) -> Result<(Y4mHeader, Vec<Frame>), MediaError> {
    let mut reader = Y4mReader::new(
        "test",
        Box::new(Cursor::new(bytes.to_vec())),
        Some(bytes.len() as u64),
    )?;
    let mut frames = Vec::new();
    while let Some(frame) = reader.pull()? {
        frames.push(frame);
    }
    Ok((reader.header, frames))
}

#[test]
fn every_chroma_depth_and_odd_size_round_trips() {
    for chroma in [Chroma::C420, Chroma::C422, Chroma::C444, Chroma::Gray] {
        for depth in [8, 10, 12, 16] {
            for (w, h) in [(1, 1), (2, 2), (17, 9), (64, 33)] {
                let info = info(w, h, chroma, depth);
                let bytes = write(&info, 3);
                let (header, frames) = read(&bytes).unwrap();
                assert_eq!(
                    header.info,
                    VideoInfo {
                        frame_count: Some(3),
                        ..info
                    }
                );
                assert_eq!(frames.len(), 3);
                if chroma == Chroma::Gray {
                    continue;
                }
                for (i, frame) in frames.iter().enumerate() {
                    let original = picture(w as usize, h as usize, i);
                    let worst = frame
                        .data
                        .iter()
                        .zip(&original.data)
                        .map(|(a, b)| (a - b).abs())
                        .fold(0.0, f32::max);
                    assert!(worst < 0.02, "{chroma:?} {depth} {w}x{h}: {worst}");
                }
            }
        }
    }
}

#[test]
fn sitings_and_ranges_round_trip() {
    for siting in [location::LEFT, location::CENTER, location::TOP_LEFT] {
        for range in [ColorRange::Unspecified, ColorRange::Limited, ColorRange::Full] {
            let mut info = info(16, 16, Chroma::C420, 8);
            info.chroma_location = siting;
            info.color.range = range;
            let header = parse_header("test", format_header(&info).trim_end()).unwrap();
            assert_eq!(header.info, info);
        }
    }
    let rgb = info(16, 16, Chroma::Rgb, 8);
    assert!(format_header(&rgb).contains(" C444 XCOLORRANGE=LIMITED"));
}

#[test]
fn headers_of_other_programs() {
    let h = |line: &str| parse_header("test", line).unwrap();
    let plain = h("YUV4MPEG2 W6 H4");
    assert_eq!(
        (plain.info.chroma, plain.info.chroma_location),
        (Chroma::C420, location::CENTER)
    );
    assert_eq!(plain.info.frame_rate, Rational { num: 25, den: 1 });
    assert_eq!(plain.frame_bytes(), 36);
    assert_eq!(h("YUV4MPEG2 W6 H4 F0:0 A0:0 I? C444alpha").frame_bytes(), 96);
    assert_eq!(h("YUV4MPEG2 W8 H4 C411").info.chroma, Chroma::C422);
    assert_eq!(
        h("YUV4MPEG2 W6 H4 XYSCSS=420MPEG2").info.chroma_location,
        location::LEFT
    );
    assert_eq!(h("YUV4MPEG2 W6 H4 Cmono10 XSOMETHING Zelse").info.bit_depth, 10);
    assert_eq!(h("YUV4MPEG2 H4 W6  F24:1 ").info.width, 6);
    assert_eq!(h("YUV4MPEG2\tW6\tH4\tF24:1").info.width, 6);
    for line in [
        "YUV4MPEG2 W6 H4 F25 A1 C420jpeg",
        "YUV4MPEG2 W6 H4 F25:1 A1:1 C420p8\r",
    ] {
        let header = h(line);
        assert_eq!(header.info.frame_rate, Rational { num: 25, den: 1 }, "{line}");
        assert_eq!((header.frame_bytes(), header.info.bit_depth), (36, 8), "{line}");
    }
    // Parts that are too large on their own, and not as a fraction.
    let rate = h("YUV4MPEG2 W6 H4 F10000000000:100000000").info.frame_rate;
    assert_eq!(rate, Rational { num: 100, den: 1 });
    assert_eq!(h("YUV4MPEG2 W8 H8 C410").frame_bytes(), 64 + 2 * 4);
    assert_eq!(h("YUV4MPEG2 W8 H8 C440").frame_bytes(), 64 + 2 * 32);
    let long = format!("YUV4MPEG2 W6 H4 X{}\nFRAME\n{}", "a".repeat(4000), "x".repeat(36));
    assert_eq!(read(long.as_bytes()).unwrap().1.len(), 1);
    let fields = h("YUV4MPEG2 W6 H4 Ib").info;
    assert!(format_header(&fields).contains(" Ib "));
}

#[test]
fn malformed_headers_are_refused() {
    for line in [
        "",
        "YUV4MPEG2",
        "YUV4MPEG ",
        "yuv4mpeg2 W4 H4",
        "YUV4MPEG2 ",
        "YUV4MPEG2 W4",
        "YUV4MPEG2 H4",
        "YUV4MPEG2 W H4",
        "YUV4MPEG2 W0 H4",
        "YUV4MPEG2 W-4 H4",
        "YUV4MPEG2 W+4 H4",
        "YUV4MPEG2 W4.0 H4",
        "YUV4MPEG2 W16385 H4",
        "YUV4MPEG2 W4 H99999999999999999999",
        "YUV4MPEG2 W4294967296 H4294967296",
        "YUV4MPEG2 W4 H4 F",
        "YUV4MPEG2 W4 H4 F25:",
        "YUV4MPEG2 W4 H4 F9999999999999999999:1",
        "YUV4MPEG2 W4 H4 F-1:1",
        "YUV4MPEG2 W4 H4 F4294967296:1",
        "YUV4MPEG2 W4 H4 Ax:y",
        "YUV4MPEG2 W4 H4 C",
        "YUV4MPEG2 W4 H4 C421",
        "YUV4MPEG2 W4 H4 C420p11",
        "YUV4MPEG2 W4 H4 C420p",
        "YUV4MPEG2 W4 H4 Cmonop8",
        "YUV4MPEG2 W4 H4 C444p10alpha",
        "YUV4MPEG2 W4 H\u{fffd}",
    ] {
        assert!(parse_header("test", line).is_err(), "{line}");
    }
}

#[test]
fn a_large_header_claims_no_memory() {
    let bytes = b"YUV4MPEG2 W16384 H16384 F25:1 C444p16\nFRAME\nabc";
    let mut reader = Y4mReader::new("test", Box::new(Cursor::new(bytes)), None).unwrap();
    assert_eq!(
        reader.pull().unwrap_err().kind(),
        MediaErrorKind::Truncated { frames: 0 }
    );
    assert!(reader.buffer.capacity() < 1 << 20);
}

#[test]
fn truncation_is_found_at_every_byte() {
    let info = info(5, 3, Chroma::C420, 8);
    let bytes = write(&info, 2);
    let header = bytes.iter().position(|b| *b == b'\n').unwrap() + 1;
    let frame = (bytes.len() - header) / 2;
    for cut in 0..=bytes.len() {
        let result = read(&bytes[..cut]);
        let at_frame = cut >= header && (cut - header).is_multiple_of(frame);
        match result {
            Ok((_, frames)) => assert!(at_frame && frames.len() == (cut - header) / frame, "{cut}"),
            Err(e) if cut < header => assert_ne!(e.kind(), MediaErrorKind::Io, "{cut}"),
            Err(e) => {
                let frames = ((cut - header) / frame) as u64;
                assert!(
                    !at_frame && e.kind() == MediaErrorKind::Truncated { frames },
                    "{cut}: {e}"
                );
            }
        }
    }
}

#[test]
fn line_ends_of_other_programs() {
    let samples = [9; 24];
    let stream = |end: &str, tail: &str| {
        let mut bytes = format!("YUV4MPEG2 W4 H4 F25:1 C420jpeg{end}").into_bytes();
        for _ in 0..3 {
            bytes.extend_from_slice(format!("FRAME{end}").as_bytes());
            bytes.extend_from_slice(&samples);
        }
        [&bytes, tail.as_bytes()].concat()
    };
    for (end, tail) in [
        ("\n", ""),
        ("\r\n", ""),
        ("\n", "\n"),
        ("\n", "\n\n"),
        ("\r\n", "\r\n"),
    ] {
        assert_eq!(read(&stream(end, tail)).unwrap().1.len(), 3, "{end:?} {tail:?}");
    }
    assert_eq!(
        read(&stream("\n", "\nFRAME\n")).unwrap_err().kind(),
        MediaErrorKind::Invalid,
        "a frame that an empty line moved"
    );
}

#[test]
fn frame_lines_may_carry_parameters() {
    let info = info(4, 4, Chroma::Gray, 8);
    let bytes = write(&info, 1);
    let text = bytes.windows(6).position(|w| w == b"FRAME\n").unwrap();
    let mut with = bytes[..text].to_vec();
    with.extend_from_slice(b"FRAME Ip XQ=1\n");
    with.extend_from_slice(&bytes[text + 6..]);
    assert_eq!(read(&with).unwrap().1.len(), 1);
    let mut broken = bytes.clone();
    broken[text] = b'G';
    assert_eq!(read(&broken).unwrap_err().kind(), MediaErrorKind::Invalid);
    let mut endless = bytes[..text].to_vec();
    endless.extend(std::iter::repeat_n(b'F', 50_000));
    assert_eq!(read(&endless).unwrap_err().kind(), MediaErrorKind::Invalid);
}

struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_closed_pipe_has_its_own_kind() {
    let error = Y4mWriter::new("stdout", Closed, &info(4, 4, Chroma::C420, 8))
        .err()
        .unwrap();
    assert_eq!(error.kind(), MediaErrorKind::BrokenPipe);
}
