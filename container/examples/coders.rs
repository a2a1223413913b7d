//! Sizes and speeds of the payload coders on the tokens of `.lbit` files, and of packing and checksums:
//! `cargo run --release -p latentbit-container --example coders -- FILE...`
//!
//! Speeds are of one core, in MB of packed tokens per second, the best of several runs.

#![allow(clippy::unwrap_used, reason = "a measuring tool for developers")]

use std::fs::File;
use std::hint::black_box;
use std::ops::Range;
use std::time::Instant;

use latentbit_container::{
    Chunk, Compression, Header, Limits, Reader, StoredChunk, Writer, WriterOptions, bits,
};

/// A coder is run until this much time has passed, at least three times.
const SECONDS: f64 = 2.0;

fn main() {
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut files = Vec::new();
    for path in std::env::args().skip(1) {
        let mut reader = Reader::new(File::open(&path).unwrap(), Limits::default()).unwrap();
        let first = chunks.len();
        while let Some(chunk) = reader.next_chunk().unwrap() {
            chunks.push(chunk);
        }
        files.push((reader.header().clone(), first..chunks.len()));
    }
    let Some(most) = chunks.iter().map(|chunk| chunk.tokens.bits).max() else {
        eprintln!("usage: coders FILE...");
        return;
    };
    let packed: usize = chunks
        .iter()
        .map(|chunk| bits::plane_len(chunk.tokens.values.len()) * usize::from(chunk.tokens.bits))
        .sum();
    let tokens: usize = chunks.iter().map(|chunk| chunk.tokens.values.len()).sum();
    println!(
        "{} chunks, {tokens} tokens of up to {most} bits, {packed} bytes packed",
        chunks.len()
    );
    println!();
    println!("| coder | bytes | of packed | encode, MB/s | decode, MB/s |");
    println!("|---|---|---|---|---|");
    let coders = [
        ("raw", Compression::Raw),
        ("zstd, level 3", Compression::Zstd { level: 3 }),
        ("zstd, level 19", Compression::Zstd { level: 19 }),
        ("cm", Compression::Cm),
    ];
    let mut planes = Vec::new();
    for (name, compression) in coders {
        let mut stored = Vec::new();
        let encode = speed(packed, || {
            stored = chunks
                .iter()
                .map(|chunk| StoredChunk::pack(chunk, compression).unwrap())
                .collect();
        });
        let decode = speed(packed, || {
            for chunk in &stored {
                black_box(chunk.unpack().unwrap());
            }
        });
        let mut by_plane = vec![0; usize::from(most)];
        for chunk in &stored {
            for (sum, plane) in by_plane.iter_mut().zip(&chunk.planes) {
                *sum += plane.bytes.len();
            }
        }
        let bytes: usize = by_plane.iter().sum();
        let share = 100.0 * bytes as f64 / packed as f64;
        println!("| {name} | {bytes} | {share:.1} % | {encode:.0} | {decode:.0} |");
        planes.push(by_plane);
    }
    println!();
    println!("| plane | zstd, level 19, % of packed | cm, % of packed |");
    println!("|---|---|---|");
    let [raw, _, zstd, cm] = &planes[..] else { return };
    for (plane, ((raw, zstd), cm)) in raw.iter().zip(zstd).zip(cm).enumerate() {
        let share = |bytes: usize| 100.0 * bytes as f64 / *raw as f64;
        println!("| {plane} | {:.1} | {:.1} |", share(*zstd), share(*cm));
    }
    println!();
    operations(&chunks, packed, most);
    println!();
    overhead(&files, &chunks);
}

/// What a file takes beside the planes of its chunks.
fn overhead(files: &[(Header, Range<usize>)], chunks: &[Chunk]) {
    println!("| coder | bytes of files | of them planes | overhead |");
    println!("|---|---|---|---|");
    for (name, compression) in [("raw", Compression::Raw), ("cm", Compression::Cm)] {
        let (mut whole, mut planes) = (0, 0);
        for (header, range) in files {
            let options = WriterOptions::default().with_compression(compression);
            let mut writer = Writer::new(Vec::new(), header, options).unwrap();
            for chunk in &chunks[range.clone()] {
                let stored = StoredChunk::pack(chunk, compression).unwrap();
                planes += stored.planes.iter().map(|plane| plane.bytes.len()).sum::<usize>();
                writer.write_stored(&stored).unwrap();
            }
            whole += writer.finish().unwrap().0.len();
        }
        let share = 100.0 * (whole - planes) as f64 / whole as f64;
        println!("| {name} | {whole} | {planes} | {share:.1} % |");
    }
}

/// Packing, unpacking and checksums.
fn operations(chunks: &[Chunk], packed: usize, most: u8) {
    let mut all = Vec::new();
    let pack = speed(packed, || {
        all = chunks
            .iter()
            .map(|chunk| bits::pack_planes(&chunk.tokens.values, chunk.tokens.bits))
            .collect();
    });
    let unpack = speed(packed, || {
        for (chunk, packed) in chunks.iter().zip(&all) {
            black_box(bits::unpack_planes(packed, chunk.tokens.values.len()));
        }
    });
    let crc = speed(packed, || {
        black_box(
            all.iter()
                .map(|packed| crc32fast::hash(packed))
                .fold(0, |a, b| a ^ b),
        );
    });
    println!("| operation | MB/s of packed tokens | MB/s of tokens as u64 |");
    println!("|---|---|---|");
    let wide = 64.0 / f64::from(most);
    for (name, speed) in [("pack", pack), ("unpack", unpack)] {
        println!("| {name} | {speed:.0} | {:.0} |", speed * wide);
    }
    println!("| CRC-32 | {crc:.0} | |");
}

/// MB per second of something that goes through `bytes` bytes.
fn speed(bytes: usize, mut run: impl FnMut()) -> f64 {
    let started = Instant::now();
    let mut best = f64::INFINITY;
    let mut runs = 0;
    while runs < 3 || (started.elapsed().as_secs_f64() < SECONDS && runs < 1000) {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_secs_f64());
        runs += 1;
    }
    bytes as f64 / best / 1e6
}
