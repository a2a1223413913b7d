//! What is done to decoded pictures: fields become frames, pictures are turned the right way up, and filters that were
//! asked for. libavfilter does all of it.

use super::super::graph::{Graph, Shape};
use super::super::orientation::Orientation;
use super::super::{ffi, positive, to_av};
use crate::error::MediaError;
use crate::options::InputOptions;
use av::codec::packet::side_data::Type as PacketData;
use av::format::Pixel;
use av::frame::side_data::Type as FrameData;
use ffmpeg_next as av;
use latentbit_container::Rational;
use std::collections::VecDeque;

/// What comes out of a [`Chain`].
#[derive(Debug, Clone, Copy)]
pub struct Output {
    pub width: u32,
    pub height: u32,
    pub format: Pixel,
    pub aspect: Rational,
    /// Seconds per tick of frames' times.
    pub time_base: Rational,
    pub rate: Rational,
}

/// Filters between the decoder and the conversion to RGB.
pub struct Chain {
    place: String,
    turns: bool,
    deinterlaces: bool,
    /// The filters that were asked for, as ffmpeg writes them; empty if there are none.
    wanted: String,
    /// What the stream's header says of its pictures.
    orientation: Orientation,
    fields: bool,
    /// Seconds per tick of decoded frames' times.
    time_base: Rational,
    /// The shape that the graph was made for.
    shape: Option<Shape>,
    graph: Option<Graph>,
    output: Option<Output>,
    ready: VecDeque<av::frame::Video>,
    changes: u64,
    /// When the first frame is shown.
    first_time: Option<i64>,
}

const SQUARE: Rational = Rational { num: 1, den: 1 };

impl Chain {
    /// For frames of this stream.
    pub fn new(
        place: &str,
        stream: &av::format::stream::Stream<'_>,
        options: &InputOptions,
        still: bool,
    ) -> Self {
        let matrix = stream
            .side_data()
            .find(|data| data.kind() == PacketData::DisplayMatrix);
        Self {
            place: place.to_owned(),
            turns: options.autorotate,
            deinterlaces: options.deinterlace,
            wanted: options.filters.to_graph(still),
            orientation: matrix.map_or(Orientation::Upright, |data| Orientation::of_matrix(data.data())),
            fields: ffi::has_fields(&stream.parameters()),
            time_base: positive(stream.time_base()).unwrap_or(SQUARE),
            shape: None,
            graph: None,
            output: None,
            ready: VecDeque::new(),
            changes: 0,
            first_time: None,
        }
    }

    /// Makes the filters for the first frame, in a video with this rate.
    ///
    /// # Errors
    /// Filters that libavfilter does not take.
    pub fn begin(
        &mut self,
        input: &mut av::format::context::Input,
        stream: usize,
        frame: &mut av::frame::Video,
        rate: Rational,
    ) -> Result<(), MediaError> {
        if let Some(found) = orientation_of(frame) {
            self.orientation = found;
        }
        match self.orientation {
            Orientation::Moved(filters) if self.turns => {
                tracing::debug!("{}: pictures are turned as the file says: {filters}", self.place);
            }
            Orientation::Other if self.turns => tracing::warn!(
                "{}: it asks for an angle that is not a multiple of 90 degrees; pictures stay as they are coded",
                self.place
            ),
            _ => {}
        }
        self.fields |= frame.is_interlaced();
        if self.fields && self.deinterlaces {
            tracing::warn!(
                "{}: the video is interlaced; it is deinterlaced by bwdif, one frame for each of its frames \
                 (--no-deinterlace leaves it)",
                self.place
            );
        }
        self.make(&shape_of(input, stream, frame, self.time_base, rate))
    }

    /// What comes out.
    pub fn output(&self) -> Output {
        self.output.unwrap_or(Output {
            width: 0,
            height: 0,
            format: Pixel::None,
            aspect: SQUARE,
            time_base: self.time_base,
            rate: Rational { num: 25, den: 1 },
        })
    }

    /// Width and height of pictures the right way up, before the filters that were asked for.
    pub fn upright_size(&self) -> (u32, u32) {
        let (width, height) = self.shape.map_or((0, 0), |shape| (shape.width, shape.height));
        match self.orientation {
            Orientation::Moved(filters) if self.turns && filters.starts_with("transpose") => (height, width),
            _ => (width, height),
        }
    }

    /// Whether filters were asked for.
    pub fn is_asked_for(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Whether pictures are interlaced and stay so.
    pub const fn keeps_fields(&self) -> bool {
        self.fields && !self.deinterlaces
    }

    fn make(&mut self, shape: &Shape) -> Result<(), MediaError> {
        let mut filters = Vec::new();
        if self.fields && self.deinterlaces {
            filters.push("bwdif=mode=send_frame:parity=auto:deint=interlaced".to_owned());
        }
        if let (true, Orientation::Moved(moves)) = (self.turns, self.orientation) {
            filters.push(moves.to_owned());
        }
        if !self.wanted.is_empty() {
            filters.push(self.wanted.clone());
        }
        let make = |filters: &[String]| match filters.is_empty() {
            true => Ok(None),
            false => Graph::new(
                &self.place,
                shape,
                &filters.join(","),
                "--vf, --scale, --crop, --fps",
            )
            .map(Some),
        };
        let mut graph = make(&filters)?;
        let size = |graph: &Option<Graph>| match graph {
            Some(graph) => graph.size(),
            None => (shape.width.into(), shape.height.into()),
        };
        match self.output {
            // Whatever comes later gets the size of what came first.
            Some(first) if size(&graph) != (first.width.into(), first.height.into()) => {
                filters.push(format!(
                    "scale={}:{}:flags=bicubic+accurate_rnd+full_chroma_int",
                    first.width, first.height
                ));
                graph = make(&filters)?;
            }
            Some(_) => {}
            None => {
                let (width, height) = size(&graph);
                let side = |side| u32::try_from(side).unwrap_or(u32::MAX);
                let known = |rate: Rational| if rate.num > 0 { rate } else { SQUARE };
                let filtered = graph.as_ref().filter(|_| !self.wanted.is_empty());
                self.output = Some(Output {
                    width: side(width),
                    height: side(height),
                    format: graph.as_ref().map_or(shape.format, Graph::format),
                    aspect: match &graph {
                        Some(graph) => graph.aspect().unwrap_or(SQUARE),
                        None => known(shape.aspect),
                    },
                    time_base: filtered.and_then(Graph::time_base).unwrap_or(self.time_base),
                    rate: filtered.and_then(Graph::rate).unwrap_or(shape.rate),
                });
            }
        }
        self.graph = graph;
        self.shape = Some(*shape);
        Ok(())
    }

    /// Passes a decoded frame in, whose time is in ticks of its stream.
    ///
    /// # Errors
    /// What the filters say.
    pub fn push(
        &mut self,
        input: &mut av::format::context::Input,
        stream: usize,
        frame: &mut av::frame::Video,
    ) -> Result<(), MediaError> {
        let Some(made_for) = self.shape else {
            return Ok(());
        };
        let time = frame.pts().unwrap_or(0);
        let first = *self.first_time.get_or_insert(time);
        let shape = shape_of(input, stream, frame, self.time_base, made_for.rate);
        let resized = (shape.width, shape.height) != (made_for.width, made_for.height);
        let new_fields = !self.fields && self.deinterlaces && frame.is_interlaced();
        if resized || new_fields || (self.graph.is_some() && shape.format != made_for.format) {
            if resized {
                self.changes += 1;
            }
            if resized && self.changes == 1 {
                let output = self.output();
                tracing::warn!(
                    "{}: pictures change from {}x{} to {}x{} at {:.3} s; all are brought to {}x{}",
                    self.place,
                    made_for.width,
                    made_for.height,
                    shape.width,
                    shape.height,
                    super::seconds(time.saturating_sub(first), to_av(self.time_base)),
                    output.width,
                    output.height,
                );
            }
            self.end()?;
            while let Some(frame) = self.pull_filtered()? {
                self.ready.push_back(frame);
            }
            self.fields |= new_fields;
            self.make(&shape)?;
        }
        match &mut self.graph {
            Some(graph) => graph.push(frame),
            None => {
                self.ready.push_back(frame.clone());
                Ok(())
            }
        }
    }

    /// Says that no more frames will come.
    ///
    /// # Errors
    /// What the filters say.
    pub fn end(&mut self) -> Result<(), MediaError> {
        self.graph.as_mut().map_or(Ok(()), Graph::end)
    }

    /// The next frame, with its time in ticks of [`Output::time_base`]; none if more have to come first.
    ///
    /// # Errors
    /// What the filters say.
    pub fn pull(&mut self) -> Result<Option<av::frame::Video>, MediaError> {
        match self.ready.pop_front() {
            Some(frame) => Ok(Some(frame)),
            None => self.pull_filtered(),
        }
    }

    fn pull_filtered(&mut self) -> Result<Option<av::frame::Video>, MediaError> {
        use av::Rescale;
        let to = self.output().time_base;
        let Some(graph) = &mut self.graph else {
            return Ok(None);
        };
        let Some(mut frame) = graph.pull()? else {
            return Ok(None);
        };
        if let Some(from) = graph.time_base() {
            let time = frame.pts().map(|time| time.rescale(to_av(from), to_av(to)));
            frame.set_pts(time);
        }
        Ok(Some(frame))
    }

    /// How long a frame is shown, in ticks of [`Output::time_base`], if that is known.
    pub fn duration(&self, frame: &av::frame::Video) -> Option<u64> {
        match self.wanted.is_empty() {
            true => u64::try_from(ffi::frame_duration(frame))
                .ok()
                .filter(|ticks| *ticks > 0),
            false => None,
        }
    }
}

fn shape_of(
    input: &mut av::format::context::Input,
    stream: usize,
    frame: &mut av::frame::Video,
    time_base: Rational,
    rate: Rational,
) -> Shape {
    let aspect = ffi::pixel_aspect(input, stream, frame).and_then(positive);
    Shape {
        width: frame.width(),
        height: frame.height(),
        format: frame.format(),
        aspect: aspect.unwrap_or(Rational { num: 0, den: 1 }),
        time_base,
        rate,
    }
}

/// What a picture itself says of its orientation, as those of cameras do.
fn orientation_of(frame: &av::frame::Video) -> Option<Orientation> {
    if let Some(matrix) = frame.side_data(FrameData::DisplayMatrix) {
        return Some(Orientation::of_matrix(matrix.data()));
    }
    let metadata = frame.metadata();
    let value = metadata.get("Orientation")?.trim().parse().ok()?;
    Some(Orientation::of_exif(value))
}
