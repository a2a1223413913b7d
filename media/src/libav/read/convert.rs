//! From decoded pictures to RGB.

use super::super::error;
use crate::color::{Converter, PlaneRef};
use crate::error::{MediaError, MediaErrorKind};
use crate::pixel::{Packing, PixelLayout};
use av::format::Pixel;
use av::software::scaling;
use ffmpeg_next as av;
use latentbit_codec::Frame;
use latentbit_container::Color;

/// Converts pictures of any size and format to RGB of one size, laid over a background where they are transparent.
pub struct Pictures {
    place: String,
    size: (u32, u32),
    color: Color,
    chroma_location: u8,
    background: [f32; 3],
    /// The format of the last picture and how to convert it.
    route: Option<(Pixel, Route)>,
}

/// The way from a decoded picture to RGB.
struct Route {
    /// Brings packed and exotic formats, or another size, to a layout that [`Converter`] takes.
    scaler: Option<scaling::Context>,
    layout: PixelLayout,
    /// Whether a plane of alpha comes after those of the colours.
    alpha: bool,
    converter: Converter,
}

impl Pictures {
    /// For pictures that become `size` pixels wide and high. Colours are those of the layout that [`layout_of`] gives.
    pub fn new(
        place: &str,
        size: (u32, u32),
        color: Color,
        chroma_location: u8,
        background: [f32; 3],
    ) -> Self {
        Self {
            place: place.to_owned(),
            size,
            color,
            chroma_location,
            background,
            route: None,
        }
    }

    /// Converts a picture.
    ///
    /// # Errors
    /// [`MediaErrorKind::Unsupported`] for a pixel format that libav does not convert.
    pub fn convert(&mut self, frame: &av::frame::Video) -> Result<Frame, MediaError> {
        let (w, h) = self.size;
        let upside_down = (0..frame.planes()).any(|p| (frame.stride(p) as isize) < 0);
        let plain = !upside_down && (frame.width(), frame.height()) == (w, h);
        let reusable = |route: &Route| match &route.scaler {
            None => plain,
            Some(s) => (s.input().width, s.input().height) == (frame.width(), frame.height()),
        };
        if !self
            .route
            .as_ref()
            .is_some_and(|(format, route)| *format == frame.format() && reusable(route))
        {
            self.route = Some((frame.format(), self.find_route(frame, plain)?));
        }
        let Some((_, route)) = &mut self.route else {
            return Err(MediaError::new(
                MediaErrorKind::Unsupported,
                &self.place,
                "no way to RGB",
            ));
        };
        let mut scaled = av::frame::Video::empty();
        let source = match &mut route.scaler {
            Some(scaler) => {
                scaler
                    .run(frame, &mut scaled)
                    .map_err(|e| error(&self.place, "convert", e))?;
                &scaled
            }
            None => frame,
        };
        let planes = route.layout.plane_count();
        if source.planes() < planes + usize::from(route.alpha) {
            return Err(MediaError::new(
                MediaErrorKind::Io,
                &self.place,
                "there is no memory for a frame",
            ));
        }
        let plane = |p: usize| PlaneRef {
            data: source.data(p),
            stride: source.stride(p),
        };
        let colors: Vec<PlaneRef<'_>> = (0..planes).map(plane).collect();
        let mut picture = route.converter.planes_to_rgb(&colors);
        if route.alpha {
            lay_over(&mut picture, &plane(planes), route.layout.depth, self.background);
        }
        Ok(picture)
    }

    fn find_route(&self, frame: &av::frame::Video, plain: bool) -> Result<Route, MediaError> {
        let (w, h) = self.size;
        let (layout, target) = layout_of(frame.format());
        let scaler = if target == frame.format() && plain {
            None
        } else {
            let flags =
                scaling::Flags::BICUBIC | scaling::Flags::ACCURATE_RND | scaling::Flags::FULL_CHR_H_INT;
            let made =
                scaling::Context::get(frame.format(), frame.width(), frame.height(), target, w, h, flags);
            Some(made.map_err(|_| {
                let name = format_name(frame.format());
                MediaError::new(
                    MediaErrorKind::Unsupported,
                    &self.place,
                    format!("pixel format {name} cannot be converted"),
                )
            })?)
        };
        let converter = Converter::new(w as usize, h as usize, layout, &self.color, self.chroma_location);
        Ok(Route {
            scaler,
            layout,
            alpha: has_alpha(target),
            converter,
        })
    }
}

/// Mixes a picture with a background where its plane of alpha, whose samples have `depth` bits, is not full.
fn lay_over(picture: &mut Frame, alpha: &PlaneRef<'_>, depth: u8, background: [f32; 3]) {
    let full = f32::from(u16::MAX >> (16 - u16::from(depth.clamp(1, 16))));
    let bytes = usize::from(depth > 8) + 1;
    let rows = alpha.data.chunks(alpha.stride.max(1));
    for (line, row) in picture.data.chunks_exact_mut(picture.width.max(1) * 3).zip(rows) {
        for (pixel, sample) in line.chunks_exact_mut(3).zip(row.chunks_exact(bytes)) {
            let value = match *sample {
                [low, high] => f32::from(u16::from_le_bytes([low, high])),
                [byte] => f32::from(byte),
                _ => full,
            };
            let opaque = (value / full).min(1.0);
            for (value, behind) in pixel.iter_mut().zip(background) {
                *value = *value * opaque + behind * (1.0 - opaque);
            }
        }
    }
}

/// libav's name of a pixel format.
pub fn format_name(format: Pixel) -> &'static str {
    format.descriptor().map_or("none", |d| d.name())
}

/// Whether pictures of this format can be transparent. Those with a palette often are not, though they could.
pub fn has_alpha(format: Pixel) -> bool {
    let name = format_name(format);
    [
        "yuva", "gbrap", "rgba", "bgra", "argb", "abgr", "ya8", "ya16", "ayuv", "vuya", "pal8",
    ]
    .iter()
    .any(|start| name.starts_with(start))
}

/// Whether a pixel of a picture lets something shine through. True for formats in which that is not looked at.
pub fn is_transparent(frame: &av::frame::Video) -> bool {
    let name = format_name(frame.format());
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let upside_down = (frame.stride(0) as isize) < 0;
    let bytes = if name == "pal8" { 1 } else { 4 };
    let rows = || {
        let rows = frame.data(0).chunks(frame.stride(0).max(1)).take(height);
        rows.filter_map(move |row| row.get(..width * bytes))
    };
    match name {
        _ if !has_alpha(frame.format()) => false,
        _ if upside_down => true,
        "pal8" => {
            let palette = frame.data(1);
            let alpha = |index: &u8| {
                let color = palette.get(usize::from(*index) * 4..usize::from(*index) * 4 + 4);
                color.is_some_and(|color| {
                    u32::from_ne_bytes([color[0], color[1], color[2], color[3]]) >> 24 < 255
                })
            };
            rows().any(|row| row.iter().any(alpha))
        }
        "rgba" | "bgra" => rows().any(|row| row.iter().skip(3).step_by(4).any(|alpha| *alpha < 255)),
        "argb" | "abgr" => rows().any(|row| row.iter().step_by(4).any(|alpha| *alpha < 255)),
        _ => true,
    }
}

/// The layout that pictures of a format are brought to, with its libav format: the format itself if [`Converter`] takes it,
/// else the one that loses least.
pub fn layout_of(format: Pixel) -> (PixelLayout, Pixel) {
    let name = format_name(format);
    // A name without its byte order would be another format, so the parser's short forms do no harm here.
    if let Some(layout) = PixelLayout::from_ffmpeg_name(name) {
        return (layout, format);
    }
    // The same samples in the other byte order.
    if let Some(base) = name.strip_suffix("be")
        && let other = format!("{base}le")
        && let (Some(layout), Ok(format)) = (PixelLayout::from_ffmpeg_name(&other), other.parse())
    {
        return (layout, format);
    }
    let target = match name {
        "nv12" | "nv21" => "yuv420p",
        "nv16" | "yuyv422" | "uyvy422" | "yvyu422" => "yuv422p",
        "nv24" | "nv42" => "yuv444p",
        "uyyvyy411" => "yuv411p",
        "monow" | "monob" => "gray",
        "ayuv64le" | "ayuv64be" => "yuva444p16le",
        "vuya" => "yuva444p",
        "ya16le" | "ya16be" => "gbrap16le",
        _ if name.starts_with("p010") => "yuv420p10le",
        _ if name.starts_with("p012") => "yuv420p12le",
        _ if name.starts_with("p016") => "yuv420p16le",
        _ if name.starts_with("p210") || name.starts_with("y210") || name.starts_with("nv20") => {
            "yuv422p10le"
        }
        _ if name.starts_with("p216") => "yuv422p16le",
        _ if name.starts_with("p410") => "yuv444p10le",
        _ if name.starts_with("p416") => "yuv444p16le",
        _ if name.starts_with("rgba64") || name.starts_with("bgra64") || name.starts_with("gbrap") => {
            "gbrap16le"
        }
        _ if has_alpha(format) => "gbrap",
        _ if ["rgb48", "bgr48", "x2rgb", "x2bgr", "gbrp", "xyz12"]
            .iter()
            .any(|p| name.starts_with(p)) =>
        {
            "rgb48le"
        }
        _ if name.starts_with("grayf32") => "gray16le",
        _ => "rgb24",
    };
    match (PixelLayout::from_ffmpeg_name(target), target.parse()) {
        (Some(layout), Ok(format)) => (layout, format),
        _ => (PixelLayout::packed_rgb(8), Pixel::RGB24),
    }
}

/// Whether samples of this layout are RGB.
pub const fn is_rgb(layout: &PixelLayout) -> bool {
    matches!(layout.packing, Packing::Gbr | Packing::Rgb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transparent_pixels_show_the_background() {
        let mut picture = Frame {
            width: 3,
            height: 1,
            data: vec![0.5; 9],
        };
        let alpha = PlaneRef {
            data: &[0, 255, 51, 9],
            stride: 4,
        };
        lay_over(&mut picture, &alpha, 8, [1.0, 0.0, 0.25]);
        let expected = [1.0, 0.0, 0.25, 0.5, 0.5, 0.5, 0.9, 0.1, 0.3];
        assert!(
            picture
                .data
                .iter()
                .zip(expected)
                .all(|(a, b)| (a - b).abs() < 1e-6)
        );
        let alpha = PlaneRef {
            data: &[0xff, 0x03, 0, 0, 0xff, 0x01],
            stride: 6,
        };
        picture.data.fill(0.5);
        lay_over(&mut picture, &alpha, 10, [0.0; 3]);
        assert!((picture.data[0] - 0.5).abs() < 1e-6 && picture.data[3] == 0.0);
        assert!((picture.data[6] - 0.25).abs() < 1e-3);
    }

    #[test]
    fn alpha_is_kept_up_to_the_mixing() {
        for name in [
            "rgba",
            "bgra",
            "argb",
            "abgr",
            "ya8",
            "pal8",
            "rgba64be",
            "yuva420p",
            "yuva422p10be",
            "gbrap12be",
        ] {
            let format: Pixel = name.parse().unwrap();
            let (layout, target) = layout_of(format);
            assert!(has_alpha(format) && has_alpha(target), "{name}");
            assert_eq!(layout.plane_count(), 3, "{name}");
        }
        for name in ["rgb24", "yuv420p", "gray", "nv12", "rgb48be", "bgr0"] {
            let format: Pixel = name.parse().unwrap();
            assert!(!has_alpha(format) && !has_alpha(layout_of(format).1), "{name}");
        }
    }
}
