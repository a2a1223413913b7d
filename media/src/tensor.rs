//! Frames as a tensor for other programs: safetensors with `frames` [1, 3, T, H, W], -1 to 1.

use super::VideoInfo;
use super::background::PushSink;
use super::error::{MediaError, MediaErrorKind};
use super::types::{Frame, Packet};
use crate::latents::{FRAMES, TensorWriter};

/// Writes frames of any number.
pub struct TensorSink {
    place: String,
    /// Gone when it is finished.
    writer: Option<TensorWriter>,
    values: Vec<f32>,
}

impl TensorSink {
    pub fn new(path: &str, info: &VideoInfo) -> Result<Self, MediaError> {
        let size = [info.height as usize, info.width as usize];
        let writer = TensorWriter::new(path, FRAMES, 3, size).map_err(|error| as_media(path, error))?;
        Ok(Self {
            place: path.to_owned(),
            writer: Some(writer),
            values: Vec::new(),
        })
    }
}

/// The error itself if it is one of media, which is all that writing gives.
fn as_media(place: &str, error: anyhow::Error) -> MediaError {
    error
        .downcast()
        .unwrap_or_else(|error| MediaError::new(MediaErrorKind::Io, place, format!("{error:#}")))
}

impl PushSink for TensorSink {
    fn push(&mut self, frame: &Frame, _time: i64) -> Result<(), MediaError> {
        self.values.clear();
        self.values
            .extend(frame.data.iter().map(|value| value * 2.0 - 1.0));
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        writer
            .push(&self.values)
            .map_err(|error| as_media(&self.place, error))
    }

    fn push_packet(&mut self, _stream: usize, _packet: &Packet) -> Result<(), MediaError> {
        Ok(())
    }

    fn finish(&mut self) -> Result<(), MediaError> {
        match self.writer.take() {
            Some(writer) => writer.finish(None).map_err(|error| as_media(&self.place, error)),
            None => Ok(()),
        }
    }
}
