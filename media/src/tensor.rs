//! Frames and latents as tensors for other programs: safetensors with one tensor [1, C, T, H, W], whose T is only known
//! at the end.

use crate::name::path_of;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde_json::json;

use crate::atomic::Target;
use crate::background::PushSink;
use crate::error::MediaError;
use crate::video::VideoInfo;
use latentbit_codec::Frame;
use latentbit_container::Packet;

/// The name of a tensor of frames, whose values are -1 to 1.
pub const FRAMES: &str = "frames";

/// Writes frames of any number.
pub struct TensorSink {
    /// Gone when it is finished.
    writer: Option<TensorWriter>,
    values: Vec<f32>,
}

impl TensorSink {
    pub fn new(path: &str, info: &VideoInfo) -> Result<Self, MediaError> {
        let size = [info.height as usize, info.width as usize];
        Ok(Self {
            writer: Some(TensorWriter::new(path, FRAMES, 3, size)?),
            values: Vec::new(),
        })
    }
}

impl PushSink for TensorSink {
    fn push(&mut self, frame: &Frame, _time: i64) -> Result<(), MediaError> {
        self.values.clear();
        self.values
            .extend(frame.data.iter().map(|value| value * 2.0 - 1.0));
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        writer.push(&self.values)
    }

    fn push_packet(&mut self, _stream: usize, _packet: &Packet) -> Result<(), MediaError> {
        Ok(())
    }

    fn finish(&mut self) -> Result<(), MediaError> {
        match self.writer.take() {
            Some(writer) => writer.finish(None, false).map(drop),
            None => Ok(()),
        }
    }
}

/// Values that are copied at once.
const BLOCK: usize = 1 << 16;

/// A file of safetensors with one tensor of f32. Frames wait in a temporary file beside it, so that memory does not
/// grow with their number.
pub struct TensorWriter {
    output: String,
    key: &'static str,
    waiting: BufWriter<File>,
    channels: usize,
    height: usize,
    width: usize,
    frames: u64,
    planes: Vec<f32>,
}

impl TensorWriter {
    /// A file, or stdout for `-`; `key` is the tensor's name.
    pub fn new(
        output: &str,
        key: &'static str,
        channels: usize,
        [height, width]: [usize; 2],
    ) -> Result<Self, MediaError> {
        let path = path_of(output);
        let folder = path.parent().filter(|_| output != "-");
        let folder = match folder {
            Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
            Some(folder) => folder,
            None => &std::env::temp_dir(),
        };
        let waiting =
            tempfile::tempfile_in(folder).map_err(|error| MediaError::io(output, "write", error))?;
        Ok(Self {
            output: output.to_owned(),
            key,
            waiting: BufWriter::new(waiting),
            channels,
            height,
            width,
            frames: 0,
            planes: Vec::new(),
        })
    }

    /// Takes frames (T, H, W, C).
    pub fn push(&mut self, values: &[f32]) -> Result<(), MediaError> {
        let positions = self.height * self.width;
        for frame in values.chunks_exact(positions * self.channels) {
            self.planes.clear();
            for channel in 0..self.channels {
                self.planes
                    .extend(frame.iter().skip(channel).step_by(self.channels));
            }
            for &value in &self.planes {
                self.waiting
                    .write_all(&value.to_le_bytes())
                    .map_err(|error| MediaError::io(&self.output, "write a temporary file beside", error))?;
            }
            self.frames += 1;
        }
        Ok(())
    }

    /// The sides of the tensor.
    pub fn shape(&self) -> [u64; 5] {
        [
            1,
            self.channels as u64,
            self.frames,
            self.height as u64,
            self.width as u64,
        ]
    }

    /// Writes the file; `about` goes into its metadata. `beside` has it go beside an older one, as
    /// [`Target::step_aside`] says. Gives the name of the file.
    pub fn finish(self, about: Option<(&str, String)>, beside: bool) -> Result<String, MediaError> {
        let shape = self.shape();
        let place = self.output.clone();
        let failed = |error| MediaError::io(&place, "write", error);
        let mut waiting = self
            .waiting
            .into_inner()
            .map_err(|error| failed(error.into_error()))?;
        let plane = (self.height * self.width * 4) as u64;
        let bytes = plane * self.channels as u64 * self.frames;
        let mut header = json!({ self.key: { "dtype": "F32", "shape": shape, "data_offsets": [0, bytes] } });
        if let Some((key, value)) = about {
            header["__metadata__"] = json!({ key: value });
        }
        let mut header = header.to_string();
        // Numbers begin at a multiple of eight bytes.
        header.push_str(&" ".repeat((8 - header.len() % 8) % 8));
        let (mut target, mut file) = Target::open(&self.output)?;
        if beside {
            target.step_aside();
        }
        let mut write = || -> io::Result<()> {
            file.write_all(&(header.len() as u64).to_le_bytes())?;
            file.write_all(header.as_bytes())?;
            let mut buffer = vec![0; (plane as usize).min(BLOCK * 4)];
            for channel in 0..self.channels as u64 {
                for frame in 0..self.frames {
                    waiting.seek(SeekFrom::Start((frame * self.channels as u64 + channel) * plane))?;
                    let mut left = plane as usize;
                    while left > 0 {
                        let now = left.min(buffer.len());
                        waiting.read_exact(&mut buffer[..now])?;
                        file.write_all(&buffer[..now])?;
                        left -= now;
                    }
                }
            }
            file.flush()
        };
        let place = target.place.clone();
        write().map_err(|error| MediaError::io(&place, "write", error))?;
        target.commit()?;
        Ok(place)
    }
}
