//! What a run tells.

use super::{archive, clips, contents, names};
use crate::support::{Y4m, read, run, tiny, write};

#[test]
fn figures_and_pictures() {
    let folder = clips(12);
    write(&folder, "clips/011.y4m", b"<b>no video</b>");
    let report = archive(&folder, "clips -o out --quality-sample 1 --json")
        .expect(3)
        .json();
    assert_eq!(report["schema"], "latentbit.archive/1");
    assert_eq!(
        (report["complete"].as_bool(), report["failed"].as_u64()),
        (Some(true), Some(1))
    );
    let sum = |name: &str| -> u64 {
        let bins = report[name].as_array().unwrap();
        bins.iter().map(|bin| bin["clips"].as_u64().unwrap()).sum()
    };
    assert_eq!([sum("sizes"), sum("lengths"), sum("qualities")], [11; 3]);
    let worst: Vec<f64> = report["worst"]
        .as_array()
        .unwrap()
        .iter()
        .map(|clip| clip["psnr"].as_f64().unwrap())
        .collect();
    assert!(worst.len() == 8 && worst.is_sorted(), "{worst:?}");
    let written: serde_json::Value = serde_json::from_slice(&read(&folder, "out/report.json")).unwrap();
    assert_eq!(written["worst"], report["worst"]);
    let html = String::from_utf8(read(&folder, "out/report.html")).unwrap();
    assert_eq!(html.matches("data:image/png;base64,").count(), 8);
    assert_eq!(html.matches("<svg").count(), 3);
    // Nothing is fetched from elsewhere, and no name is taken for a tag.
    assert!(!html.contains("http") && !html.contains("<b>"));
    // Pictures of clips that are not shown are not kept.
    let pictures = folder.path().join("out/.archive/1-of-1/pictures");
    assert_eq!(std::fs::read_dir(pictures).unwrap().count(), 8);
}

/// Sound is no video, but it is in the file.
#[cfg(feature = "libav")]
#[test]
fn bits_per_pixel_are_those_of_the_video_and_of_the_file() {
    let folder = clips(0);
    let rates = |sound: &str| {
        let line = format!("-f lavfi -i testsrc2=s=320x240:d=2 {sound} -c:v ffv1 -y clips/a.mkv");
        crate::carry::tool(&folder, "ffmpeg", &line);
        let out = if sound.is_empty() { "silent" } else { "sound" };
        let report = archive(&folder, &format!("clips -o {out} --json"))
            .expect(0)
            .json();
        ["bpp", "file_bpp"].map(|key| report[key].as_f64().unwrap())
    };
    let [video, file] = rates("");
    assert!(video > 0.0 && video == file, "{video} {file}");
    let [beside_sound, whole] = rates("-f lavfi -i sine=d=2 -c:a pcm_s16le");
    // The records that hold the sound take a little; the sound itself, two seconds of 44.1 kHz in 16 bits, is not video.
    let bytes = |bpp: f64| bpp * f64::from(320 * 240 * 50) / 8.0;
    assert!(
        bytes(beside_sound) < bytes(video) + 1000.0,
        "{beside_sound} {video}"
    );
    assert!(
        bytes(whole) > bytes(beside_sound) + 176_000.0,
        "{whole} {beside_sound}"
    );
}

#[test]
fn a_run_that_has_nothing_left_to_do_tells_the_same() {
    let folder = clips(3);
    let first = run(&folder, &tiny("archive clips -o out"))
        .expect(0)
        .says(&["3 clips, 3 of them archived"]);
    let before = names(&folder, "out");
    let again = run(&folder, &tiny("archive clips -o out"))
        .expect(0)
        .says(&["3 clips, 3 of them archived"]);
    assert!(first.stdout.is_empty() && again.stdout.is_empty());
    assert_eq!(names(&folder, "out"), before);
}

/// What `--max-memory` leaves is enough to measure in, and measuring gives what it gives without a limit.
#[test]
fn quality_is_measured_within_a_limit() {
    let folder = clips(4);
    let measured = |out: &str, options: &str| {
        let line = format!("clips -o {out} --quality-sample 1 --json {options}");
        let report = archive(&folder, &line).expect(0).json();
        assert_eq!(report["worst"].as_array().unwrap().len(), 4);
        report["worst"].clone()
    };
    let free = measured("free", "");
    assert_eq!(measured("held", "--max-memory 4GiB --workers 2"), free);
    assert_eq!(contents(&folder, "held"), contents(&folder, "free"));
    archive(&folder, "clips -o low --quality-sample 1 --max-memory 1MB")
        .expect(2)
        .says(&["--max-memory", "the model alone"]);
    // A limit that a frame of this size does not fit into costs the clip, and names itself.
    let large = Y4m {
        width: 960,
        height: 640,
        ..Y4m::SMALL
    };
    write(&folder, "large.y4m", &large.video(2));
    archive(&folder, "large.y4m -o large --quality-sample 1 --max-memory 80MB")
        .expect(3)
        .says(&["large.y4m", "max_memory"]);
}
