//! Files of which a part is lost.

use std::ops::Range;

use latentbit_container::{Header, PixelFrames, Reader, Stream, Writer};
use tempfile::TempDir;

use super::{Limits, chunk_table, sidecar};
use crate::support::{encoded, folder, names, read, run, testdata, write};

/// Damages chunks of `a.lbit`; gives the file.
fn damaged(folder: &TempDir, lost: Range<usize>) -> Vec<u8> {
    let mut bytes = read(folder, "a.lbit");
    for chunk in &chunk_table(folder, "a.lbit")[lost] {
        bytes[chunk.offset as usize + 50] ^= 1;
    }
    bytes
}

#[test]
fn an_import_holds_the_places_that_recover_holds() {
    let folder = folder();
    encoded(&folder, "a.lbit", 60, "--group 2");
    let chunks = chunk_table(&folder, "a.lbit").len();
    assert_eq!(chunks, 5);
    for lost in [0..1, 1..2, 1..3, 2..5, 4..5, 0..5] {
        write(&folder, "bad.lbit", &damaged(&folder, lost.clone()));
        run(&folder, &["recover", "bad.lbit", "-y", "-o", "good.lbit"]).expect(3);
        for name in ["bad.npy", "bad.safetensors", "bad.bin"] {
            let told = format!("chunks {} to {} are lost", lost.start, lost.end - 1);
            let json = run(
                &folder,
                &["tokens", "export", "bad.lbit", "-y", "-o", name, "--json"],
            )
            .expect(3)
            .says(&["bad.lbit", &told])
            .json();
            assert_eq!(
                (&json["chunks"], &json["lost_chunks"]),
                (&chunks.into(), &lost.len().into())
            );
            let about = sidecar(&folder, &format!("{name}.json"));
            for (number, chunk) in about["chunks"].as_array().unwrap().iter().enumerate() {
                assert_eq!(chunk["number"], number);
                assert_eq!(chunk["lost"], lost.contains(&number));
                assert_eq!(chunk["steps"][0] == chunk["steps"][1], lost.contains(&number));
            }
            run(&folder, &["tokens", "import", name, "-y", "-o", "again.lbit"]).expect(0);
            assert_eq!(
                chunk_table(&folder, "again.lbit"),
                chunk_table(&folder, "good.lbit"),
                "{lost:?} {name}"
            );
            run(&folder, &["verify", "again.lbit"])
                .expect(3)
                .prints(&["lossy"]);
        }
    }
}

/// A file that holds places already keeps them, and damage beside them widens the gap.
#[test]
fn places_that_are_held_stay() {
    let folder = folder();
    encoded(&folder, "a.lbit", 60, "--group 1");
    write(&folder, "a.lbit", &damaged(&folder, 1..2));
    run(&folder, &["recover", "a.lbit", "-o", "held.lbit"]).expect(3);
    run(&folder, &["tokens", "export", "held.lbit", "-o", "held.npy"]).expect(3);
    run(&folder, &["tokens", "import", "held.npy", "-o", "again.lbit"]).expect(0);
    assert_eq!(
        chunk_table(&folder, "again.lbit").len(),
        chunk_table(&folder, "held.lbit").len()
    );
    run(&folder, &["tokens", "export", "again.lbit", "-o", "again.npy"]).expect(3);
    for end in ["", ".json"] {
        assert_eq!(
            read(&folder, &format!("again.npy{end}")),
            read(&folder, &format!("held.npy{end}"))
        );
    }

    std::fs::rename(folder.path().join("held.lbit"), folder.path().join("a.lbit")).unwrap();
    write(&folder, "bad.lbit", &damaged(&folder, 2..3));
    run(&folder, &["recover", "bad.lbit", "-o", "good.lbit"]).expect(3);
    run(&folder, &["tokens", "export", "bad.lbit", "-o", "bad.npy"])
        .expect(3)
        .says(&["chunks 1 to 2 are lost"]);
    run(&folder, &["tokens", "import", "bad.npy", "-o", "bad-again.lbit"]).expect(0);
    let table = |name: &str| {
        let all = chunk_table(&folder, name).into_iter();
        all.map(|chunk| {
            (
                chunk.first_frame,
                chunk.frame_count,
                chunk.latent_frames,
                chunk.start,
                chunk.bits,
            )
        })
        .collect::<Vec<_>>()
    };
    assert_eq!(table("bad-again.lbit"), table("good.lbit"));
}

/// Checksums hold and planes cannot be unpacked: only the second reading finds it.
#[test]
fn a_chunk_that_cannot_be_unpacked_is_lost() {
    for name in ["zstd-nonsense", "zstd-wrong-size"] {
        let folder = folder();
        let bad = testdata(&format!("conformance/faulty/{name}.lbit"));
        let bad = bad.to_str().unwrap();
        run(&folder, &["tokens", "export", bad, "-o", "a.npy"])
            .expect(3)
            .says(&["chunks 1 to 1 are lost", "chunk 1: bad"]);
        assert_eq!(names(&folder), ["a.npy", "a.npy.json"]);
        run(
            &folder,
            &["tokens", "import", "a.npy", "-o", "a.lbit", "--coder", "zstd"],
        )
        .expect(0);
        run(&folder, &["recover", bad, "-o", "good.lbit"]).expect(3);
        assert_eq!(
            chunk_table(&folder, "a.lbit").len(),
            chunk_table(&folder, "good.lbit").len()
        );
    }
}

/// A file that is cut off gives the whole chunks before, and says so.
#[test]
fn a_file_that_is_cut_off() {
    let folder = folder();
    encoded(&folder, "a.lbit", 60, "--coder raw");
    let whole = read(&folder, "a.lbit");
    let last = chunk_table(&folder, "a.lbit").last().unwrap().offset;
    write(&folder, "cut.lbit", &whole[..last as usize + 30]);
    run(&folder, &["tokens", "export", "cut.lbit", "-o", "cut.npy"])
        .expect(4)
        .says(&["cut.lbit", "cut off"]);
    run(&folder, &["tokens", "export", "a.lbit", "-o", "a.npy"]).expect(0);
    let [cut, all] = ["cut.npy.json", "a.npy.json"]
        .map(|name| sidecar(&folder, name)["chunks"].as_array().unwrap().clone());
    assert_eq!(cut.len() + 1, all.len());
    assert_eq!(cut[..], all[..cut.len()]);
    // The array is as long as its header says.
    run(&folder, &["tokens", "import", "cut.npy", "-o", "back.lbit"]).expect(0);
    // Of a file that ends in its header there is nothing to write.
    write(&folder, "start.lbit", &whole[..40]);
    run(&folder, &["tokens", "export", "start.lbit", "-o", "start.npy"])
        .expect(4)
        .says(&["start.lbit"]);
    assert!(!names(&folder).iter().any(|name| name.starts_with("start.npy")));
}

/// Copies a file with a number of frames in its header.
fn with_frame_count(bytes: &[u8], frames: u64) -> Vec<u8> {
    let mut reader = Reader::new(bytes, Limits::default()).unwrap();
    let mut header: Header = reader.header().clone();
    for stream in &mut header.streams {
        if let Stream::Video(video) = stream {
            video.frame_count = Some(PixelFrames(frames));
        }
    }
    let mut writer = Writer::new(Vec::new(), &header, Default::default()).unwrap();
    while let Some(chunk) = reader.next_stored().unwrap() {
        writer.write_stored(&chunk).unwrap();
    }
    writer.finish().unwrap().0
}

#[test]
fn a_number_of_frames_is_kept_while_it_is_true() {
    let folder = folder();
    encoded(&folder, "plain.lbit", 60, "--group 1");
    write(
        &folder,
        "a.lbit",
        &with_frame_count(&read(&folder, "plain.lbit"), 60),
    );
    let frames = |bytes: &[u8], exit: i32| {
        write(&folder, "b.lbit", bytes);
        run(&folder, &["tokens", "export", "b.lbit", "-y", "-o", "b.npy"]).expect(exit);
        run(&folder, &["tokens", "import", "b.npy", "-y", "-o", "c.lbit"]).expect(0);
        sidecar(&folder, "b.npy.json")["video"]["frames"].clone()
    };
    let whole = read(&folder, "a.lbit");
    assert_eq!(frames(&whole, 0), 60);
    assert_eq!(frames(&damaged(&folder, 1..2), 3), 60);
    let last = chunk_table(&folder, "a.lbit").last().unwrap().offset as usize;
    assert_eq!(frames(&whole[..last], 4), serde_json::Value::Null);
}
