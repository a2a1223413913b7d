//! Changes to frames on their way in: an end, another rate, another size, a part of the picture.

mod crop;
mod resize;
mod time;

use crate::error::MediaError;
use crate::video::FrameSource;
use latentbit_container::Rational;

pub use crop::Crop;
pub use resize::Resize;

/// What is done to frames, in the order of the fields.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Filters {
    /// Seconds of the video to take, from its first frame on.
    pub seconds: Option<f64>,
    /// Frames per second to bring the video to.
    pub rate: Option<Rational>,
    /// The size to bring pictures to.
    pub resize: Option<Resize>,
    /// The part of the picture to keep.
    pub crop: Option<Crop>,
}

impl Filters {
    /// Takes this many seconds of the video, from its first frame on.
    #[must_use]
    pub fn with_seconds(mut self, seconds: impl Into<Option<f64>>) -> Self {
        self.seconds = seconds.into();
        self
    }

    /// Gives this many frames per second.
    #[must_use]
    pub fn with_rate(mut self, rate: impl Into<Option<Rational>>) -> Self {
        self.rate = rate.into();
        self
    }

    /// Brings pictures to another size.
    #[must_use]
    pub fn with_resize(mut self, resize: impl Into<Option<Resize>>) -> Self {
        self.resize = resize.into();
        self
    }

    /// Keeps a part of each picture.
    #[must_use]
    pub fn with_crop(mut self, crop: impl Into<Option<Crop>>) -> Self {
        self.crop = crop.into();
        self
    }

    /// A source that gives the frames of `source` with these changes. `place` is its name in messages.
    ///
    /// # Errors
    /// [`MediaErrorKind::Unsupported`](crate::MediaErrorKind::Unsupported) for pictures that are smaller than the part to
    /// keep; [`MediaErrorKind::Invalid`](crate::MediaErrorKind::Invalid) for those that would get too large.
    pub fn apply(
        &self,
        place: &str,
        mut source: Box<dyn FrameSource>,
    ) -> Result<Box<dyn FrameSource>, MediaError> {
        if let Some(seconds) = self.seconds {
            source = Box::new(time::Until::new(source, seconds));
        }
        if let Some(rate) = self.rate {
            source = time::at_rate(source, rate);
        }
        if let Some(resize) = self.resize {
            source = Box::new(resize.open(place, source)?);
        }
        if let Some(crop) = self.crop {
            source = Box::new(crop.open(place, source)?);
        }
        Ok(source)
    }
}
