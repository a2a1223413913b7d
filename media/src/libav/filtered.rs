//! Filters between the codec and an output.

use super::graph::{Graph, Shape};
use super::read::Pictures;
use super::{init, to_av};
use crate::background::PushSink;
use crate::color::{Converter, code, split_planes, split_planes_mut};
use crate::error::{MediaError, MediaErrorKind};
use crate::options::OutputOptions;
use crate::pixel::PixelLayout;
use crate::video::{FrameSink, check_size};
use ffmpeg_next as av;
use latentbit_codec::Frame;
use latentbit_container::{Chroma, Color, ColorRange, Packet, Rational, rescale};

/// A sink behind a filter graph.
pub struct FilteredSink {
    place: String,
    /// None once it is finished.
    inner: Option<Box<dyn FrameSink>>,
    graph: Graph,
    format: av::format::Pixel,
    layout: PixelLayout,
    size: (usize, usize),
    to_planes: Converter,
    to_rgb: Pictures,
    buffer: Vec<u8>,
    /// Seconds per tick of the times that come, and of those that go.
    time_bases: (Rational, Rational),
    /// When the last frame ends, in ticks of those that go.
    end: Option<i64>,
}

impl FilteredSink {
    /// For frames as `options` describe them, with their filters. `open` opens the sink behind these.
    ///
    /// # Errors
    /// [`MediaErrorKind::Usage`] for a graph that libavfilter does not take; those of `open`.
    pub fn new(
        place: &str,
        options: &OutputOptions,
        open: impl FnOnce(&OutputOptions) -> Result<Box<dyn FrameSink>, MediaError>,
    ) -> Result<Self, MediaError> {
        init();
        let info = &options.info;
        // As the source had its samples, so that the same graph does the same to them; but with all of their chroma, which
        // what comes behind the graph may halve, and should halve once.
        let chroma = match info.chroma {
            Chroma::C420 | Chroma::C422 => Chroma::C444,
            whole => whole,
        };
        let layout = PixelLayout::planar(chroma, info.bit_depth.clamp(8, 16));
        let names = [
            layout.ffmpeg_name(),
            PixelLayout { depth: 16, ..layout }.ffmpeg_name(),
        ];
        let Some((format, layout)) = names.iter().find_map(|name| {
            let format: av::format::Pixel = name.parse().ok()?;
            Some((format, PixelLayout::from_ffmpeg_name(name)?))
        }) else {
            let message = format!("libav has no pixel format {}", names[0]);
            return Err(MediaError::new(MediaErrorKind::Unsupported, place, message));
        };
        let rate = options.constant_rate();
        let shape = Shape {
            width: info.width,
            height: info.height,
            format,
            aspect: info.pixel_aspect,
            time_base: options.time_base,
            rate,
        };
        let graph = Graph::new(
            place,
            &shape,
            &options
                .filters
                .to_graph(info.kind == crate::video::MediaKind::StillImage),
            "--vf, --scale, --crop, --fps",
        )?;
        let (width, height) = graph.size();
        check_size(place, width, height)?;
        let mut made = options.clone();
        made.filters = crate::filters::Filters::default();
        (made.info.width, made.info.height) = (width as u32, height as u32);
        made.info.pixel_aspect = graph.aspect().unwrap_or(info.pixel_aspect);
        made.time_base = graph.time_base().unwrap_or(options.time_base);
        let new_rate = graph.rate().unwrap_or(rate);
        if new_rate != rate {
            made.info.frame_rate = new_rate;
        }
        let frame = Rational {
            num: new_rate.den,
            den: new_rate.num.max(1),
        };
        made.frame_duration = u32::try_from(rescale(1, frame, made.time_base))
            .unwrap_or(1)
            .max(1);
        let color = Color {
            range: match info.chroma {
                Chroma::Rgb => ColorRange::Full,
                _ => info.color.range,
            },
            matrix: match info.chroma {
                Chroma::Rgb => code::MATRIX_RGB,
                _ => info.color.matrix,
            },
            ..info.color
        };
        let size = (info.width as usize, info.height as usize);
        let to_planes = Converter::new(size.0, size.1, layout, &color, info.chroma_location);
        let to_rgb = Pictures::new(
            place,
            (width as u32, height as u32),
            color,
            info.chroma_location,
            [0.0; 3],
        );
        let time_bases = (options.time_base, made.time_base);
        Ok(Self {
            place: place.to_owned(),
            inner: Some(open(&made)?),
            graph,
            format,
            layout,
            size,
            to_planes,
            to_rgb,
            buffer: vec![0; layout.frame_bytes(size.0, size.1)],
            time_bases,
            end: None,
        })
    }

    /// Passes on what has come through the graph.
    fn pass_on(&mut self) -> Result<(), MediaError> {
        use av::Rescale;
        while let Some(frame) = self.graph.pull()? {
            let from = self.graph.time_base().unwrap_or(self.time_bases.1);
            let time = frame
                .pts()
                .unwrap_or(0)
                .rescale(to_av(from), to_av(self.time_bases.1));
            let picture = self.to_rgb.convert(&frame)?;
            if let Some(inner) = &mut self.inner {
                inner.write_frame(picture, time)?;
            }
        }
        Ok(())
    }
}

impl PushSink for FilteredSink {
    fn push(&mut self, frame: &Frame, time: i64) -> Result<(), MediaError> {
        let (w, h) = self.size;
        self.to_planes
            .rgb_to_planes(frame, &mut split_planes_mut(&self.layout, w, h, &mut self.buffer));
        let mut picture = av::frame::Video::new(self.format, w as u32, h as u32);
        if picture.planes() < self.layout.plane_count() {
            return Err(MediaError::new(
                MediaErrorKind::Io,
                &self.place,
                "there is no memory for a frame",
            ));
        }
        super::fill(&mut picture, &split_planes(&self.layout, w, h, &self.buffer));
        picture.set_pts(Some(time));
        self.graph.push(&picture)?;
        self.pass_on()
    }

    fn push_packet(&mut self, stream: usize, packet: &Packet) -> Result<(), MediaError> {
        match &mut self.inner {
            Some(inner) => inner.write_packet(stream, packet.clone()),
            None => Ok(()),
        }
    }

    fn end_at(&mut self, time: i64) {
        self.end = Some(rescale(time, self.time_bases.0, self.time_bases.1));
    }

    fn finish(&mut self) -> Result<(), MediaError> {
        self.graph.end()?;
        self.pass_on()?;
        let Some(mut inner) = self.inner.take() else {
            return Ok(());
        };
        if let Some(end) = self.end {
            inner.end_at(end)?;
        }
        inner.finish()
    }
}
