//! Filter graphs of libavfilter: what happens to frames between decoder and codec, or between codec and encoder.

use super::ffi::{self, GraphOutput};
use super::{error, positive};
use crate::error::{MediaError, MediaErrorKind};
use ffmpeg_next as av;
use latentbit_container::Rational;

/// What frames are before a graph.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    pub width: u32,
    pub height: u32,
    pub format: av::format::Pixel,
    pub aspect: Rational,
    /// Seconds per tick of their times.
    pub time_base: Rational,
    pub rate: Rational,
}

/// A chain of filters with one input and one output.
pub struct Graph {
    place: String,
    graph: av::filter::Graph,
    output: GraphOutput,
    /// Whether the end was passed on, and whether it came out.
    ended: bool,
    drained: bool,
}

impl Graph {
    /// A graph for frames of this shape, in ffmpeg's notation; `what` names the option that it comes from, in messages.
    ///
    /// # Errors
    /// [`MediaErrorKind::Usage`] for a graph that libavfilter does not take.
    pub fn new(place: &str, shape: &Shape, filters: &str, what: &str) -> Result<Self, MediaError> {
        let wrong = |e: av::Error| {
            MediaError::new(
                MediaErrorKind::Usage,
                place,
                format!("libavfilter does not take '{filters}' ({what}): {e}; see ffmpeg -filters"),
            )
        };
        if filters.contains('\0') {
            return Err(wrong(av::Error::InvalidData));
        }
        let (Some(source), Some(sink)) = (av::filter::find("buffer"), av::filter::find("buffersink")) else {
            return Err(wrong(av::Error::FilterNotFound));
        };
        let mut graph = av::filter::Graph::new();
        let format = shape.format.descriptor().map_or("none", |d| d.name());
        let Rational { num, den } = shape.rate;
        let rate = match i32::try_from(num).is_ok() && i32::try_from(den).is_ok() && num > 0 {
            true => format!(":frame_rate={num}/{den}"),
            false => String::new(),
        };
        let arguments = format!(
            "video_size={}x{}:pix_fmt={format}:time_base={}/{}:pixel_aspect={}/{}{rate}",
            shape.width,
            shape.height,
            shape.time_base.num,
            shape.time_base.den,
            shape.aspect.num,
            shape.aspect.den.max(1),
        );
        graph.add(&source, "in", &arguments).map_err(wrong)?;
        graph.add(&sink, "out", "").map_err(wrong)?;
        graph
            .output("in", 0)
            .and_then(|parser| parser.input("out", 0))
            .and_then(|parser| parser.parse(filters))
            .map_err(wrong)?;
        graph.validate().map_err(wrong)?;
        let sink = graph.get("out").ok_or_else(|| wrong(av::Error::FilterNotFound))?;
        let output = ffi::graph_output(&sink);
        Ok(Self {
            place: place.to_owned(),
            graph,
            output,
            ended: false,
            drained: false,
        })
    }

    /// Size of the frames that come out.
    pub fn size(&self) -> (u64, u64) {
        let side = |side| u64::try_from(side).unwrap_or(0);
        (side(self.output.width), side(self.output.height))
    }

    /// Pixel format of the frames that come out.
    pub fn format(&self) -> av::format::Pixel {
        ffi::pixel_format(self.output.format)
    }

    /// Aspect of the pixels that come out; none if it is not known.
    pub fn aspect(&self) -> Option<Rational> {
        positive(self.output.aspect)
    }

    /// Frames per second that come out; none if that is not known.
    pub fn rate(&self) -> Option<Rational> {
        positive(self.output.rate)
    }

    /// Seconds per tick of the times that come out.
    pub fn time_base(&self) -> Option<Rational> {
        positive(self.output.time_base)
    }

    /// Passes a frame in.
    ///
    /// # Errors
    /// What the filters say.
    pub fn push(&mut self, frame: &av::frame::Video) -> Result<(), MediaError> {
        let mut source = self.context("in")?;
        // A graph that has seen enough, by `trim` say, takes no more.
        match source.source().add(frame) {
            Ok(()) | Err(av::Error::Eof) => Ok(()),
            Err(e) => Err(error(&self.place, "filter", e)),
        }
    }

    /// Says that no more frames will come.
    ///
    /// # Errors
    /// What the filters say.
    pub fn end(&mut self) -> Result<(), MediaError> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        let mut source = self.context("in")?;
        match source.source().flush() {
            Ok(()) | Err(av::Error::Eof) => Ok(()),
            Err(e) => Err(error(&self.place, "filter", e)),
        }
    }

    /// The next frame that is ready; none if the graph waits for more, or has come to its end.
    ///
    /// # Errors
    /// What the filters say.
    pub fn pull(&mut self) -> Result<Option<av::frame::Video>, MediaError> {
        let mut frame = av::frame::Video::empty();
        let mut sink = self.context("out")?;
        match sink.sink().frame(&mut frame) {
            Ok(()) => Ok(Some(frame)),
            Err(av::Error::Eof) => {
                (self.ended, self.drained) = (true, true);
                Ok(None)
            }
            Err(av::Error::Other {
                errno: av::error::EAGAIN,
            }) => Ok(None),
            Err(e) => Err(error(&self.place, "filter", e)),
        }
    }

    /// Whether its last frame has come out.
    pub const fn has_ended(&self) -> bool {
        self.drained
    }

    fn context(&mut self, name: &str) -> Result<av::filter::Context, MediaError> {
        let found = self.graph.get(name);
        found.ok_or_else(|| error(&self.place, "filter", av::Error::FilterNotFound))
    }
}
