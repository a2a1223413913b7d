//! Raw video with filters between its samples and RGB, as ffmpeg has it with `-f rawvideo`.

use super::fill;
use super::graph::{Graph, Shape};
use super::init;
use super::read::{Pictures, is_rgb, layout_of};
use crate::background::{PullSource, starts_after_end};
use crate::color::code;
use crate::error::{MediaError, MediaErrorKind};
use crate::options::InputOptions;
use crate::raw::RawReader;
use crate::start::{SLACK, Start, frames_after};
use crate::video::{Extras, VideoInfo, check_size};
use ffmpeg_next as av;
use latentbit_codec::Frame;
use latentbit_container::{ColorRange, Rational};

/// Raw video that goes through a filter graph.
pub struct FilteredRaw {
    place: String,
    reader: RawReader,
    graph: Graph,
    format: av::format::Pixel,
    pictures: Pictures,
    info: VideoInfo,
    start: Option<Start>,
    /// Frames that the graph may get.
    left: u64,
    /// Frames that it got.
    pushed: i64,
    /// When the first frame that came out is shown, and the last one, in ticks.
    times: Option<(i64, i64)>,
}

impl FilteredRaw {
    /// `reader` behind the filters of `options`, which also say where to begin and how many seconds to take.
    ///
    /// # Errors
    /// [`MediaErrorKind::Usage`] for a graph that libavfilter does not take, [`MediaErrorKind::Unsupported`] for samples that it
    /// does not know.
    pub fn new(place: &str, reader: RawReader, options: &InputOptions) -> Result<Self, MediaError> {
        init();
        let raw = reader.info();
        let name = reader.layout().ffmpeg_name();
        let Ok(format) = name.parse::<av::format::Pixel>() else {
            let message = format!("libav has no pixel format {name}");
            return Err(MediaError::new(MediaErrorKind::Unsupported, place, message));
        };
        let rate = raw.frame_rate;
        let shape = Shape {
            width: raw.width,
            height: raw.height,
            format,
            aspect: raw.pixel_aspect,
            time_base: Rational {
                num: rate.den,
                den: rate.num,
            },
            rate,
        };
        let filters = options.filters.to_graph(false);
        let graph = Graph::new(place, &shape, &filters, "--vf, --scale, --crop, --fps")?;
        let (width, height) = graph.size();
        check_size(place, width, height)?;
        let (layout, _) = layout_of(graph.format());
        let mut color = raw.color;
        if is_rgb(&layout) {
            (color.matrix, color.range) = (code::MATRIX_RGB, ColorRange::Full);
        } else if color.matrix == code::MATRIX_RGB {
            (color.matrix, color.range) = (code::UNSPECIFIED, ColorRange::Unspecified);
        }
        let of = |rate: Rational| f64::from(rate.num) / f64::from(rate.den.max(1));
        let new_rate = graph.rate().unwrap_or(rate);
        let most = options.filters.seconds.map(|end| (end - SLACK) * of(rate));
        let left = most.map_or(u64::MAX, |frames| frames.max(0.0).ceil() as u64);
        let count = frames_after(options.start, raw.frame_count, rate).map(|count| count.min(left));
        let info = VideoInfo {
            width: width as u32,
            height: height as u32,
            frame_rate: new_rate,
            time_base: graph.time_base(),
            pixel_aspect: graph.aspect().unwrap_or(raw.pixel_aspect),
            color,
            chroma: layout.chroma(),
            bit_depth: layout.depth,
            frame_count: count.map(|count| (count as f64 * of(new_rate) / of(rate)).round() as u64),
            ..raw.clone()
        };
        let size = (info.width, info.height);
        let pictures = Pictures::new(place, size, color, raw.chroma_location, options.background);
        Ok(Self {
            place: place.to_owned(),
            reader,
            graph,
            format,
            pictures,
            info,
            start: options.start,
            left,
            pushed: 0,
            times: None,
        })
    }

    /// Goes to the start, which counts in the frames that are read.
    fn begin(&mut self) -> Result<(), MediaError> {
        let Some(start) = self.start.take() else {
            return Ok(());
        };
        let wanted = start.frames_at(self.reader.info().frame_rate);
        let there = self.reader.skip(wanted)?;
        match there < wanted {
            true => Err(starts_after_end(&self.place, there)),
            false => Ok(()),
        }
    }

    /// Passes the next frame into the graph, or says that there is none.
    fn push(&mut self) -> Result<(), MediaError> {
        let (width, height) = (self.reader.info().width, self.reader.info().height);
        let samples = match self.left {
            0 => None,
            _ => self.reader.samples()?,
        };
        let Some(planes) = samples else {
            return self.graph.end();
        };
        let mut frame = av::frame::Video::new(self.format, width, height);
        if frame.planes() < planes.len() {
            let message = "there is no memory for a frame";
            return Err(MediaError::new(MediaErrorKind::Io, &self.place, message));
        }
        fill(&mut frame, &planes);
        frame.set_pts(Some(self.pushed));
        self.pushed += 1;
        self.left -= 1;
        self.graph.push(&frame)
    }
}

impl PullSource for FilteredRaw {
    fn info(&self) -> &VideoInfo {
        &self.info
    }

    fn skip(&mut self, count: u64) -> Result<u64, MediaError> {
        for done in 0..count {
            if self.pull()?.is_none() {
                return Ok(done);
            }
        }
        Ok(count)
    }

    fn pull(&mut self) -> Result<Option<Frame>, MediaError> {
        self.begin()?;
        loop {
            if let Some(frame) = self.graph.pull()? {
                if let Some(time) = frame.pts() {
                    let (first, _) = self.times.unwrap_or((time, time));
                    self.times = Some((first, time));
                }
                return self.pictures.convert(&frame).map(Some);
            }
            if self.graph.has_ended() {
                return Ok(None);
            }
            self.push()?;
        }
    }

    fn extras(&mut self) -> Extras {
        let shown = self.times.map(|(first, last)| last.saturating_sub(first));
        Extras {
            time: shown.filter(|_| self.info.time_base.is_some()),
            ..Extras::default()
        }
    }
}
