//! Changes to frames on their way in: an end, another rate, another size, a part of the picture.

mod crop;
mod resize;
mod time;

use crate::error::{MediaError, MediaErrorKind};
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
    /// A filter graph of libavfilter with one input and one output, as ffmpeg's option `-vf` has it.
    pub graph: Option<String>,
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

    /// Puts frames through a filter graph of libavfilter, as ffmpeg's option `-vf` has it.
    #[must_use]
    pub fn with_graph(mut self, graph: impl Into<Option<String>>) -> Self {
        self.graph = graph.into();
        self
    }

    /// Whether pictures or their rate are changed, and not only the end.
    pub const fn change_pictures(&self) -> bool {
        self.rate.is_some() || self.resize.is_some() || self.crop.is_some() || self.graph.is_some()
    }

    /// The filter graph that makes these changes, apart from the end, in ffmpeg's notation; empty if there are none. A
    /// `still` picture has no rate.
    pub fn to_graph(&self, still: bool) -> String {
        let rate = self.rate.filter(|_| !still);
        let parts = [
            rate.map(|Rational { num, den }| format!("fps={num}/{den}")),
            self.resize.map(|resize| resize.to_graph()),
            self.crop.map(|crop| crop.to_graph()),
            self.graph.clone(),
        ];
        parts.into_iter().flatten().collect::<Vec<String>>().join(",")
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
        if self.graph.is_some() {
            return Err(MediaError::new(
                MediaErrorKind::Unsupported,
                place,
                "--vf needs a build with libav, and an input that libav reads",
            ));
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graphs() {
        let filters = Filters::default()
            .with_rate(Rational {
                num: 30000,
                den: 1001,
            })
            .with_resize("640:-1".parse::<Resize>().ok())
            .with_crop("100:50:2:4".parse::<Crop>().ok())
            .with_graph("hue=s=0".to_owned());
        assert_eq!(
            filters.to_graph(false),
            "fps=30000/1001,scale=640:-1,crop=100:50:2:4:exact=1,hue=s=0"
        );
        assert_eq!(
            filters.to_graph(true),
            "scale=640:-1,crop=100:50:2:4:exact=1,hue=s=0"
        );
        assert_eq!(Filters::default().with_seconds(2.0).to_graph(false), "");
        let short = Filters::default().with_resize(Resize::Short(256));
        assert_eq!(
            short.to_graph(false),
            "scale=w='if(gt(iw,ih),-1,256)':h='if(gt(iw,ih),256,-1)'"
        );
    }
}
