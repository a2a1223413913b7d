//! Parts of files are read by the index: what comes before their group is not looked at.

use std::ops::Range;

use tempfile::TempDir;

use crate::predict::predict;
use crate::support::{Y4m, decoded, encoded, folder, read, rgb_frames, run, run_with, tiny, write};

/// Where the chunks of a file lie, and the first frame of each.
fn places(folder: &TempDir, file: &str) -> Vec<(Range<usize>, u64)> {
    let info = run(folder, &["info", file, "--chunks", "--json"])
        .expect(0)
        .json();
    let table = info["chunk_table"].as_array().unwrap();
    let place = |chunk: &serde_json::Value| {
        let number = |what: &str| chunk[what].as_u64().unwrap();
        let start = number("offset") as usize;
        (start..start + number("bytes") as usize, number("first_frame"))
    };
    table.iter().map(place).collect()
}

/// Writes `to` with the chunks of `from` that begin before frame `until` made unreadable.
fn garble(folder: &TempDir, from: &str, to: &str, until: u64) {
    let mut bytes = read(folder, from);
    let before = places(folder, from)
        .into_iter()
        .filter(|(_, first)| *first < until);
    let mut garbled = 0;
    for (place, _) in before {
        bytes[place].fill(0xa5);
        garbled += 1;
    }
    assert!(garbled > 0);
    write(folder, to, &bytes);
}

/// A small file of 97 frames in groups of 29, and one without its groups before frame 58; gives all frames of the first.
fn with_groups() -> (TempDir, Vec<Vec<u8>>) {
    let folder = folder();
    encoded(&folder, "a.lbit", 97, "--group 2");
    write(&folder, "a.y4m", &Y4m::SMALL.video(97));
    let all = decoded(&folder, "a.lbit", "");
    garble(&folder, "a.lbit", "late.lbit", 58);
    // That it is garbled shows where those groups are wanted.
    run(&folder, &tiny("decode late.lbit -o x.y4m --start 57f --strict")).expect(3);
    (folder, all)
}

#[test]
fn decode_goes_to_the_group_of_the_first_frame() {
    let (folder, all) = with_groups();
    for (start, frames) in [(58, 1), (60, 5), (60, 37), (86, 2), (96, 1)] {
        let seconds = f64::from(start) / 25.0;
        for options in [
            format!("--start {start}f --frames {frames}"),
            format!("--start {seconds} --frames {frames}"),
            format!("--start {start}f --frames {frames} --strict"),
        ] {
            let wanted = &all[start as usize..(start + frames) as usize];
            assert!(decoded(&folder, "late.lbit", &options) == wanted, "{options}");
        }
    }
    run(&folder, &tiny("decode late.lbit -o x.y4m --start 97f"))
        .expect(2)
        .says(&["after the end"]);
    run(&folder, &tiny("decode late.lbit -o x.y4m --start 3.9"))
        .expect(2)
        .says(&["after the end"]);
}

/// A pipe cannot seek: it gives the same frames, and still sees what is wrong before them.
#[test]
fn pipes_give_the_same_frames() {
    let (folder, all) = with_groups();
    for line in ["--start 60f --frames 5", "--start 2.4 --frames 5"] {
        let line = tiny(&format!("decode - -o - --raw rgb24 {line}"));
        let piped = run_with(&folder, &line, read(&folder, "a.lbit")).expect(0);
        assert!(rgb_frames(&piped.stdout) == all[60..65]);
        run_with(&folder, &line, read(&folder, "late.lbit"))
            .expect(0)
            .says(&["lost"]);
    }
}

/// A file without an index is listed first, so that it can be sought in all the same; what it lacks is told only if it
/// belongs to the part.
#[test]
fn files_without_an_index_are_sought_in() {
    let (folder, all) = with_groups();
    let bytes = read(&folder, "a.lbit");
    let last = places(&folder, "a.lbit").pop().unwrap().0;
    // Cut off within the index, and within the last chunk.
    write(&folder, "plain.lbit", &bytes[..bytes.len() - 50]);
    write(&folder, "cut.lbit", &bytes[..last.end - 1]);
    let run_part = |name: &str, options: &str, code: i32| {
        let line = format!("decode {name} -o x.rgb -y --raw rgb24 -vv {options}");
        let outcome = run(&folder, &tiny(&line)).expect(code);
        let read = outcome
            .stderr
            .lines()
            .find(|line| line.contains("bytes were read"));
        assert!(read.is_some());
        (rgb_frames(&read_back(&folder)), outcome)
    };
    fn read_back(folder: &TempDir) -> Vec<u8> {
        read(folder, "x.rgb")
    }
    for options in ["--start 60f --frames 5", "--start 2.4 --frames 5"] {
        for name in ["plain.lbit", "cut.lbit"] {
            assert!(run_part(name, options, 0).0 == all[60..65], "{name} {options}");
        }
    }
    let (frames, outcome) = run_part("cut.lbit", "--start 60f", 4);
    outcome.says(&["cut off"]);
    assert!(!frames.is_empty() && frames[..] == all[60..60 + frames.len()]);
    // The same from a pipe.
    let line = tiny("decode - -o - --raw rgb24 --start 60f");
    let piped = run_with(&folder, &line, read(&folder, "cut.lbit"))
        .expect(4)
        .says(&["cut off"]);
    assert!(rgb_frames(&piped.stdout) == frames);
    run(&folder, &tiny("decode cut.lbit -o y.y4m --start 60f --strict")).expect(4);
    run(&folder, &tiny("decode cut.lbit -o y.y4m --start 97f"))
        .expect(2)
        .says(&["after the end"]);
}

/// Damage in the part is told as it is of a whole stream.
#[test]
fn damage_in_the_part_is_concealed() {
    let (folder, _) = with_groups();
    let mut bytes = read(&folder, "late.lbit");
    let (place, first) = places(&folder, "a.lbit")[5].clone();
    assert_eq!(first, 71);
    bytes[(place.start + place.end) / 2] ^= 0x40;
    write(&folder, "bad.lbit", &bytes);
    let report = |input: &str, bytes: Vec<u8>| {
        let line = format!("decode {input} -o x.y4m -y --start 60f --loss-report r.json");
        run_with(&folder, &tiny(&line), bytes)
            .expect(5)
            .says(&["chunks 5 to 5 are lost", "frames 71 to 86"]);
        let report: serde_json::Value = serde_json::from_slice(&read(&folder, "r.json")).unwrap();
        report["runs"].clone()
    };
    let mut whole = read(&folder, "a.lbit");
    whole[(place.start + place.end) / 2] ^= 0x40;
    assert_eq!(report("bad.lbit", Vec::new()), report("-", whole));
}

#[test]
fn eval_begins_anywhere_in_the_file() {
    let (folder, _) = with_groups();
    let eval = |file: &str, options: &str| {
        let line = format!("eval a.y4m {file} --json --start 60f --file-start 60f --frames 20 {options}");
        run(&folder, &tiny(&line)).expect(0).json()
    };
    for options in ["", "--conceal freeze"] {
        let mut reports = ["a.lbit", "late.lbit"].map(|file| eval(file, options));
        for report in &mut reports {
            report["file"] = serde_json::Value::Null;
        }
        let [whole, late] = reports;
        assert_eq!(whole, late);
        let frames = match options {
            "" => &whole["frames"],
            _ => &whole["exact"]["frames"],
        };
        assert_eq!(frames, 20);
    }
    // The same frames, decoded by themselves, are exactly those.
    write(
        &folder,
        "part.raw",
        &decoded(&folder, "a.lbit", "--start 60f --frames 20").concat(),
    );
    let line = "eval part.raw late.lbit --raw 24x16@25:rgb24 --json --no-vae --file-start 60f --frames 20";
    let same = run(&folder, &tiny(line)).expect(0).json();
    assert!(same["tokens"]["psnr"].as_f64().unwrap() > 99.0, "{same}");
}

#[test]
fn scores_of_a_part_are_those_of_the_whole() {
    let folder = folder();
    encoded(&folder, "a.lbit", 40 * 29, "--group 2");
    let score = |file: &str, options: &str| {
        let report = run(&folder, &predict(&format!("score {file} --json {options}")))
            .expect(0)
            .json();
        report["chunks"].as_array().unwrap().clone()
    };
    let all = score("a.lbit", "");
    // Chunks of 13 and of 16 frames take turns.
    let chunk_of = |frame: usize| frame / 29 * 2 + usize::from(frame % 29 >= 13);
    let (first, last) = (chunk_of(1000), chunk_of(1049));
    garble(&folder, "a.lbit", "late.lbit", 29 * 20);
    for options in ["--start 1000f --frames 50", "--start 40 --frames 50"] {
        let part = score("late.lbit", options);
        assert_eq!(part, all[first..=last], "{options}");
        let args = predict(&format!("score - --json {options}"));
        let piped = run_with(&folder, &args, read(&folder, "a.lbit")).expect(0).json();
        assert_eq!(piped["chunks"], serde_json::Value::Array(part));
    }
    run(&folder, &predict("score a.lbit --start 1160f"))
        .expect(2)
        .says(&["after the end"]);
}

/// The whole file is copied, but tokens are looked at only around the part that is made anew.
#[test]
fn inpaint_looks_at_no_more_than_it_needs() {
    let folder = folder();
    encoded(&folder, "a.lbit", 40 * 29, "--group 2");
    let looked_at = |options: &str| {
        let args = predict(&format!("inpaint a.lbit -o b.lbit -y --steps 1 -vv {options}"));
        let outcome = run(&folder, &args).expect(0);
        let line = outcome.stderr.lines().find(|line| line.contains("were unpacked"));
        let mut words = line.unwrap().split_whitespace();
        words.find_map(|word| word.parse::<u64>().ok()).unwrap()
    };
    let few = looked_at("--from 1000f --to 1001f");
    assert!((2..=16).contains(&few), "{few} of 80 chunks");
    assert_eq!(looked_at("--from 40 --to 40.02"), few);
    assert_eq!(looked_at("--mask 8:8:0:0"), 80);
}

/// Where the rate varies, times are those at which frames are shown, in files and pipes, and for `cut`.
#[cfg(feature = "libav")]
#[test]
fn times_are_those_of_presentation() {
    use crate::carry::{times, tool};

    let folder = folder();
    tool(
        &folder,
        "ffmpeg",
        "-f lavfi -i testsrc2=s=24x16:r=30:d=4 -vf select='not(eq(mod(n\\,7)\\,3))',setpts='PTS+if(gt(N\\,30)\\,1.4/TB\\,0)' -vsync vfr -c:v libx264 a.mp4",
    );
    run(&folder, &tiny("encode a.mp4 -o a.lbit --group 2 --no-scene-cuts")).expect(0);
    let shown = times(&folder, "a.mp4", "v:0");
    let all = decoded(&folder, "a.lbit", "");
    assert_eq!(all.len(), shown.len());
    garble(&folder, "a.lbit", "late.lbit", 29);
    for seconds in [1.2, 2.5, 2.8, 3.31, 4.0] {
        let first = shown.iter().position(|&time| time >= seconds - 1e-6).unwrap();
        assert!(first >= 29);
        let wanted = &all[first..(first + 4).min(all.len())];
        let options = format!("--start {seconds} --frames 4");
        assert!(decoded(&folder, "late.lbit", &options) == wanted, "{seconds}");
        let args = tiny(&format!("decode - -o - --raw rgb24 {options}"));
        let piped = run_with(&folder, &args, read(&folder, "a.lbit")).expect(0);
        assert!(rgb_frames(&piped.stdout) == wanted, "{seconds}");
        let from = seconds.to_string();
        let args = ["cut", "a.lbit", "-o", "c.lbit", "-y", "--json", "--from", &from];
        let cut = run(&folder, &args).expect(0).json();
        assert_eq!(cut["asked"][0], first, "{seconds}");
    }
}

/// Sound and subtitles of a part are those that a pipe gives, which reads all of them.
#[cfg(feature = "libav")]
#[test]
fn a_part_has_its_sound_and_subtitles() {
    use crate::carry::{clip, hash, times};

    let folder = folder();
    clip(&folder, "a.mp4", "aac", "mov_text");
    run(&folder, &tiny("encode a.mp4 -o a.lbit --group 1")).expect(0);
    garble(&folder, "a.lbit", "late.lbit", 26);
    for (start, name) in [("1.1", "c.mkv"), ("30f", "d.mkv"), ("1.5", "e.mkv")] {
        let options = format!("--start {start} --frames 9");
        run(&folder, &tiny(&format!("decode late.lbit -o {name} {options}"))).expect(0);
        let args = tiny(&format!("decode - -o piped.mkv -y {options}"));
        run_with(&folder, &args, read(&folder, "a.lbit")).expect(0);
        for stream in ["0:v:0", "0:a:0", "0:a:1", "0:s:0"] {
            assert_eq!(
                hash(&folder, name, stream),
                hash(&folder, "piped.mkv", stream),
                "{start} {stream}"
            );
        }
        for stream in ["v:0", "a:0", "a:1", "s:0"] {
            assert_eq!(
                times(&folder, name, stream),
                times(&folder, "piped.mkv", stream),
                "{start} {stream}"
            );
        }
    }
}

/// Sound far before `--start` is dropped, and sound around it kept: what a part has is what the whole has at that time.
#[cfg(feature = "libav")]
#[test]
fn sound_before_a_far_start_is_left_out() {
    use crate::carry::{times, tool};

    let folder = folder();
    tool(
        &folder,
        "ffmpeg",
        "-f lavfi -i testsrc2=s=24x16:r=25:d=12 -f lavfi -i sine=f=440:d=12 -map 0 -map 1 -c:v libx264 -c:a aac a.mp4",
    );
    run(&folder, &tiny("encode a.mp4 -o a.lbit --group 2")).expect(0);
    let all = times(&folder, "a.mp4", "a:0");
    let (start, end) = (10.0, 11.0);
    let wanted = all.iter().filter(|&&time| time >= start && time < end).count();
    let line = format!("--start {start} --frames 25");
    let sought = |name: &str| {
        run(&folder, &tiny(&format!("decode {name} -o part.mkv -y {line}"))).expect(0);
        times(&folder, "part.mkv", "a:0")
    };
    let bytes = read(&folder, "a.lbit");
    // Without an index, the file is listed first.
    write(&folder, "plain.lbit", &bytes[..bytes.len() - 50]);
    let sound = sought("a.lbit");
    assert_eq!(sought("plain.lbit"), sound);
    let args = tiny(&format!("decode - -o piped.mkv -y {line}"));
    run_with(&folder, &args, bytes).expect(0);
    assert_eq!(times(&folder, "piped.mkv", "a:0"), sound);
    // A packet that lasts into the part may come before its first frame.
    assert!(
        sound.len() == wanted || sound.len() == wanted + 1,
        "{} of {wanted}",
        sound.len()
    );
    let (first, last) = (sound[0], sound[sound.len() - 1]);
    assert!(first > -0.03 && first < 0.03, "the sound begins at {first}");
    assert!(last > 0.95 && last < 1.0, "the last packet begins at {last}");
}
