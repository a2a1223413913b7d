//! Pictures as they go into the codec and come out of it.

use crate::error::{Error, Result};

/// One picture: RGB interleaved, row by row from the top, f32 in 0…1.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// `width * height * 3` values.
    pub data: Vec<f32>,
}

impl Frame {
    /// Checks that the frame is `width` by `height` pixels and holds as many values.
    ///
    /// # Errors
    /// [`Error::Shape`] if not.
    pub fn check_size(&self, width: usize, height: usize) -> Result<()> {
        if (self.width, self.height) == (width, height) && self.data.len() == width * height * 3 {
            return Ok(());
        }
        let found = [self.height, self.width, self.data.len()];
        let expected = format!("[{height}, {width}] with {} values", width * height * 3);
        Err(Error::shape("frame", &found, expected))
    }
}
