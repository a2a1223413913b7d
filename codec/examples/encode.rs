//! Frames to a `.lbit` file, with the model that is built in: `cargo run --example encode -- out.lbit`

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::Arc;

use latentbit_codec::{Bundle, Device, Dtype, Frame, pipeline};
use latentbit_container::{Header, Rational, Writer, WriterOptions};

const WIDTH: usize = 64;
const HEIGHT: usize = 48;

/// A bright square that moves over a dark ramp. Values are 0 to 1, R, G and B side by side.
fn frame(index: usize) -> Frame {
    let mut data = Vec::with_capacity(WIDTH * HEIGHT * 3);
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            let inside = (x.wrapping_sub(2 * index) % WIDTH) < 16 && (16..32).contains(&y);
            let ramp = 0.3 * x as f32 / WIDTH as f32;
            data.extend(if inside {
                [0.9, 0.7, 0.2]
            } else {
                [ramp, ramp, 0.3]
            });
        }
    }
    Frame {
        width: WIDTH,
        height: HEIGHT,
        data,
    }
}

/// Writes 30 frames, and gives the bytes of the file.
fn encode(out: impl Write) -> Result<u64, Box<dyn Error>> {
    let bundle = Arc::new(Bundle::embedded(&Device::Cpu, Dtype::auto()?)?);
    let stream = pipeline::video_stream_for(&bundle, WIDTH as u32, HEIGHT as u32)?
        .with_constant_rate(Rational { num: 25, den: 1 });
    let (mut input, chunks) = pipeline::encoder(&bundle, &stream, &pipeline::Options::default())?;
    let mut writer = Writer::new(out, &Header::from(stream.clone()), WriterOptions::default())?;
    // Frames are pushed by one thread and chunks are taken by another, so that neither waits for the other for ever.
    std::thread::scope(|scope| {
        scope.spawn(move || -> Result<(), latentbit_codec::Error> {
            for index in 0..30 {
                input.push(&frame(index))?;
            }
            input.flush()
        });
        for chunk in chunks {
            writer.write_chunk(&chunk?)?;
        }
        let (_, summary) = writer.finish()?;
        Ok(summary.bytes)
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "out.lbit".to_owned());
    let bytes = encode(BufWriter::new(File::create(&path)?))?;
    println!("{path}: {bytes} bytes");
    Ok(())
}

#[test]
fn the_file_holds_all_frames() {
    let mut file = Vec::new();
    let bytes = encode(&mut file).expect("it encodes");
    assert_eq!(bytes, file.len() as u64);
    let mut reader = latentbit_container::Reader::new(&file[..], Default::default()).expect("a file");
    let mut frames = 0;
    while let Some(chunk) = reader.next_chunk().expect("no damage") {
        frames += chunk.frame_count.0;
    }
    assert_eq!(frames, 30);
}
