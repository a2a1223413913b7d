//! Reads the frames of a video and writes them into another file: `copy IN OUT`, where a name may be `-` for a pipe.

use latentbit_media::{InputOptions, MediaError, OutputOptions, open_sink, open_source};

/// Copies the frames of a video, and says how many there were.
fn copy(from: &str, to: &str) -> Result<u64, MediaError> {
    let mut source = open_source(from, &InputOptions::default())?;
    let mut options = OutputOptions::new(source.info().clone());
    if let Some(time_base) = source.info().time_base {
        options.time_base = time_base;
    }
    let mut sink = open_sink(to, &options)?;
    let mut count = 0;
    while let Some(frame) = source.next_frame()? {
        // A source without times gives its frames at a constant rate, one tick each.
        let time = source.take_extras().time.unwrap_or(count);
        sink.write_frame(frame, time)?;
        count += 1;
    }
    // Until here there is no file under the name.
    sink.finish()?;
    Ok(count as u64)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let [from, to] = names.as_slice() else {
        return Err("usage: copy IN OUT".into());
    };
    eprintln!("{} frames", copy(from, to)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_y4m_comes_out_as_it_went_in() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let mut bytes = b"YUV4MPEG2 W4 H2 F30000:1001 Ip A1:1 Cmono XCOLORRANGE=LIMITED\n".to_vec();
        for frame in 0..3u8 {
            bytes.extend_from_slice(b"FRAME\n");
            bytes.extend((0..8).map(|sample| 16 + 20 * frame + sample));
        }
        std::fs::write(at("in.y4m"), &bytes).unwrap();
        assert_eq!(copy(&at("in.y4m"), &at("out.y4m")).unwrap(), 3);
        assert_eq!(std::fs::read(at("out.y4m")).unwrap(), bytes);
    }
}
