//! A `.lbit` file of the built-in model to frames: `cargo run --example decode -- in.lbit last.ppm`

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::sync::Arc;

use latentbit_codec::pipeline::{self, Coded, Options};
use latentbit_codec::{Bundle, Device, Dtype, Frame};
use latentbit_container::{Limits, Reader, Stream};

/// Calls `show` with each frame.
fn decode(file: impl Read + Send, mut show: impl FnMut(Frame)) -> Result<(), Box<dyn Error>> {
    let mut reader = Reader::new(file, Limits::default())?;
    let Some(Stream::Video(stream)) = reader.header().streams.first().cloned() else {
        return Err("the first stream is no video".into());
    };
    let bundle = Arc::new(Bundle::embedded(&Device::Cpu, Dtype::auto()?)?);
    // Refuses a file that another model made.
    let (mut input, frames) = pipeline::decoder(&bundle, &stream, &Options::default())?;
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || -> Result<(), String> {
            while let Some(chunk) = reader.next_chunk().map_err(|error| error.to_string())? {
                input
                    .push(Coded::Chunk(chunk))
                    .map_err(|error| error.to_string())?;
            }
            input.flush().map_err(|error| error.to_string())
        });
        for decoded in frames {
            show(decoded?.frame);
        }
        reading.join().map_err(|_| "reading panicked")??;
        Ok(())
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let input = arguments.next().unwrap_or_else(|| "out.lbit".to_owned());
    let output = arguments.next().unwrap_or_else(|| "last.ppm".to_owned());
    let (mut count, mut last) = (0, None);
    decode(BufReader::new(File::open(&input)?), |frame| {
        count += 1;
        last = Some(frame);
    })?;
    let last = last.ok_or("there is no frame")?;
    let mut file = File::create(&output)?;
    writeln!(file, "P6 {} {} 255", last.width, last.height)?;
    let bytes: Vec<u8> = last.data.iter().map(|v| (v * 255.0).round() as u8).collect();
    file.write_all(&bytes)?;
    println!("{count} frames; the last one is {output}");
    Ok(())
}

#[test]
fn every_frame_comes_back() {
    use latentbit_container::{Header, Writer, WriterOptions};

    let bundle = Arc::new(Bundle::embedded(&Device::Cpu, Dtype::F32).expect("it is built in"));
    let stream = pipeline::video_stream_for(&bundle, 40, 32).expect("it has a tokenizer");
    let (mut input, chunks) = pipeline::encoder(&bundle, &stream, &Options::default()).expect("it starts");
    let grey = Frame {
        width: 40,
        height: 32,
        data: vec![0.5; 40 * 32 * 3],
    };
    let pushing = std::thread::spawn(move || {
        (0..17).for_each(|_| input.push(&grey).expect("it takes frames"));
        input.flush().expect("it ends");
    });
    let header = Header::from(stream);
    let mut writer = Writer::new(Vec::new(), &header, WriterOptions::default()).expect("it writes");
    for chunk in chunks {
        writer
            .write_chunk(&chunk.expect("it encodes"))
            .expect("it writes");
    }
    pushing.join().expect("no panic");
    let (file, _) = writer.finish().expect("it writes");
    let mut frames = Vec::new();
    decode(&file[..], |frame| frames.push(frame)).expect("it decodes");
    assert_eq!(frames.len(), 17);
    for frame in frames {
        assert_eq!((frame.width, frame.height), (40, 32));
        let mean = frame.data.iter().sum::<f32>() / frame.data.len() as f32;
        assert!((mean - 0.5).abs() < 0.05, "{mean}");
    }
}
