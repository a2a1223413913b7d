//! `latentbit eval --plot`: the quality of each frame, and what it takes, as a picture.

use std::io::Write;
use std::ops::Range;

use latentbit_container::ChunkInfo;
use latentbit_media::{Frame, MediaError, Target, png, shown};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

use super::frames::Measured;
use crate::exit::usage;

/// In pixels.
const SIZE: [u32; 2] = [1280, 720];

/// The family whose letters are in the program. SVGs name it too, and are shown with what the reader has for it.
const FAMILY: &str = "sans-serif";

const RGB: RGBColor = RGBColor(31, 119, 180);
const LUMA: RGBColor = RGBColor(255, 127, 14);
const BITS: RGBColor = RGBColor(110, 110, 110);
const CONCEALED: RGBColor = RGBColor(255, 205, 205);
const AFFECTED: RGBColor = RGBColor(255, 240, 200);
const GRID: RGBColor = RGBColor(225, 225, 225);

/// So few frames get a dot each.
const MOST_DOTS: usize = 64;

/// What a plot is written as.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Png,
    Svg,
}

impl Kind {
    /// The one that a name ends in.
    fn of(path: &str) -> Option<Self> {
        let (_, ending) = path.rsplit_once('.')?;
        match ending.to_ascii_lowercase().as_str() {
            "png" => Some(Self::Png),
            "svg" => Some(Self::Svg),
            _ => None,
        }
    }
}

/// A plot in the making.
pub(super) struct Plot {
    kind: Kind,
    target: Target,
    file: Box<dyn Write + Send>,
    /// The chunks of the file, where they are listed.
    chunks: Option<Vec<ChunkInfo>>,
    frames: Vec<Dot>,
}

/// What is drawn of a frame.
struct Dot {
    frame: u64,
    psnr: f64,
    psnr_y: f64,
    /// Its share of its chunk; none if nobody knows.
    bits: Option<f64>,
    /// The color behind it, if it is not as encoded.
    behind: Option<RGBColor>,
}

impl Plot {
    /// Opens the file. The share of each frame is drawn if the `chunks` of the video are given.
    ///
    /// # Errors
    /// For a name that tells no kind of picture, and a file that cannot be written.
    pub fn open(path: &str, chunks: Option<Vec<ChunkInfo>>) -> anyhow::Result<Self> {
        let Some(kind) = Kind::of(path) else {
            return usage(format!(
                "--plot {path}: a plot is a PNG or an SVG; name it .png or .svg"
            ));
        };
        let (target, file) = Target::open(path)?;
        Ok(Self {
            kind,
            target,
            file,
            chunks,
            frames: Vec::new(),
        })
    }

    /// Takes note of a frame.
    pub fn add(&mut self, measured: &Measured<'_>) {
        let share = |chunks: &Vec<ChunkInfo>| {
            let index = measured.index?;
            let at = chunks.partition_point(|chunk| chunk.first_frame.0 <= index);
            let chunk = chunks.get(at.checked_sub(1)?)?;
            Some(chunk.stored_len as f64 * 8.0 / chunk.frame_count.0.max(1) as f64)
        };
        self.frames.push(Dot {
            frame: measured.frame,
            psnr: measured.quality.psnr,
            psnr_y: measured.quality.psnr_y,
            bits: self.chunks.as_ref().and_then(share),
            behind: match measured.fidelity_name() {
                "affected" => Some(AFFECTED),
                "concealed" => Some(CONCEALED),
                _ => None,
            },
        });
    }

    /// Draws what is known of `name`, and gives the file its name.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self, name: &str) -> anyhow::Result<()> {
        let title = shown(name);
        // An SVG needs to know how wide they are.
        register_font(FAMILY, FontStyle::Normal, dejavu::sans::regular())
            .map_err(|_| anyhow::anyhow!("the letters of plots cannot be read"))?;
        let bytes = match self.kind {
            Kind::Png => as_png(&title, &self.frames)?,
            Kind::Svg => as_svg(&title, &self.frames)?,
        };
        let written = self.file.write_all(&bytes).and_then(|()| self.file.flush());
        written.map_err(|error| MediaError::io(&self.target.place, "write", error))?;
        drop(self.file);
        Ok(self.target.commit()?)
    }
}

fn as_png(title: &str, frames: &[Dot]) -> anyhow::Result<Vec<u8>> {
    let [width, height] = SIZE.map(|side| side as usize);
    let mut pixels = vec![255; width * height * 3];
    let area = BitMapBackend::with_buffer(&mut pixels, SIZE.into()).into_drawing_area();
    draw(&area, title, frames).map_err(|error| anyhow::anyhow!("the plot: {error}"))?;
    drop(area);
    let data = pixels.iter().map(|&sample| f32::from(sample) / 255.0).collect();
    Ok(png(&Frame { width, height, data })?)
}

fn as_svg(title: &str, frames: &[Dot]) -> anyhow::Result<Vec<u8>> {
    let mut text = String::new();
    let area = SVGBackend::with_string(&mut text, SIZE.into()).into_drawing_area();
    draw(&area, title, frames).map_err(|error| anyhow::anyhow!("the plot: {error}"))?;
    drop(area);
    Ok(text.into_bytes())
}

type Drawn<B> = Result<(), DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>>;

fn draw<B: DrawingBackend>(area: &DrawingArea<B, Shift>, title: &str, frames: &[Dot]) -> Drawn<B> {
    area.fill(&WHITE)?;
    let area = area.margin(12, 12, 12, 24);
    let area = area.titled(title, (FAMILY, 24))?;
    let bits = frames.iter().any(|dot| dot.bits.is_some());
    match bits {
        true => {
            let (above, below) = area.split_vertically(430);
            quality(&above, frames)?;
            shares(&below, frames)?;
        }
        false => quality(&area, frames)?,
    }
    area.present()
}

/// The PSNR of each frame.
fn quality<B: DrawingBackend>(area: &DrawingArea<B, Shift>, frames: &[Dot]) -> Drawn<B> {
    let values = frames.iter().flat_map(|dot| [dot.psnr, dot.psnr_y]);
    let across = across(frames);
    let mut chart = ChartBuilder::on(area)
        .x_label_area_size(44)
        .y_label_area_size(84)
        .build_cartesian_2d(across.clone(), around(values))?;
    let (bottom, top) = {
        let up = chart.y_range();
        (up.start, up.end)
    };
    // Behind everything, the grid too.
    for (color, name) in [(CONCEALED, "concealed"), (AFFECTED, "affected by lost chunks")] {
        let runs = runs(frames, color);
        if runs.is_empty() {
            continue;
        }
        let drawn = runs
            .into_iter()
            .map(|run| Rectangle::new([(run.start, bottom), (run.end, top)], color.filled()));
        chart
            .draw_series(drawn)?
            .label(name)
            .legend(move |(x, y)| Rectangle::new([(x, y - 6), (x + 24, y + 6)], color.filled()));
    }
    mesh(&mut chart, "PSNR in dB", |value| format!("{value:.1}"))?;
    for (color, name, of) in [
        (RGB, "R, G and B", (|dot: &Dot| dot.psnr) as fn(&Dot) -> f64),
        (LUMA, "luma", |dot: &Dot| dot.psnr_y),
    ] {
        let points = frames.iter().map(|dot| (middle(dot), of(dot)));
        chart
            .draw_series(LineSeries::new(points.clone(), color.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], color.stroke_width(2)));
        if frames.len() <= MOST_DOTS {
            chart.draw_series(points.map(|at| Circle::new(at, 3, color.filled())))?;
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .margin(12)
        .legend_area_size(32)
        .background_style(WHITE.mix(0.85))
        .border_style(GRID)
        .label_font((FAMILY, 18))
        .draw()
}

/// The share of each frame of its chunk.
fn shares<B: DrawingBackend>(area: &DrawingArea<B, Shift>, frames: &[Dot]) -> Drawn<B> {
    let bits = |dot: &Dot| dot.bits.unwrap_or(0.0);
    let most = frames.iter().map(bits).fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .x_label_area_size(44)
        .y_label_area_size(84)
        .build_cartesian_2d(across(frames), 0.0..most * 1.1)?;
    mesh(&mut chart, "bits of a frame", thousands)?;
    let bars = frames.iter().map(|dot| {
        let start = dot.frame as f64;
        Rectangle::new([(start, 0.0), (start + 1.0, bits(dot))], BITS.filled())
    });
    chart.draw_series(bars)?;
    Ok(())
}

/// Axes and grid.
fn mesh<B: DrawingBackend>(
    chart: &mut ChartContext<'_, B, Cartesian2d<RangedCoordf64, RangedCoordf64>>,
    name: &str,
    format: impl Fn(f64) -> String,
) -> Drawn<B> {
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(BLACK)
        .label_style((FAMILY, 18))
        .axis_desc_style((FAMILY, 18))
        .x_desc("frame")
        .y_desc(name)
        .x_label_formatter(&|value| format!("{value:.0}"))
        .y_label_formatter(&|&value| format(value))
        .draw()
}

/// 12k for 12000, so that labels are short.
fn thousands(value: f64) -> String {
    match value {
        0.0..10_000.0 => format!("{value:.0}"),
        _ => format!("{:.0}k", value / 1000.0),
    }
}

/// Where a frame has its dot: its number is where it begins.
fn middle(dot: &Dot) -> f64 {
    dot.frame as f64 + 0.5
}

/// The frames from the first to the last.
fn across(frames: &[Dot]) -> Range<f64> {
    let number = |dot: Option<&Dot>| dot.map_or(0.0, |dot| dot.frame as f64);
    number(frames.first())..number(frames.last()) + 1.0
}

/// A range of at least 1 that holds all `values`, with room at both ends.
fn around(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if low > high {
        return 0.0..1.0;
    }
    let room = ((high - low) * 0.08).max(0.5);
    low - room..high + room
}

/// Where frames with this color behind them begin and end.
fn runs(frames: &[Dot], color: RGBColor) -> Vec<Range<f64>> {
    let mut runs: Vec<Range<f64>> = Vec::new();
    for dot in frames.iter().filter(|dot| dot.behind == Some(color)) {
        let start = dot.frame as f64;
        match runs.last_mut() {
            Some(last) if last.end == start => last.end = start + 1.0,
            _ => runs.push(start..start + 1.0),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(frame: u64, behind: Option<RGBColor>) -> Dot {
        Dot {
            frame,
            psnr: 30.0,
            psnr_y: 32.0,
            bits: Some(1000.0),
            behind,
        }
    }

    #[test]
    fn the_ending_says_what_is_drawn() {
        assert_eq!(Kind::of("a.PNG"), Some(Kind::Png));
        assert_eq!(Kind::of("b.c/a.svg"), Some(Kind::Svg));
        assert_eq!(Kind::of("a.jpg"), None);
        assert_eq!(Kind::of("png"), None);
    }

    #[test]
    fn lost_frames_in_a_row_are_one_area() {
        let colors = [
            None,
            Some(CONCEALED),
            Some(CONCEALED),
            Some(AFFECTED),
            Some(CONCEALED),
        ];
        let frames: Vec<Dot> = (0..)
            .zip(colors)
            .map(|(frame, color)| dot(frame, color))
            .collect();
        assert_eq!(runs(&frames, CONCEALED), [1.0..3.0, 4.0..5.0]);
        assert_eq!(runs(&frames, AFFECTED), [3.0..4.0]);
        assert_eq!(across(&frames), 0.0..5.0);
    }

    #[test]
    fn axes_have_room_around_what_they_show() {
        assert_eq!(around([30.0, 40.0].into_iter()), 29.2..40.8);
        assert_eq!(around([100.0].into_iter()), 99.5..100.5);
        assert_eq!(around(std::iter::empty()), 0.0..1.0);
    }

    #[test]
    fn letters_are_drawn() {
        let frames = [dot(0, None), dot(1, Some(AFFECTED))];
        register_font(FAMILY, FontStyle::Normal, dejavu::sans::regular())
            .map_err(|_| "no font")
            .unwrap();
        let [with, without] = ["A title", ""].map(|title| as_png(title, &frames).unwrap());
        assert!(with.starts_with(b"\x89PNG") && with.len() > without.len());
        let text = String::from_utf8(as_svg("A title", &frames).unwrap()).unwrap();
        for wanted in [
            "A title",
            "PSNR in dB",
            "bits of a frame",
            "affected by lost chunks",
        ] {
            assert!(text.contains(wanted), "{wanted}");
        }
    }
}
