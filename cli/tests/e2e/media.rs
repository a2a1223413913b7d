//! Media files there and back: times, names, colours, and what is said of the rest.
#![cfg(feature = "libav")]

use std::process::Stdio;

use tempfile::TempDir;

use crate::carry::{clip, hash, times, tool};
use crate::support::{command, folder, names, read, run, tiny, write};

const X264: &str = "-c:v libx264 -preset veryfast -crf 30";

/// Times of a stream's packets, from the first one on.
fn from_first(folder: &TempDir, file: &str) -> Vec<f64> {
    let times = times(folder, file, "v:0");
    times.iter().map(|time| time - times[0]).collect()
}

/// How long a file says that it is, in seconds.
fn duration(folder: &TempDir, file: &str) -> f64 {
    let text = tool(
        folder,
        "ffprobe",
        &format!("-show_entries format=duration -of csv=p=0 {file}"),
    );
    text.trim().parse().unwrap()
}

fn frames_of(folder: &TempDir, file: &str) -> usize {
    let line =
        format!("-count_frames -select_streams v:0 -show_entries stream=nb_read_frames -of csv=p=0 {file}");
    tool(folder, "ffprobe", &line)
        .trim()
        .trim_end_matches(',')
        .parse()
        .unwrap()
}

/// Makes a clip whose frames are shown at these ticks of a clock with `ticks` per second.
fn timed(folder: &TempDir, name: &str, ticks: u32, times: &[i64]) {
    // A chain of conditions, halving each time, because expressions have no tables.
    fn table(from: usize, times: &[i64]) -> String {
        match times {
            [one] => one.to_string(),
            _ => {
                let half = times.len() / 2;
                let (low, high) = (table(from, &times[..half]), table(from + half, &times[half..]));
                format!("if(lt(N\\,{})\\,{low}\\,{high})", from + half)
            }
        }
    }
    let clock = format!("settb=1/{ticks},setpts={}", table(0, times));
    let n = times.len();
    tool(
        folder,
        "ffmpeg",
        &format!(
            "-y -f lavfi -i testsrc2=s=32x16:r=25:d={n} -frames:v {n} -vf {clock} -fps_mode passthrough -enc_time_base 1:{ticks} {X264} -bf 2 -video_track_timescale {ticks} {name}"
        ),
    );
}

/// Whatever clock, jitter and gaps: each frame comes back at its time, within a tick of what it is written to.
#[test]
fn times_survive_in_every_container() {
    let folder = folder();
    let mut seed = 7u64;
    let mut random = move |below: u64| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((seed >> 33) % below) as i64
    };
    let mut cases: Vec<(u32, Vec<i64>)> = Vec::new();
    for ticks in [600u32, 1000, 15360, 90_000, 1_000_000, 10_000_019] {
        let frame = i64::from(ticks) / 25;
        // Around 25 per second, with jitter, and stills of up to a minute.
        let mut time = 0;
        let mut times = Vec::new();
        for n in 0..24 {
            times.push(time);
            time += frame + random(frame as u64 / 2) - frame / 4;
            if n % 9 == 7 {
                // MP4 has 28 bits for it.
                time += random((60 * u64::from(ticks)).min(200_000_000));
            }
        }
        cases.push((ticks, times));
    }
    cases.push((90_000, vec![0]));
    for (ticks, times_in) in cases {
        timed(&folder, "a.mp4", ticks, &times_in);
        let given = from_first(&folder, "a.mp4");
        assert_eq!(given.len(), times_in.len());
        run(&folder, &tiny("encode a.mp4 -o a.lbit -y")).expect(0);
        for (name, tick) in [
            ("b.mkv", 1e-3),
            ("b.mp4", 1.0 / 200_000.0),
            ("b.mov", 1.0 / 200_000.0),
            ("b.webm", 1e-3),
            ("b.ts", 1.0 / 90_000.0),
        ] {
            // VP8 is quicker than the default of WebM.
            let codec = if name == "b.webm" {
                "-c:v libvpx"
            } else {
                "-preset ultrafast"
            };
            run(&folder, &tiny(&format!("decode a.lbit -o {name} -y {codec}"))).expect(0);
            let found = from_first(&folder, name);
            assert_eq!(found.len(), given.len(), "{ticks} {name}");
            for (a, b) in given.iter().zip(&found) {
                assert!((a - b).abs() <= tick * 1.01 + 1e-6, "{ticks} {name}: {b} for {a}");
            }
        }
    }
}

/// A recording of a screen: 90 kHz, stills, and an average that is no round number.
#[test]
fn a_clock_is_no_product_of_rates() {
    let folder = folder();
    let frames = 300;
    let at = |n: i64| n * 3000 + (60.0 * (n as f64 * 1.3).sin()) as i64 + n / 30 * 213_457;
    let ticks: Vec<i64> = (0..frames).map(at).collect();
    timed(&folder, "a.mp4", 90_000, &ticks);
    run(&folder, &tiny("encode a.mp4 -o a.lbit")).expect(0);
    run(&folder, &tiny("decode a.lbit -o b.mp4 -preset ultrafast")).expect(0);
    let (given, found) = (from_first(&folder, "a.mp4"), from_first(&folder, "b.mp4"));
    assert_eq!((given.len(), found.len()), (frames as usize, frames as usize));
    assert!(given.iter().zip(&found).all(|(a, b)| (a - b).abs() < 1.2e-5));
}

#[test]
fn outputs_without_times_have_a_constant_rate() {
    let folder = folder();
    tool(
        &folder,
        "ffmpeg",
        &format!(
            "-f lavfi -i testsrc2=s=64x48:r=30:d=2 -vf select='not(between(n\\,10\\,40))' -fps_mode vfr {X264} gap.mp4"
        ),
    );
    run(&folder, &tiny("encode gap.mp4 -o gap.lbit")).expect(0);
    // As ffmpeg does it.
    tool(&folder, "ffmpeg", "-i gap.mp4 -pix_fmt yuv420p theirs.y4m");
    let theirs = frames_of(&folder, "theirs.y4m");
    assert_eq!(theirs, 60);
    run(&folder, &tiny("decode gap.lbit -o ours.y4m")).expect(0);
    assert_eq!(frames_of(&folder, "ours.y4m"), theirs);
    let head = |name: &str| String::from_utf8_lossy(&read(&folder, name)[..60]).into_owned();
    assert!(head("ours.y4m").contains(" F30:1 "), "{}", head("ours.y4m"));
    // The still is the tenth frame, thirty-one times more.
    let bytes = read(&folder, "ours.y4m");
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let size = (bytes.len() - at) / 60;
    let frame = |n: usize| &bytes[at + n * size..at + (n + 1) * size];
    assert!((10..41).all(|n| frame(n) == frame(9)) && frame(41) != frame(9) && frame(8) != frame(9));
    run(&folder, &tiny("decode gap.lbit -o f-%03d.png")).expect(0);
    assert_eq!(
        names(&folder)
            .iter()
            .filter(|name| name.starts_with("f-"))
            .count(),
        60
    );
    run(&folder, &tiny("decode gap.lbit -o vfr.y4m --fps-mode vfr")).expect(0);
    assert_eq!(frames_of(&folder, "vfr.y4m"), 29);
    run(&folder, &tiny("decode gap.lbit -o cfr.mkv --fps-mode cfr")).expect(0);
    assert_eq!(frames_of(&folder, "cfr.mkv"), 60);
    // AVI knows one rate only.
    run(&folder, &tiny("decode gap.lbit -o cfr.avi")).expect(0);
    assert!((duration(&folder, "cfr.avi") - 2.0).abs() < 0.04);
    for name in ["a.gif", "a.apng"] {
        run(&folder, &tiny(&format!("decode gap.lbit -o {name}"))).expect(0);
        assert_eq!(frames_of(&folder, name), 29, "{name}");
        let shown = times(&folder, name, "v:0");
        assert!(
            (shown[10] - shown[9] - 32.0 / 30.0).abs() < 0.03,
            "{name}: {shown:?}"
        );
    }
}

#[test]
fn starts_count_presentation_time() {
    let folder = folder();
    tool(
        &folder,
        "ffmpeg",
        &format!(
            "-f lavfi -i testsrc2=s=64x48:r=30:d=2 -vf select='not(between(n\\,10\\,40))' -fps_mode vfr {X264} gap.mp4"
        ),
    );
    run(&folder, &tiny("encode gap.mp4 -o gap.lbit")).expect(0);
    for (start, frames) in [("1.4", 18), ("0.5", 19), ("1.95", 1), ("0.2", 23)] {
        run(
            &folder,
            &tiny(&format!("decode gap.lbit -o b.mkv -y --start {start}")),
        )
        .expect(0);
        assert_eq!(frames_of(&folder, "b.mkv"), frames, "{start}");
    }
}

#[test]
fn the_last_frame_keeps_its_length() {
    let folder = folder();
    tool(
        &folder,
        "ffmpeg",
        &format!("-f lavfi -i testsrc2=s=32x16:r=1/5:d=15 {X264} a.mp4"),
    );
    run(&folder, &tiny("encode a.mp4 -o a.lbit")).expect(0);
    for name in ["b.mp4", "b.mkv", "b.gif", "b.apng"] {
        run(&folder, &tiny(&format!("decode a.lbit -o {name}"))).expect(0);
        assert_eq!(times(&folder, name, "v:0"), [0.0, 5.0, 10.0], "{name}");
        if name != "b.apng" {
            assert!((duration(&folder, name) - 15.0).abs() < 0.02, "{name}");
        }
    }
    run(&folder, &tiny("decode a.lbit -o b.y4m --fps-mode cfr")).expect(0);
    assert_eq!(frames_of(&folder, "b.y4m"), 3);
}

#[test]
fn names_chapters_and_purposes_come_back() {
    let folder = folder();
    write(&folder, "s.srt", b"1\n00:00:00,200 --> 00:00:00,800\nhello\n");
    write(
        &folder,
        "m.txt",
        b";FFMETADATA1\ntitle=My_film\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=500\ntitle=One\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=500\nEND=1000\ntitle=Two\n",
    );
    tool(
        &folder,
        "ffmpeg",
        &format!(
            "-f lavfi -i testsrc2=s=64x48:r=25:d=1 -f lavfi -i sine=d=1 -f lavfi -i sine=f=880:d=1 -i s.srt -i m.txt -map 0:v -map 1:a -map 2:a -map 3:s -map_metadata 4 -map_chapters 4 {X264} -c:a aac -c:s srt -disposition:a:0 0 -disposition:a:1 default+comment -disposition:s:0 forced -metadata:s:v language=fre -metadata:s:a:1 title=Talk a.mkv"
        ),
    );
    run(&folder, &tiny("encode a.mkv -o a.lbit")).expect(0);
    for name in ["b.mkv", "b.mp4"] {
        run(&folder, &tiny(&format!("decode a.lbit -o {name}"))).expect(0);
        let line = format!(
            "-show_entries format_tags=title:chapter=start_time,end_time:chapter_tags=title:stream=index:stream_disposition=default,forced,comment:stream_tags=language,title -of json {name}"
        );
        let facts: serde_json::Value = serde_json::from_str(&tool(&folder, "ffprobe", &line)).unwrap();
        assert_eq!(facts["format"]["tags"]["title"], "My_film", "{name}");
        let chapters: Vec<_> = (0..2)
            .map(|n| {
                (
                    facts["chapters"][n]["end_time"].clone(),
                    facts["chapters"][n]["tags"]["title"].clone(),
                )
            })
            .collect();
        assert_eq!(
            chapters,
            [
                ("0.500000".into(), "One".into()),
                ("1.000000".into(), "Two".into())
            ],
            "{name}"
        );
        let flag = |n: usize, flag: &str| facts["streams"][n]["disposition"][flag].clone();
        assert_eq!(
            (flag(1, "default"), flag(2, "default")),
            (0.into(), 1.into()),
            "{name}"
        );
        assert_eq!(facts["streams"][0]["tags"]["language"], "fre", "{name}");
        if name == "b.mkv" {
            assert_eq!((flag(2, "comment"), flag(3, "forced")), (1.into(), 1.into()));
            assert_eq!(facts["streams"][2]["tags"]["title"], "Talk");
        }
    }
    // A part has its part of the chapters.
    run(&folder, &tiny("decode a.lbit -o c.mkv --start 0.6")).expect(0);
    let line = "-show_entries chapter=start_time:chapter_tags=title -of csv=p=0 c.mkv";
    assert_eq!(tool(&folder, "ffprobe", line).trim(), "0.000000,Two");
    // What has no place for them is told.
    run(&folder, &tiny("decode a.lbit -o c.y4m"))
        .expect(0)
        .says(&["sound", "chapters", "left out"]);
}

#[test]
fn what_has_no_place_is_named() {
    let folder = folder();
    clip(&folder, "a.mkv", "aac", "srt");
    write(&folder, "font.ttf", b"a font");
    tool(
        &folder,
        "ffmpeg",
        "-i a.mkv -f lavfi -i testsrc2=s=32x32:r=5:d=1 -map 0 -map 1 -c copy -c:v:1 ffv1 b.mkv",
    );
    run(&folder, &tiny("encode b.mkv -o b.lbit"))
        .expect(0)
        .says(&["another video (stream 4)"]);
}

#[test]
fn fonts_and_covers_come_back() {
    let folder = folder();
    clip(&folder, "a.mkv", "aac", "ass");
    let font: Vec<u8> = (0..200_000u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
    write(&folder, "font.ttf", &font);
    tool(
        &folder,
        "ffmpeg",
        "-f lavfi -i testsrc2=s=40x30 -frames:v 1 cover.jpg",
    );
    tool(
        &folder,
        "ffmpeg",
        "-i a.mkv -map 0 -c copy -attach font.ttf -metadata:s:t:0 mimetype=font/ttf -attach cover.jpg -metadata:s:t:1 mimetype=image/jpeg b.mkv",
    );
    let encoded = run(&folder, &tiny("encode b.mkv -o b.lbit")).expect(0);
    assert!(!encoded.stderr.contains("left out"), "{}", encoded.stderr);
    let info = run(&folder, &["info", "b.lbit", "--json"]).expect(0).json();
    let facts = |n: usize| ["kind", "name", "media_type"].map(|key| info["attachments"][n][key].clone());
    assert_eq!(facts(0), ["file", "font.ttf", "font/ttf"]);
    assert_eq!(facts(1), ["cover", "cover.jpg", "image/jpeg"]);
    assert_eq!(info["attachments"][0]["bytes"], font.len());
    run(&folder, &["info", "b.lbit"])
        .expect(0)
        .prints(&["attached", "font.ttf"]);
    run(&folder, &["verify", "b.lbit"]).expect(0);
    // They are not video, and they survive edits.
    let video = |json: &serde_json::Value| json["bpp"].as_f64().unwrap();
    run(&folder, &tiny("encode a.mkv -o a.lbit")).expect(0);
    let without = run(&folder, &["info", "a.lbit", "--json"]).expect(0).json();
    assert!(
        video(&info) < video(&without) * 1.2,
        "{} {}",
        video(&info),
        video(&without)
    );
    assert!(info["file_bpp"].as_f64() > without["file_bpp"].as_f64().map(|bpp| bpp * 2.0));
    run(&folder, &["cut", "b.lbit", "-o", "c.lbit", "--to", "1"]).expect(0);
    let eval = run(&folder, &tiny("eval b.mkv b.lbit --json --no-vae"))
        .expect(0)
        .json();
    assert!((video(&eval) - video(&info)).abs() < 1e-6 && eval["file_bpp"] == info["file_bpp"]);

    for (lbit, back) in [("b.lbit", "b2.mkv"), ("c.lbit", "c2.mkv")] {
        let decoded = run(
            &folder,
            &tiny(&format!("decode {lbit} -o {back} -preset ultrafast")),
        )
        .expect(0);
        assert!(!decoded.stderr.contains("left out"), "{}", decoded.stderr);
        for (stream, original) in [("t:0", "font.ttf"), ("t:1", "cover.jpg")] {
            // What a dump says of itself is an error of ffmpeg's: there is no output.
            let _ = std::process::Command::new("ffmpeg")
                .args([
                    "-v",
                    "quiet",
                    "-y",
                    &format!("-dump_attachment:{stream}"),
                    "out.bin",
                    "-i",
                    back,
                ])
                .current_dir(folder.path())
                .output();
            if stream == "t:0" {
                assert!(
                    read(&folder, "out.bin") == read(&folder, original),
                    "{back} {stream}"
                );
            }
        }
        tool(
            &folder,
            "ffmpeg",
            &format!("-y -i {back} -map 0:v:1 -c copy -f image2pipe out.jpg"),
        );
        assert!(read(&folder, "out.jpg") == read(&folder, "cover.jpg"), "{back}");
    }
    run(&folder, &["tokens", "export", "b.lbit", "-o", "b.npy"])
        .expect(0)
        .says(&["2 attached files are left out"]);
    // MP4 has covers and no fonts; others have neither.
    run(&folder, &tiny("decode b.lbit -o b.mp4 -preset ultrafast -sn"))
        .expect(0)
        .says(&["'font.ttf'", "left out"]);
    tool(
        &folder,
        "ffmpeg",
        "-y -i b.mp4 -map 0:v:1 -c copy -f image2pipe out.jpg",
    );
    assert!(read(&folder, "out.jpg") == read(&folder, "cover.jpg"));
    assert_eq!(frames_of(&folder, "b.mp4"), 60);
    run(&folder, &tiny("decode b.lbit -o b.ts -preset ultrafast -sn"))
        .expect(0)
        .says(&["'font.ttf'", "'cover.jpg'", "left out"]);
    run(&folder, &tiny("decode b.lbit -o b.y4m"))
        .expect(0)
        .says(&["attached files and cover pictures"]);
    // The cover of an MP4 has no name.
    run(&folder, &tiny("encode b.mp4 -o m.lbit")).expect(0);
    let info = run(&folder, &["info", "m.lbit", "--json"]).expect(0).json();
    assert_eq!(info["attachments"][0]["kind"], "cover");
    assert_eq!(info["attachments"][0]["media_type"], "image/jpeg");
    run(&folder, &tiny("decode m.lbit -o m.mkv -preset ultrafast")).expect(0);
    tool(
        &folder,
        "ffmpeg",
        "-y -i m.mkv -map 0:v:1 -c copy -f image2pipe out.jpg",
    );
    assert!(read(&folder, "out.jpg") == read(&folder, "cover.jpg"));
}

#[test]
fn views_and_spheres_are_described_in_what_is_written() {
    let folder = folder();
    tool(
        &folder,
        "ffmpeg",
        &format!("-f lavfi -i testsrc2=s=64x48:r=25:d=0.2 {X264} -metadata:s:v stereo_mode=top_bottom a.mkv"),
    );
    let told = |name: &str| {
        tool(
            &folder,
            "ffprobe",
            &format!("-show_streams -select_streams v {name}"),
        )
    };
    assert!(told("a.mkv").contains("top and bottom"), "{}", told("a.mkv"));
    run(&folder, &tiny("encode a.mkv -o a.lbit")).expect(0);
    for name in ["b.mkv", "b.mp4"] {
        run(&folder, &tiny(&format!("decode a.lbit -o {name}"))).expect(0);
        assert!(told(name).contains("top and bottom"), "{name}: {}", told(name));
    }
    run(&folder, &tiny("decode a.lbit -o b.ts"))
        .expect(0)
        .says(&["stereo mode", "left out"]);
    // From the boxes of MP4 into Matroska.
    run(&folder, &tiny("encode b.mp4 -o c.lbit")).expect(0);
    run(&folder, &tiny("decode c.lbit -o c.mkv")).expect(0);
    assert!(told("c.mkv").contains("top and bottom"), "{}", told("c.mkv"));
    // A sphere, as cameras note it.
    tool(
        &folder,
        "ffmpeg",
        &format!("-f lavfi -i testsrc2=s=64x48:r=25:d=0.2 {X264} d.mp4"),
    );
    let sphere = on_a_sphere(&read(&folder, "d.mp4"));
    write(&folder, "d.mp4", &sphere);
    assert!(told("d.mp4").contains("equirectangular"), "{}", told("d.mp4"));
    run(&folder, &tiny("encode d.mp4 -o d.lbit")).expect(0);
    run(&folder, &["info", "d.lbit"])
        .expect(0)
        .prints(&["spherical (stream 0): equirectangular"]);
    for name in ["e.mkv", "e.mp4"] {
        run(&folder, &tiny(&format!("decode d.lbit -o {name}"))).expect(0);
        let found = told(name);
        assert!(found.contains("projection=equirectangular"), "{name}: {found}");
    }
    run(&folder, &tiny("decode d.lbit -o e.ts"))
        .expect(0)
        .says(&["mapping onto a sphere", "left out"]);
}

/// An MP4 file, whose index is at its end, with the box that says that its video covers a sphere.
fn on_a_sphere(file: &[u8]) -> Vec<u8> {
    const ID: [u8; 16] = *b"\xff\xcc\x82\x63\xf8\x55\x4a\x93\x88\x14\x58\x7a\x02\x52\x1f\xdd";
    let element = |name: &str, value: &str| format!("<GSpherical:{name}>{value}</GSpherical:{name}>");
    let xml = [
        element("Spherical", "true"),
        element("Stitched", "true"),
        element("StitchingSoftware", "hand"),
        element("ProjectionType", "equirectangular"),
    ]
    .concat();
    let length = 8 + ID.len() + xml.len();
    let new = [&(length as u32).to_be_bytes()[..], b"uuid", &ID, xml.as_bytes()].concat();
    let at = |name: &[u8]| file.windows(4).position(|four| four == name).unwrap() - 4;
    let (moov, trak) = (at(b"moov"), at(b"trak"));
    let size = |at: usize| u32::from_be_bytes(file[at..at + 4].try_into().unwrap());
    let end = trak + size(trak) as usize;
    let mut out = file.to_vec();
    for at in [moov, trak] {
        out[at..at + 4].copy_from_slice(&(size(at) + length as u32).to_be_bytes());
    }
    out.splice(end..end, new);
    out
}

#[test]
fn light_is_described_in_what_is_written() {
    let folder = folder();
    let display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)";
    tool(
        &folder,
        "ffmpeg",
        &format!(
            "-f lavfi -i testsrc2=s=64x48:r=25:d=0.2,format=yuv420p10le -c:v libx265 -preset ultrafast -x265-params log-level=none:hdr-opt=1:repeat-headers=1:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:master-display={display}:max-cll=1000,400 -color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc a.mkv"
        ),
    );
    run(&folder, &tiny("encode a.mkv -o a.lbit")).expect(0);
    let facts = |name: &str| {
        let line = format!(
            "-show_frames -read_intervals %+#1 -show_entries frame=color_transfer:frame_side_data -of csv {name}"
        );
        tool(&folder, "ffprobe", &line)
    };
    run(
        &folder,
        &tiny("decode a.lbit -o b.mkv -c:v hevc -preset ultrafast"),
    )
    .expect(0);
    let told = facts("b.mkv");
    for part in ["smpte2084", "34000/50000", "10000000/10000", "1000", "400"] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    // With an encoder that does not write them, the container does.
    run(&folder, &tiny("decode a.lbit -o c.mp4")).expect(0);
    let streams = tool(&folder, "ffprobe", "-show_streams c.mp4");
    assert!(
        streams.contains("34000/50000") && streams.contains("max_content=1000"),
        "{streams}"
    );
}

#[test]
fn opus_comes_back_without_padding() {
    let folder = folder();
    tool(
        &folder,
        "ffmpeg",
        &format!("-f lavfi -i testsrc2=s=64x48:r=25:d=1 -f lavfi -i sine=d=0.777 {X264} -c:a libopus a.mkv"),
    );
    run(&folder, &tiny("encode a.mkv -o a.lbit")).expect(0);
    run(&folder, &tiny("decode a.lbit -o b.mkv")).expect(0);
    let samples = |name: &str| {
        tool(
            &folder,
            "ffmpeg",
            &format!("-y -i {name} -map 0:a -f s16le {name}.raw"),
        );
        read(&folder, &format!("{name}.raw")).len() / 2
    };
    assert_eq!(samples("a.mkv"), samples("b.mkv"));
    assert_eq!(hash(&folder, "a.mkv", "0:a"), hash(&folder, "b.mkv", "0:a"));
}

#[test]
fn an_input_that_ends_early_ends_with_its_own_code() {
    let folder = folder();
    clip(&folder, "whole.mkv", "aac", "srt");
    let bytes = read(&folder, "whole.mkv");
    write(&folder, "cut.mkv", &bytes[..bytes.len() * 6 / 10]);
    run(&folder, &tiny("encode cut.mkv -o cut.lbit"))
        .expect(4)
        .says(&["cut.mkv", "cut off", "cut.lbit"]);
    run(&folder, &["verify", "cut.lbit"]).expect(0);
    let report = run(&folder, &tiny("encode cut.mkv -o cut.lbit -y --json"))
        .expect(4)
        .json();
    assert_eq!(report["ended_early"], true, "{report}");
    // Bytes that are wrong in the middle of pictures: what is left out or made up is counted in the report, too.
    let mut damaged = read(&folder, "whole.mkv");
    let (from, to) = (damaged.len() * 4 / 10, damaged.len() * 7 / 10);
    (from..to).step_by(97).for_each(|at| damaged[at] ^= 0x5a);
    write(&folder, "damaged.mkv", &damaged);
    let outcome = run(&folder, &tiny("encode damaged.mkv -o damaged.lbit --json"));
    let report = outcome.json();
    let count = |key: &str| report[key].as_u64().unwrap();
    assert!(count("damaged_packets") + count("damaged_frames") > 0, "{report}");
    assert!(outcome.stderr.contains("damaged"), "{}", outcome.stderr);
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("damaged packets were left out"), "{warnings}");
    run(&folder, &tiny("encode whole.mkv -o whole.lbit")).expect(0);
    // The same for what comes through a pipe, as far as it says how long it is.
    tool(
        &folder,
        "ffmpeg",
        "-i whole.mkv -map 0:v -map 0:a:0 -c copy whole.flv",
    );
    let bytes = read(&folder, "whole.flv");
    write(&folder, "cut.flv", &bytes[..bytes.len() / 2]);
    run(&folder, &tiny("encode cut.flv -o flv.lbit")).expect(4);
}

#[test]
fn media_on_stdin() {
    let folder = folder();
    clip(&folder, "a.mp4", "aac", "mov_text");
    // A file on stdin can be sought in, wherever its index is.
    let file = std::fs::File::open(folder.path().join("a.mp4")).unwrap();
    let status = command()
        .args(tiny("encode - -o a.lbit"))
        .current_dir(folder.path())
        .stdin(Stdio::from(file))
        .status()
        .unwrap();
    assert!(status.success());
    run(&folder, &tiny("decode a.lbit -o b.mkv")).expect(0);
    assert_eq!(hash(&folder, "b.mkv", "0:a:1"), hash(&folder, "a.mp4", "0:a:1"));
    run(&folder, &tiny("encode a.lbit -o b.lbit"))
        .expect(2)
        .says(&["decode it first"]);
    run(&folder, &tiny("encode a.mp4 -o b.mp4 -y"))
        .expect(2)
        .says(&["encode writes tokens", "decode"]);
    run(&folder, &tiny("encode https://example.invalid/a.mp4 -o b.lbit"))
        .expect(2)
        .says(&["--allow-network"]);
}

/// Serves the files of a folder over HTTP on this machine, with ranges or without, until all tests are over.
fn serve(folder: &TempDir, ranges: bool) -> u16 {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let root = folder.path().to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let root = root.clone();
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                let (mut first, mut from) = (String::new(), None);
                reader.read_line(&mut first).ok()?;
                loop {
                    let mut line = String::new();
                    if reader.read_line(&mut line).ok()? <= 2 {
                        break;
                    }
                    let lower = line.to_ascii_lowercase();
                    if let Some(range) = lower.trim().strip_prefix("range: bytes=") {
                        from = range.split('-').next()?.parse::<usize>().ok();
                    }
                }
                let name = first.split_whitespace().nth(1)?.trim_start_matches('/');
                let mut out = reader.into_inner();
                let Ok(bytes) = std::fs::read(root.join(name)) else {
                    return out
                        .write_all(
                            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                        )
                        .ok();
                };
                let all = bytes.len();
                let from = from.filter(|&from| ranges && from < all);
                let (status, part) = match from {
                    Some(from) => ("206 Partial Content", &bytes[from..]),
                    None => ("200 OK", &bytes[..]),
                };
                let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", part.len());
                if let Some(from) = from {
                    head.push_str(&format!("Content-Range: bytes {from}-{}/{all}\r\n", all - 1));
                }
                if ranges {
                    head.push_str("Accept-Ranges: bytes\r\n");
                }
                head.push_str("Connection: close\r\n\r\n");
                out.write_all(head.as_bytes()).ok()?;
                // A client that seeks does not want the rest.
                out.write_all(part).ok()
            });
        }
    });
    port
}

#[test]
fn addresses_are_read_where_that_is_allowed() {
    let folder = folder();
    clip(&folder, "a.mp4", "aac", "mov_text");
    // Without ranges, a file can be read if its index comes first.
    tool(
        &folder,
        "ffmpeg",
        "-i a.mp4 -map 0 -c copy -movflags +faststart first.mp4",
    );
    run(&folder, &tiny("encode a.mp4 -o a.lbit")).expect(0);
    let tokens = run(&folder, &["info", "a.lbit", "--json"]).expect(0).json();
    for (ranges, name) in [(true, "a.mp4"), (true, "first.mp4"), (false, "first.mp4")] {
        let port = serve(&folder, ranges);
        let address = format!("http://127.0.0.1:{port}/{name}");
        run(&folder, &tiny(&format!("encode {address} -o b.lbit -y")))
            .expect(2)
            .says(&[&address, "--allow-network"]);
        assert!(
            !folder.path().join("b.lbit").exists() || ranges,
            "nothing is written"
        );
        run(
            &folder,
            &tiny(&format!("encode {address} -o b.lbit -y --allow-network")),
        )
        .expect(0);
        let found = run(&folder, &["info", "b.lbit", "--json"]).expect(0).json();
        for key in ["frames", "chunks", "seconds", "token_bytes"] {
            assert_eq!(found[key], tokens[key], "{address} {key}");
        }
        std::fs::remove_file(folder.path().join("b.lbit")).unwrap();
        run(
            &folder,
            &tiny(&format!(
                "encode http://127.0.0.1:{port}/none.mp4 -o c.lbit --allow-network"
            )),
        )
        .expect(1)
        .says(&["none.mp4"]);
        // A list may name addresses, too.
        write(&folder, "list.txt", format!("{address}\n").as_bytes());
        let refused = run(&folder, &tiny("archive list.txt -o refused"));
        assert_ne!(refused.code, Some(0));
        assert!(refused.stderr.contains("--allow-network"), "{}", refused.stderr);
        run(&folder, &tiny("archive list.txt -o archive --allow-network")).expect(0);
        let report = read(&folder, "archive/report.json");
        let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
        assert_eq!(
            (&report["done"], &report["failed"]),
            (&1.into(), &0.into()),
            "{report}"
        );
        for made in ["archive", "refused"] {
            let _ = std::fs::remove_dir_all(folder.path().join(made));
        }
    }
}

#[test]
fn encoders_by_their_names_and_options() {
    let folder = folder();
    clip(&folder, "a.mkv", "aac", "srt");
    run(&folder, &tiny("encode a.mkv -o a.lbit -an -sn --frames 8")).expect(0);
    let codec = |name: &str| {
        let line = format!("-select_streams v -show_entries stream=codec_name -of csv=p=0 {name}");
        tool(&folder, "ffprobe", &line)
            .trim()
            .trim_end_matches(',')
            .to_owned()
    };
    for (options, name, expected) in [
        ("-c:v hevc -preset ultrafast", "a.mp4", "hevc"),
        ("-c:v vp9", "a.webm", "vp9"),
        (
            "--codec h264 -crf 40 -tune grain -x264-params keyint=4:bframes=0:scenecut=0",
            "b.mp4",
            "h264",
        ),
        ("-c:v mpeg4 -b:v 200k", "c.mp4", "mpeg4"),
        ("-c:v mpeg2video", "a.mpg", "mpeg2video"),
    ] {
        run(&folder, &tiny(&format!("decode a.lbit -o {name} {options}"))).expect(0);
        assert_eq!(
            (codec(name).as_str(), frames_of(&folder, name)),
            (expected, 8),
            "{options}"
        );
    }
    let keys = "-select_streams v -show_entries packet=flags -of csv=p=0 b.mp4";
    assert_eq!(tool(&folder, "ffprobe", keys).matches('K').count(), 2);
    for (options, parts) in [
        ("-preset nosuch", &["preset", "nosuch"][..]),
        ("--encoder-option nosuch=1", &["nosuch", "no option"]),
        ("-tune nosuch", &["tune", "nosuch"]),
    ] {
        run(&folder, &tiny(&format!("decode a.lbit -o x.mp4 {options}")))
            .expect(2)
            .says(parts);
    }
    // What would be several files is not there at all, hidden ones neither.
    run(&folder, &tiny("decode a.lbit -o x.m3u8"))
        .expect(1)
        .says(&["several files"]);
    assert!(
        names(&folder)
            .iter()
            .all(|name| !name.contains("x.m") && !name.starts_with('.'))
    );
    run(&folder, &tiny("decode a.lbit -o x.mp4 -c:v nosuch"))
        .expect(1)
        .says(&["nosuch"]);
}

#[test]
fn filters_on_both_ways() {
    let folder = folder();
    clip(&folder, "a.mkv", "aac", "srt");
    let size = |name: &str| {
        let line =
            format!("-select_streams v -show_entries stream=width,height,r_frame_rate -of csv=p=0 {name}");
        tool(&folder, "ffprobe", &line).trim().to_owned()
    };
    run(
        &folder,
        &tiny("encode a.mkv -o a.lbit --scale 16:-1 --fps 10 -an"),
    )
    .expect(0);
    run(&folder, &tiny("decode a.lbit -o a.y4m")).expect(0);
    assert_eq!(size("a.y4m"), "16,8,10/1");
    assert_eq!(frames_of(&folder, "a.y4m"), 20);
    run(&folder, &tiny("encode a.mkv -o b.lbit")).expect(0);
    for (name, options, expected, frames) in [
        ("b.y4m", "--vf transpose=1,scale=8:24", "8,24,30000/1001", 60),
        ("b.mp4", "--crop 20:10 -preset ultrafast", "20,10,30000/1001", 60),
        ("c.mp4", "--fps 15 -preset ultrafast", "32,16,15/1", 30),
    ] {
        run(&folder, &tiny(&format!("decode b.lbit -o {name} {options}"))).expect(0);
        assert_eq!(
            (size(name).as_str(), frames_of(&folder, name)),
            (expected, frames),
            "{options}"
        );
    }
    assert_eq!(hash(&folder, "b.mp4", "0:a:0"), hash(&folder, "a.mkv", "0:a:0"));
    // What ffmpeg makes of the same pictures.
    run(&folder, &tiny("decode b.lbit -o plain.y4m")).expect(0);
    tool(&folder, "ffmpeg", "-i plain.y4m -vf vflip theirs.y4m");
    run(&folder, &tiny("decode b.lbit -o ours.y4m --vf vflip")).expect(0);
    let (ours, theirs) = (read(&folder, "ours.y4m"), read(&folder, "theirs.y4m"));
    let size = 60 * (6 + 32 * 16 * 3 / 2);
    let body = |bytes: &[u8]| bytes[bytes.len() - size..].to_vec();
    let off = body(&ours)
        .iter()
        .zip(body(&theirs))
        .map(|(a, b)| a.abs_diff(b))
        .max();
    // Samples are rounded once more on the way, and chroma is halved no more than once.
    assert!(off <= Some(2), "{off:?}");
    run(&folder, &tiny("decode b.lbit -o x.y4m --vf nosuchfilter"))
        .expect(2)
        .says(&["nosuchfilter"]);
}
