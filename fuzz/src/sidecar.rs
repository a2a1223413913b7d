//! What an array of tokens says of itself, and the JSON beside it: what passes the checks makes a file that readers take.

use latentbit_container::{
    DepthMap, Header, LatentFrames, Limits, Reader, VideoStream, Writer, WriterOptions,
};

use crate::budget;
use crate::tokens::{ArrayFormat, Checked, Sidecar, check};

/// Most tokens of the files that are made.
const TOKENS: u64 = 1 << 14;

pub fn run(data: &[u8]) {
    // A token is a number of 64 bits here, of 64 in an array and of a byte of depth.
    budget::within(data, TOKENS * 32, || {
        if let Ok(sidecar) = Sidecar::parse(data, "sidecar") {
            import(&sidecar);
        }
        for format in [ArrayFormat::Npy, ArrayFormat::Safetensors] {
            let Ok(found) = format.read_header(&mut &data[..]) else {
                continue;
            };
            let Some(Ok(sidecar)) = found
                .about()
                .map(|about| Sidecar::parse(about.as_bytes(), "array"))
            else {
                continue;
            };
            import(&sidecar);
            let _ = (found.check(&sidecar), found.depths_at(&sidecar));
        }
    });
}

fn import(sidecar: &Sidecar) {
    let text = sidecar.to_json().expect("what was read is short");
    let again = Sidecar::parse(text.as_bytes(), "sidecar").expect("what was written");
    assert_eq!(again.to_json().expect("as short"), text);
    let Ok(checked) = check(sidecar) else {
        return;
    };
    for format in [ArrayFormat::Raw, ArrayFormat::Npy, ArrayFormat::Safetensors] {
        // Sides that cannot be counted in bytes.
        let Ok(header) = format.header(sidecar) else {
            continue;
        };
        let found = format.read_header(&mut &header[..]).expect("what was written");
        found.check(sidecar).expect("the array of the sidecar");
    }
    make(sidecar, &checked);
}

/// A file of the sidecar, whose tokens are zero.
fn make(sidecar: &Sidecar, Checked { video, .. }: &Checked) {
    let tokens = |frames| video.grid(LatentFrames(frames)).checked_len();
    let kept = sidecar.chunks.iter().filter(|chunk| !chunk.lost);
    let mut all = kept.map(|chunk| tokens(chunk.latent_frames));
    let all = all.try_fold(0, |sum: u64, tokens| sum.checked_add(tokens?));
    if all.is_none_or(|all| all > TOKENS) {
        return;
    }
    // What its writer refuses, `tokens import` refuses.
    if let Some(file) = write(sidecar, video) {
        let mut reader = Reader::new(&file[..], Limits::default()).expect("a header");
        while reader.next_event().expect("a file that readers take").is_some() {}
    }
}

fn write(sidecar: &Sidecar, video: &VideoStream) -> Option<Vec<u8>> {
    let header = Header::from(video.clone());
    let mut writer = Writer::new(Vec::new(), &header, WriterOptions::default()).expect("a checked header");
    for metadata in sidecar.metadata() {
        writer.write_metadata(&metadata).expect("checked metadata");
    }
    writer
        .write_chapters(&sidecar.chapters())
        .expect("checked chapters");
    for entry in &sidecar.chunks {
        if entry.lost {
            writer.write_stored(&entry.place(video)).ok()?;
            continue;
        }
        let len = video.grid(LatentFrames(entry.latent_frames)).len();
        let bits = entry.bits.unwrap_or(video.bits);
        let depths = video.depth_step.filter(|_| !entry.even);
        let depths = depths.map(|step| DepthMap {
            step,
            values: vec![bits; len],
        });
        writer
            .write_chunk(&entry.chunk(video, vec![0; len], depths))
            .ok()?;
    }
    writer.finish().ok().map(|(file, _)| file)
}
