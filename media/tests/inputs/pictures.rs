//! The right way up, the right shape, the right colours.

use latentbit_media::{Filters, InputOptions, MediaErrorKind, Rational, RawFormat, picture};

use crate::support::{Files, PATTERN, X264, color, corners, seen};

/// The file with another display matrix.
fn turned(file: &[u8], matrix: [i32; 9]) -> Vec<u8> {
    let mut file = file.to_vec();
    let at = file.windows(4).position(|name| name == b"tkhd").unwrap() + 4 + 4 + 20 + 16;
    file[at..at + 36].copy_from_slice(&matrix.map(i32::to_be_bytes).concat());
    file
}

#[test]
fn pictures_are_turned_the_right_way_up() {
    let files = Files::new();
    files.ffmpeg(&format!("{PATTERN} {X264} -frames:v 4 a.mp4"));
    let coded = files.read("a.mp4");
    let one = 65536;
    let matrix = |a: i32, b: i32, c: i32, d: i32| [a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30];
    let plain = ["red", "green", "blue", "gray"];
    let cases = [
        (matrix(1, 0, 0, 1), plain),
        (matrix(0, 1, -1, 0), ["blue", "red", "gray", "green"]),
        (matrix(-1, 0, 0, -1), ["gray", "blue", "green", "red"]),
        (matrix(0, -1, 1, 0), ["green", "gray", "red", "blue"]),
        (matrix(-1, 0, 0, 1), ["green", "red", "gray", "blue"]),
        (matrix(1, 0, 0, -1), ["blue", "gray", "red", "green"]),
        (matrix(0, 1, 1, 0), ["red", "blue", "green", "gray"]),
        (matrix(0, -1, -1, 0), ["gray", "green", "blue", "red"]),
        // By 45 degrees: as it is coded.
        ([46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30], plain),
    ];
    for (matrix, expected) in cases {
        files.write("b.mp4", &turned(&coded, matrix));
        let seen = files.open("b.mp4", &InputOptions::default());
        let frame = &seen.frames[3];
        assert_eq!(corners(frame), expected, "{matrix:?}");
        let upright = matrix[0] != 0;
        let size = if upright { (96, 64) } else { (64, 96) };
        assert_eq!((seen.info.width, seen.info.height), size, "{matrix:?}");
        assert_eq!((frame.width, frame.height), (size.0 as usize, size.1 as usize));
        assert_eq!(seen.frames.len(), 4);
        let kept = files.open("b.mp4", &InputOptions::default().with_autorotate(false));
        assert_eq!(corners(&kept.frames[0]), plain, "{matrix:?}");
    }
}

#[test]
fn turning_by_the_word_of_exif() {
    let files = Files::new();
    files.ffmpeg(&format!("{PATTERN} -frames:v 1 -q:v 1 -pix_fmt yuvj444p a.jpg"));
    files.ffmpeg("-i a.jpg -pix_fmt rgb24 -f rawvideo a.rgb");
    let (jpeg, pixels) = (files.read("a.jpg"), files.read("a.rgb"));
    for (value, expected) in [
        (1, ["red", "green", "blue", "gray"]),
        (2, ["green", "red", "gray", "blue"]),
        (3, ["gray", "blue", "green", "red"]),
        (4, ["blue", "gray", "red", "green"]),
        (5, ["red", "blue", "green", "gray"]),
        (6, ["blue", "red", "gray", "green"]),
        (7, ["gray", "green", "blue", "red"]),
        (8, ["green", "gray", "red", "blue"]),
    ] {
        // Exif data with that one field.
        let mut exif = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
        exif.extend([value, 0, 0, 0, 0, 0, 0]);
        let bytes = [&jpeg[..2], b"\xff\xe1\0\x22Exif\0\0", &exif, &jpeg[2..]].concat();
        // By whichever reader: libav takes what is called a video.
        for name in ["b.jpg", "b.mjpeg", "b"] {
            files.write(name, &bytes);
        }
        let mut info = png::Info::with_size(96, 64);
        info.color_type = png::ColorType::Rgb;
        info.exif_metadata = Some(exif.into());
        let file = std::fs::File::create(files.path("b.png")).unwrap();
        let mut writer = png::Encoder::with_info(file, info)
            .unwrap()
            .write_header()
            .unwrap();
        writer.write_image_data(&pixels).unwrap();
        writer.finish().unwrap();
        files.write("b.tif", &tiff(&pixels, value.into()));
        for name in ["b.jpg", "b.mjpeg", "b", "b.png", "b.tif"] {
            let seen = files.open(name, &InputOptions::default());
            assert_eq!(corners(&seen.frames[0]), expected, "{name} {value}");
        }
    }
}

/// A TIFF file of 96 by 64 pixels of red, green and blue.
fn tiff(pixels: &[u8], orientation: u32) -> Vec<u8> {
    const ENTRIES: u32 = 10;
    let bits = 8 + 2 + ENTRIES * 12 + 4;
    let entries: [(u16, u16, u32, u32); ENTRIES as usize] = [
        (256, 3, 1, 96),
        (257, 3, 1, 64),
        (258, 3, 3, bits),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (273, 4, 1, bits + 6),
        (274, 3, 1, orientation),
        (277, 3, 1, 3),
        (278, 3, 1, 64),
        (279, 4, 1, pixels.len() as u32),
    ];
    let mut bytes = b"II*\0\x08\0\0\0".to_vec();
    bytes.extend((ENTRIES as u16).to_le_bytes());
    for (tag, kind, count, value) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend([0; 4]);
    bytes.extend([8, 0, 8, 0, 8, 0]);
    [&bytes, pixels].concat()
}

#[test]
fn pixels_keep_their_aspect() {
    let files = Files::new();
    let square = "-f lavfi -i testsrc2=s=64x48:r=25:d=0.2";
    files.ffmpeg(&format!("{square} {X264} plain.mp4"));
    for (name, line, expected) in [
        (
            "a.webm",
            format!("{square},setsar=4/3 -c:v libvpx-vp9 -deadline realtime -cpu-used 8"),
            (85, 64),
        ),
        (
            "b.webm",
            format!("{square},setsar=4/3 -c:v libvpx -deadline realtime"),
            (85, 64),
        ),
        // WebM has whole pixels of the shown width.
        ("c.mp4", "-i plain.mp4 -c copy -aspect 16:9".to_owned(), (4, 3)),
        ("d.mkv", "-i plain.mp4 -c copy -aspect 16:9".to_owned(), (4, 3)),
        (
            "e.avi",
            format!("{square},setsar=16/11 -c:v mpeg4 -q 2"),
            (16, 11),
        ),
        ("f.mkv", format!("{square},setsar=16/11 -c:v ffv1"), (16, 11)),
        ("g.mkv", format!("{square},setsar=16/11 {X264}"), (16, 11)),
        ("h.mp4", "-i plain.mp4 -c copy".to_owned(), (1, 1)),
    ] {
        files.ffmpeg(&format!("{line} {name}"));
        let seen = files.open(name, &InputOptions::default());
        let Rational { num, den } = seen.info.pixel_aspect;
        assert_eq!((num, den), expected, "{name}");
    }
    // A picture that lies on its side has pixels that do so too.
    let turned = turned(&files.read("c.mp4"), [0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30]);
    files.write("i.mp4", &turned);
    let seen = files.open("i.mp4", &InputOptions::default());
    assert_eq!(seen.info.pixel_aspect, Rational { num: 3, den: 4 });
}

/// How much neighbouring lines differ where the picture should be even.
fn combing(frame: &latentbit_media::Frame) -> f32 {
    let line = frame.width * 3;
    let rows: Vec<&[f32]> = frame.data.chunks_exact(line).collect();
    let differ = rows
        .windows(3)
        .flat_map(|w| (0..line).map(move |i| ((w[0][i] - w[1][i]) * (w[2][i] - w[1][i])).max(0.0)));
    differ.sum::<f32>() / frame.data.len() as f32
}

#[test]
fn interlaced_video_becomes_frames() {
    let files = Files::new();
    // Bars that move sideways.
    let fields = "-f lavfi -i color=black:s=64x48:r=50:d=1,geq=lum=16+219*lt(mod(X+3*N\\,32)\\,16):cb=128:cr=128,interlace";
    files.ffmpeg(&format!("{fields} {X264} -flags +ildct+ilme -top 1 a.mp4"));
    files.ffmpeg(&format!(
        "{fields} -c:v mpeg2video -flags +ildct+ilme -top 1 -q:v 2 a.mpg"
    ));
    files.ffmpeg(&format!("{fields} -pix_fmt yuv420p -field_order tt a.y4m"));
    let text = files.read("a.y4m");
    let line = text.iter().position(|byte| *byte == b'\n').unwrap();
    let header = String::from_utf8_lossy(&text[..line]).replace(" Ip", " It");
    files.write("a.y4m", &[header.as_bytes(), &text[line..]].concat());
    for name in ["a.mp4", "a.mpg", "a.y4m"] {
        let smooth = files.open(name, &InputOptions::default());
        let kept = files.open(name, &InputOptions::default().with_deinterlace(false));
        assert_eq!((smooth.frames.len(), kept.frames.len()), (25, 25), "{name}");
        let sum = |frames: &[latentbit_media::Frame]| frames.iter().map(combing).sum::<f32>();
        let (smooth_sum, kept_sum) = (sum(&smooth.frames), sum(&kept.frames));
        assert!(smooth_sum < 0.6 * kept_sum, "{name}: {smooth_sum} of {kept_sum}");
        assert_eq!(kept.info.along.picture(picture::FIELDS), Some("top"), "{name}");
        assert_eq!(smooth.info.along.picture(picture::FIELDS), None, "{name}");
        if name == "a.mp4" {
            assert!(
                smooth
                    .times
                    .windows(2)
                    .all(|pair| (pair[1] - pair[0] - 0.04).abs() < 1e-6)
            );
        }
    }
}

#[test]
fn transparent_pictures_lie_on_the_background() {
    let files = Files::new();
    let square = "between(X,8,27)*between(Y,8,27)";
    let source = format!(
        "color=white@0:s=64x48:r=10:d=0.4,format=rgba,geq=r=255:g='if({square},0,255)':b='if({square},0,255)':a='if({square},255,0)'"
    );
    for (name, encoder) in [
        ("a.mov", "-c:v qtrle"),
        ("a.gif", ""),
        ("a.webp", "-c:v libwebp -lossless 1 -frames:v 1"),
        ("a.apng", "-f apng -plays 0"),
        ("a.png", "-frames:v 1"),
        ("b.mov", "-c:v prores_ks -profile:v 4444 -pix_fmt yuva444p10le"),
        ("a.mkv", "-c:v ffv1 -pix_fmt yuva420p"),
        ("b.mkv", "-c:v ffv1 -pix_fmt gbrap"),
        (
            "a.webm",
            "-c:v libvpx -crf 4 -b:v 4M -pix_fmt yuva420p -auto-alt-ref 0",
        ),
        ("b.webm", "-c:v libvpx-vp9 -lossless 1 -pix_fmt yuva420p"),
    ] {
        let filter = match name {
            "a.gif" => format!("{source},split[a][b];[a]palettegen[p];[b][p]paletteuse"),
            _ => source.clone(),
        };
        let mut arguments = vec!["-f", "lavfi", "-i", &filter];
        arguments.extend(encoder.split_whitespace());
        arguments.push(name);
        files.ffmpeg_with(&arguments);
        for (background, expected) in [([0.0; 3], "black"), ([1.0, 0.0, 1.0], "magenta")] {
            let seen = files.open(name, &InputOptions::default().with_background(background));
            let frame = &seen.frames[0];
            assert_eq!(color(frame, 60, 4), expected, "{name}");
            assert_eq!(color(frame, 16, 16), "red", "{name}");
            assert!(seen.info.alpha, "{name}");
            assert!(seen.info.along.picture(picture::BACKGROUND).is_some(), "{name}");
        }
    }
    // A format that could be transparent and is not.
    files.ffmpeg(&format!("{PATTERN} -frames:v 3 solid.gif"));
    assert!(!files.open("solid.gif", &InputOptions::default()).info.alpha);
}

#[test]
fn matrices_are_right_or_refused() {
    let files = Files::new();
    // Each stands for the whole picture: as BT.709, BT.2020 and YCgCo have these colours.
    for (name, rgb) in [
        ("red", [1.0, 0.0, 0.0]),
        ("green", [0.0, 1.0, 0.0]),
        ("blue", [0.0, 0.0, 1.0]),
    ] {
        let [r, g, b]: [f64; 3] = rgb;
        let ycgco = [
            0.25 * r + 0.5 * g + 0.25 * b,
            -0.25 * r + 0.5 * g - 0.25 * b,
            0.5 * r - 0.5 * b,
        ];
        let of = |kr: f64, kb: f64| {
            let y = kr * r + (1.0 - kr - kb) * g + kb * b;
            [y, (b - y) / (2.0 - 2.0 * kb), (r - y) / (2.0 - 2.0 * kr)]
        };
        for (matrix, [y, first, second]) in [
            ("ycgco", ycgco),
            ("bt709", of(0.2126, 0.0722)),
            ("bt2020nc", of(0.2627, 0.0593)),
            ("smpte240m", of(0.212, 0.087)),
            ("fcc", of(0.30, 0.11)),
        ] {
            let planes = [(y, 219.0, 16.0), (first, 224.0, 128.0), (second, 224.0, 128.0)]
                .map(|(value, scale, add)| vec![(value * scale + add).round() as u8; 32 * 16]);
            let y4m = [
                b"YUV4MPEG2 W32 H16 F25:1 C444\nFRAME\n".as_slice(),
                &planes.concat(),
            ]
            .concat();
            files.write("a.y4m", &y4m);
            files.ffmpeg(&format!("-i a.y4m -c:v libx264 -qp 1 -colorspace {matrix} a.mkv"));
            let seen = files.open("a.mkv", &InputOptions::default());
            assert_eq!(color(&seen.frames[0], 16, 8), name, "{matrix}");
        }
    }
    for matrix in ["bt2020c", "ictcp", "smpte2085", "chroma-derived-c"] {
        files.ffmpeg(&format!("-i a.y4m -c:v libx264 -qp 1 -colorspace {matrix} b.mkv"));
        let error = seen(&files.path("b.mkv"), &InputOptions::default()).unwrap_err();
        assert!(
            error.kind() == MediaErrorKind::Unsupported && error.to_string().contains("matrix"),
            "{error}"
        );
    }
}

#[test]
fn high_dynamic_range_is_described() {
    let files = Files::new();
    let display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)";
    files.ffmpeg_with(&[
        "-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=0.2,format=yuv420p10le", "-c:v", "libx265", "-preset", "ultrafast",
        "-x265-params",
        &format!("log-level=none:hdr-opt=1:repeat-headers=1:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:master-display={display}:max-cll=1000,400"),
        "-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc", "a.mkv",
    ]);
    let info = files.open("a.mkv", &InputOptions::default()).info;
    assert_eq!(info.along.picture(picture::MASTERING_DISPLAY), Some(display));
    assert_eq!(info.along.picture(picture::CONTENT_LIGHT), Some("1000,400"));
    assert_eq!(
        (info.color.primaries, info.color.transfer, info.color.matrix),
        (9, 16, 9)
    );
}

#[test]
fn pictures_that_change_their_size_keep_that_of_the_first() {
    let files = Files::new();
    files.ffmpeg(&format!("{PATTERN} {X264} -frames:v 8 -f h264 1.h264"));
    files.ffmpeg(&format!(
        "{PATTERN},scale=48:64 {X264} -frames:v 6 -f h264 2.h264"
    ));
    files.write("a.h264", &[files.read("1.h264"), files.read("2.h264")].concat());
    for filters in [
        Filters::default(),
        Filters::default().with_graph("hflip,hflip".to_owned()),
    ] {
        let seen = files.open("a.h264", &InputOptions::default().with_filters(filters));
        assert_eq!(seen.frames.len(), 14);
        for frame in [&seen.frames[0], &seen.frames[13]] {
            assert_eq!((frame.width, frame.height), (96, 64));
            assert_eq!(corners(frame), ["red", "green", "blue", "gray"]);
        }
    }
}

/// The same graph gives the same pixels as in ffmpeg.
#[test]
fn filters_are_those_of_ffmpeg() {
    let files = Files::new();
    files.ffmpeg(&format!("-f lavfi -i testsrc2=s=96x64:r=30:d=1 {X264} a.mp4"));
    files.ffmpeg("-i a.mp4 -pix_fmt yuv420p a.y4m");
    let samples = files.ffmpeg("-i a.mp4 -f rawvideo -pix_fmt yuv420p -");
    files.write("a.raw", &samples);
    let filters = Filters::default;
    let cases = [
        (
            filters().with_resize("48:32".parse::<latentbit_media::Resize>().ok()),
            "scale=48:32",
            "48x32@30",
        ),
        (
            filters().with_resize("50".parse::<latentbit_media::Resize>().ok()),
            "scale=75:50",
            "75x50@30",
        ),
        (
            filters().with_crop("40:30:8:6".parse::<latentbit_media::Crop>().ok()),
            "crop=40:30:8:6",
            "40x30@30",
        ),
        (
            filters().with_rate(Rational { num: 12, den: 1 }),
            "fps=12",
            "96x64@12",
        ),
        (
            filters().with_graph("transpose=1,hue=s=0.5,fps=10".to_owned()),
            "transpose=1,hue=s=0.5,fps=10",
            "64x96@10",
        ),
    ];
    for (filters, graph, raw) in cases {
        let expected = files.ffmpeg(&format!("-i a.mp4 -vf {graph} -f rawvideo -pix_fmt yuv420p -"));
        files.write("b.raw", &expected);
        let raw: RawFormat = format!("{raw}:yuv420p").parse().unwrap();
        let expected = files.open("b.raw", &InputOptions::default().with_raw(raw));
        for name in ["a.mp4", "a.y4m", "a.raw"] {
            let mut options = InputOptions::default().with_filters(filters.clone());
            if name == "a.raw" {
                let raw: RawFormat = "96x64@30:yuv420p".parse().unwrap();
                options = options.with_raw(raw);
            }
            let found = files.open(name, &options);
            assert_eq!(found.frames.len(), expected.frames.len(), "{name} {graph}");
            for (a, b) in found.frames.iter().zip(&expected.frames) {
                assert_eq!((a.width, a.height), (b.width, b.height), "{name} {graph}");
                let off = a
                    .data
                    .iter()
                    .zip(&b.data)
                    .map(|(a, b)| (a - b).abs())
                    .fold(0.0, f32::max);
                // Only H.264 says where its chroma samples are.
                let slack = if name == "a.mp4" { 1e-6 } else { 0.2 };
                assert!(off <= slack, "{name} {graph}: {off}");
            }
            assert_eq!(found.info.frame_rate, expected.info.frame_rate, "{name} {graph}");
        }
    }
    let wrong = filters().with_graph("nosuchfilter".to_owned());
    let error = seen(&files.path("a.mp4"), &InputOptions::default().with_filters(wrong)).unwrap_err();
    assert!(
        error.kind() == MediaErrorKind::Usage && error.to_string().contains("nosuchfilter"),
        "{error}"
    );
}
