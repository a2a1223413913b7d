//! Random access points where the scene cuts.

use crate::support::{Y4m, decoded, folder, run, tiny, write};

/// Three scenes of 18, 11 and 21 frames, each of another brightness with some motion.
fn scenes() -> Vec<u8> {
    let y4m = Y4m::SMALL;
    let mut video = y4m.video(0);
    for (scene, frames) in [18, 11, 21].into_iter().enumerate() {
        for t in 0..frames {
            video.extend_from_slice(b"FRAME\n");
            let value = |i: usize| 60 + scene * 70 + (i * (scene + 1) + t) % 8;
            video.extend((0..y4m.samples()).map(|i| value(i) as u8));
        }
    }
    video
}

/// (first frame, frames, key) of each chunk.
fn chunks(folder: &tempfile::TempDir, name: &str) -> Vec<(u64, u64, bool)> {
    let info = run(folder, &["info", name, "--chunks", "--json"])
        .expect(0)
        .json();
    let table = info["chunk_table"].as_array().unwrap();
    let number = |value: &serde_json::Value| value.as_u64().unwrap();
    let row = |chunk: &serde_json::Value| {
        let key = chunk["key"].as_bool().unwrap();
        (number(&chunk["first_frame"]), number(&chunk["frames"]), key)
    };
    table.iter().map(row).collect()
}

#[test]
fn a_key_chunk_begins_at_a_cut() {
    let folder = folder();
    write(&folder, "a.y4m", &scenes());
    run(&folder, &tiny("encode a.y4m -o a.lbit")).expect(0);
    let expected = [
        (0, 13, true),
        (13, 5, false),
        (18, 11, true),
        (29, 13, true),
        (42, 8, false),
    ];
    assert_eq!(chunks(&folder, "a.lbit"), expected);
    run(&folder, &["verify", "a.lbit"]).expect(0);
    assert_eq!(decoded(&folder, "a.lbit", "").len(), 50);

    run(&folder, &tiny("encode a.y4m -o plain.lbit --no-scene-cuts")).expect(0);
    let plain = [(0, 13, true), (13, 16, false), (29, 16, false), (45, 5, false)];
    assert_eq!(chunks(&folder, "plain.lbit"), plain);
}

/// A scene of its own makes the same chunks as within a video, so a scene can be cut out without loss.
#[test]
fn a_scene_is_independent() {
    let folder = folder();
    write(&folder, "a.y4m", &scenes());
    run(&folder, &tiny("encode a.y4m -o a.lbit")).expect(0);
    run(
        &folder,
        &tiny("encode a.y4m -o alone.lbit --start 18f --frames 11"),
    )
    .expect(0);
    run(
        &folder,
        &[
            "cut",
            "a.lbit",
            "-o",
            "scene.lbit",
            "--from",
            "18f",
            "--to",
            "29f",
        ],
    )
    .expect(0);
    assert_eq!(
        decoded(&folder, "scene.lbit", ""),
        decoded(&folder, "alone.lbit", "")
    );
}

/// The VAE alone is measured in the groups that the file has.
#[test]
fn eval_follows_the_groups_of_the_file() {
    let folder = folder();
    write(&folder, "a.y4m", &scenes());
    run(&folder, &tiny("encode a.y4m -o a.lbit")).expect(0);
    run(&folder, &tiny("encode a.y4m -o plain.lbit --no-scene-cuts")).expect(0);
    let vae = |name: &str| {
        let report = run(&folder, &tiny(&format!("eval a.y4m {name} --json")))
            .expect(0)
            .json();
        report["vae"]["psnr"].as_f64().unwrap()
    };
    assert!((vae("a.lbit") - vae("plain.lbit")).abs() > 1e-6);
}
