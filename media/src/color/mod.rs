//! The only place where YUV becomes RGB and RGB becomes YUV.
//!
//! Everything is f32 and works row by row. Chroma goes up by linear interpolation at its true position (left, as in
//! MPEG-2 and H.264, or centre, as in JPEG) and comes down by the matching tent or box filter.
//!
//! What a file leaves open is guessed as players do: no matrix means BT.601 for standard-definition sizes and BT.709
//! above; no range means limited for YUV and full for gray and RGB.

mod matrix;

use crate::pixel::{Packing, PixelLayout};
use latentbit_codec::Frame;
use latentbit_container::{Color, ColorRange};
use matrix::Matrix;
pub use matrix::matrix_of;

/// H.273 code points used by name here.
pub mod code {
    /// Matrix: the samples are RGB.
    pub const MATRIX_RGB: u8 = 0;
    /// Primaries, transfer and matrix: BT.709.
    pub const BT709: u8 = 1;
    /// Primaries, transfer and matrix: not said.
    pub const UNSPECIFIED: u8 = 2;
    /// Matrix: BT.601, 525 lines.
    pub const MATRIX_BT601: u8 = 6;
    /// Matrix: YCgCo.
    pub const MATRIX_YCGCO: u8 = 8;
    /// Transfer: sRGB.
    pub const TRANSFER_SRGB: u8 = 13;
}

/// Where chroma samples sit, with ffmpeg's numbers (the values of `chroma_location`).
pub mod location {
    /// Not said; taken as left.
    pub const UNSPECIFIED: u8 = 0;
    /// On the left luma sample, between two rows: MPEG-2, H.264.
    pub const LEFT: u8 = 1;
    /// Between four luma samples: JPEG, MPEG-1.
    pub const CENTER: u8 = 2;
    /// On the top left luma sample: BT.2020 UHD.
    pub const TOP_LEFT: u8 = 3;
    /// Between two columns, on the top row.
    pub const TOP: u8 = 4;
}

/// Fills in what `color` leaves open, for a picture of this size and layout, so that both directions agree.
pub fn resolve(color: &Color, layout: &PixelLayout, width: usize, height: usize) -> Color {
    let yuv = layout.packing == Packing::Yuv;
    let rgb = matches!(layout.packing, Packing::Gbr | Packing::Rgb);
    let matrix = match color.matrix {
        _ if rgb => code::MATRIX_RGB,
        known if matrix::known(known) => known,
        // RGB originals, and matrices that no planar video comes in, get the guess, too.
        _ if height <= 576 && width <= 1024 => code::MATRIX_BT601,
        _ => code::BT709,
    };
    let range = match color.range {
        // A range belongs to YUV; where RGB carries one, it was left over from a conversion.
        _ if rgb => ColorRange::Full,
        ColorRange::Unspecified if yuv => ColorRange::Limited,
        ColorRange::Unspecified => ColorRange::Full,
        known => known,
    };
    Color {
        matrix,
        range,
        ..*color
    }
}

/// One plane to read: bytes and the distance between rows.
#[derive(Clone, Copy)]
pub struct PlaneRef<'a> {
    /// The samples.
    pub data: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// One plane to write.
pub struct PlaneMut<'a> {
    /// The samples.
    pub data: &'a mut [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// Cuts a tightly packed picture into its planes. `data` must hold `layout.frame_bytes(width, height)` bytes.
pub fn split_planes<'a>(
    layout: &PixelLayout,
    width: usize,
    height: usize,
    mut data: &'a [u8],
) -> Vec<PlaneRef<'a>> {
    let mut planes = Vec::with_capacity(3);
    for p in 0..layout.plane_count() {
        let (w, h) = layout.plane_size(p, width, height);
        let stride = w * layout.sample_bytes();
        let (plane, rest) = data.split_at((stride * h).min(data.len()));
        planes.push(PlaneRef { data: plane, stride });
        data = rest;
    }
    planes
}

/// As [`split_planes`], for writing.
pub fn split_planes_mut<'a>(
    layout: &PixelLayout,
    width: usize,
    height: usize,
    mut data: &'a mut [u8],
) -> Vec<PlaneMut<'a>> {
    let mut planes = Vec::with_capacity(3);
    for p in 0..layout.plane_count() {
        let (w, h) = layout.plane_size(p, width, height);
        let stride = w * layout.sample_bytes();
        let cut = (stride * h).min(data.len());
        let (plane, rest) = data.split_at_mut(cut);
        planes.push(PlaneMut { data: plane, stride });
        data = rest;
    }
    planes
}

/// Converts pictures of one size and layout, keeping its row buffers between pictures.
pub struct Converter {
    width: usize,
    height: usize,
    layout: PixelLayout,
    matrix: Matrix,
    luma: Scale,
    chroma: Scale,
    left: bool,
    top: bool,
    rows: [Vec<f32>; 5],
}

/// Sample value = code * `mul` + `add`. In f64, so that the inverse of an inverse is exact in f32.
#[derive(Clone, Copy)]
struct Scale {
    mul: f64,
    add: f64,
}

impl Scale {
    fn of_f32(self) -> (f32, f32) {
        (self.mul as f32, self.add as f32)
    }

    fn inverse(self) -> Self {
        Self {
            mul: 1.0 / self.mul,
            add: -self.add / self.mul,
        }
    }
}

impl Converter {
    /// A converter for pictures of this size. `color` may leave things open, see [`resolve`].
    pub fn new(width: usize, height: usize, layout: PixelLayout, color: &Color, chroma_location: u8) -> Self {
        let color = resolve(color, &layout, width, height);
        let full = color.range == ColorRange::Full;
        let unit = f64::from(1u16 << (layout.depth - 8));
        let max = f64::from((1u32 << layout.depth) - 1);
        let (luma, chroma) = if full {
            let middle = f64::from(1u32 << (layout.depth - 1));
            (
                Scale {
                    mul: 1.0 / max,
                    add: 0.0,
                },
                Scale {
                    mul: 1.0 / max,
                    add: -middle / max,
                },
            )
        } else {
            (
                Scale {
                    mul: 1.0 / (219.0 * unit),
                    add: -16.0 / 219.0,
                },
                Scale {
                    mul: 1.0 / (224.0 * unit),
                    add: -128.0 / 224.0,
                },
            )
        };
        Self {
            width,
            height,
            layout,
            matrix: Matrix::new(color.matrix),
            luma,
            chroma,
            left: !matches!(chroma_location, location::CENTER | location::TOP),
            top: matches!(chroma_location, location::TOP_LEFT | location::TOP),
            rows: Default::default(),
        }
    }

    /// Converts planes to RGB, clamped to 0..=1. Rows that are missing in the planes come out black.
    pub fn planes_to_rgb(&mut self, planes: &[PlaneRef<'_>]) -> Frame {
        let (w, h) = (self.width, self.height);
        let mut out = Frame {
            width: w,
            height: h,
            data: vec![0.0; w * h * 3],
        };
        if w == 0 || h == 0 || planes.len() < self.layout.plane_count() {
            return out;
        }
        let wide = self.layout.depth > 8;
        let luma = self.luma;
        let [r0, r1, r2, r3, _] = &mut self.rows;
        match self.layout.packing {
            Packing::Rgb => {
                for (y, dst) in out.data.chunks_exact_mut(w * 3).enumerate() {
                    load(row(&planes[0], y, w * 3, wide), wide, luma, dst);
                    dst.iter_mut().for_each(|v| *v = v.clamp(0.0, 1.0));
                }
            }
            Packing::Gray => {
                r0.resize(w, 0.0);
                for (y, dst) in out.data.chunks_exact_mut(w * 3).enumerate() {
                    load(row(&planes[0], y, w, wide), wide, luma, r0);
                    for (px, &v) in dst.chunks_exact_mut(3).zip(r0.iter()) {
                        px.fill(v.clamp(0.0, 1.0));
                    }
                }
            }
            Packing::Gbr => {
                for r in [&mut *r0, &mut *r1, &mut *r2] {
                    r.resize(w, 0.0);
                }
                for (y, dst) in out.data.chunks_exact_mut(w * 3).enumerate() {
                    load(row(&planes[0], y, w, wide), wide, luma, r0);
                    load(row(&planes[1], y, w, wide), wide, luma, r1);
                    load(row(&planes[2], y, w, wide), wide, luma, r2);
                    for (px, ((&g, &b), &r)) in dst
                        .chunks_exact_mut(3)
                        .zip(r0.iter().zip(r1.iter()).zip(r2.iter()))
                    {
                        px[0] = r.clamp(0.0, 1.0);
                        px[1] = g.clamp(0.0, 1.0);
                        px[2] = b.clamp(0.0, 1.0);
                    }
                }
            }
            Packing::Yuv => {
                let [r, g, b] = self.matrix.to_rgb;
                let up = Upsampler {
                    log2_w: self.layout.log2_w,
                    log2_h: self.layout.log2_h,
                    left: self.left,
                    top: self.top,
                    width: w,
                    height: h,
                    wide,
                    scale: self.chroma,
                };
                r0.resize(w, 0.0);
                for (y, dst) in out.data.chunks_exact_mut(w * 3).enumerate() {
                    load(row(&planes[0], y, w, wide), wide, luma, r0);
                    up.row(&planes[1], y, r3, r1);
                    up.row(&planes[2], y, r3, r2);
                    for (px, ((&l, &cb), &cr)) in dst
                        .chunks_exact_mut(3)
                        .zip(r0.iter().zip(r1.iter()).zip(r2.iter()))
                    {
                        px[0] = (l + r[0] * cb + r[1] * cr).clamp(0.0, 1.0);
                        px[1] = (l + g[0] * cb + g[1] * cr).clamp(0.0, 1.0);
                        px[2] = (l + b[0] * cb + b[1] * cr).clamp(0.0, 1.0);
                    }
                }
            }
        }
        out
    }

    /// Converts RGB to planes, rounding to the nearest code. Rows that do not fit into `planes` are left out.
    pub fn rgb_to_planes(&mut self, frame: &Frame, planes: &mut [PlaneMut<'_>]) {
        let (w, h) = (self.width, self.height);
        let short = planes.len() < self.layout.plane_count();
        if w == 0 || h == 0 || short || frame.width != w || frame.data.len() < w * h * 3 {
            return;
        }
        let wide = self.layout.depth > 8;
        let max = ((1u32 << self.layout.depth) - 1) as f32;
        let luma = self.luma.inverse();
        let chroma = self.chroma.inverse();
        let src = |y: usize| &frame.data[y * w * 3..(y + 1) * w * 3];
        let [r0, r1, r2, r3, r4] = &mut self.rows;
        let [luma_of, cb_of, cr_of] = self.matrix.from_rgb;
        let dot =
            |weights: [f32; 3], px: &[f32]| weights[0] * px[0] + weights[1] * px[1] + weights[2] * px[2];
        match self.layout.packing {
            Packing::Rgb => {
                for y in 0..h {
                    store(src(y), wide, luma, max, row_mut(&mut planes[0], y, w * 3, wide));
                }
            }
            Packing::Gbr => {
                r0.resize(w, 0.0);
                for y in 0..h {
                    for (plane, component) in [(0, 1), (1, 2), (2, 0)] {
                        for (v, px) in r0.iter_mut().zip(src(y).chunks_exact(3)) {
                            *v = px[component];
                        }
                        store(r0, wide, luma, max, row_mut(&mut planes[plane], y, w, wide));
                    }
                }
            }
            Packing::Gray | Packing::Yuv => {
                r0.resize(w, 0.0);
                for y in 0..h {
                    for (v, px) in r0.iter_mut().zip(src(y).chunks_exact(3)) {
                        *v = dot(luma_of, px);
                    }
                    store(r0, wide, luma, max, row_mut(&mut planes[0], y, w, wide));
                }
                if self.layout.packing == Packing::Gray {
                    return;
                }
                let (cw, ch) = self.layout.plane_size(1, w, h);
                for r in [&mut *r0, &mut *r1] {
                    r.resize(w, 0.0);
                }
                for j in 0..ch {
                    let (first, weights) = down_taps(self.layout.log2_h, self.top, j);
                    r2.clear();
                    r2.resize(cw, 0.0);
                    r3.clear();
                    r3.resize(cw, 0.0);
                    for (i, &weight) in weights.iter().enumerate() {
                        let y = (first + i as isize).clamp(0, h as isize - 1) as usize;
                        for ((cb, cr), px) in r0.iter_mut().zip(r1.iter_mut()).zip(src(y).chunks_exact(3)) {
                            *cb = dot(cb_of, px);
                            *cr = dot(cr_of, px);
                        }
                        downsample_add(r0, self.layout.log2_w, self.left, weight, r4, r2);
                        downsample_add(r1, self.layout.log2_w, self.left, weight, r4, r3);
                    }
                    store(r2, wide, chroma, max, row_mut(&mut planes[1], j, cw, wide));
                    store(r3, wide, chroma, max, row_mut(&mut planes[2], j, cw, wide));
                }
            }
        }
    }
}

/// The bytes of row `y`, or nothing if the plane is too short for it.
fn row<'a>(plane: &PlaneRef<'a>, y: usize, samples: usize, wide: bool) -> &'a [u8] {
    let start = y * plane.stride;
    plane
        .data
        .get(start..start + (samples << usize::from(wide)))
        .unwrap_or(&[])
}

fn row_mut<'a>(plane: &'a mut PlaneMut<'_>, y: usize, samples: usize, wide: bool) -> &'a mut [u8] {
    let start = y * plane.stride;
    plane
        .data
        .get_mut(start..start + (samples << usize::from(wide)))
        .unwrap_or(&mut [])
}

fn load(src: &[u8], wide: bool, s: Scale, dst: &mut [f32]) {
    let (mul, add) = s.of_f32();
    if wide {
        for (d, v) in dst.iter_mut().zip(src.chunks_exact(2)) {
            *d = f32::from(u16::from_le_bytes([v[0], v[1]])) * mul + add;
        }
    } else {
        for (d, &v) in dst.iter_mut().zip(src) {
            *d = f32::from(v) * mul + add;
        }
    }
}

/// `dst = a * (1 - t) + b * t`, scaled.
fn load_blend(a: &[u8], b: &[u8], t: f32, wide: bool, s: Scale, dst: &mut [f32]) {
    let (mul, add) = s.of_f32();
    let (wa, wb) = ((1.0 - t) * mul, t * mul);
    if wide {
        for (d, (a, b)) in dst.iter_mut().zip(a.chunks_exact(2).zip(b.chunks_exact(2))) {
            let (a, b) = (u16::from_le_bytes([a[0], a[1]]), u16::from_le_bytes([b[0], b[1]]));
            *d = f32::from(a) * wa + f32::from(b) * wb + add;
        }
    } else {
        for (d, (&a, &b)) in dst.iter_mut().zip(a.iter().zip(b)) {
            *d = f32::from(a) * wa + f32::from(b) * wb + add;
        }
    }
}

fn store(src: &[f32], wide: bool, s: Scale, max: f32, dst: &mut [u8]) {
    let (mul, add) = s.of_f32();
    // The half makes the truncating cast round; the cast itself turns NaN into 0.
    if wide {
        for (d, &v) in dst.chunks_exact_mut(2).zip(src) {
            let code = (v * mul + add + 0.5).max(0.0).min(max) as u16;
            d.copy_from_slice(&code.to_le_bytes());
        }
    } else {
        for (d, &v) in dst.iter_mut().zip(src) {
            *d = (v * mul + add + 0.5).max(0.0).min(max) as u8;
        }
    }
}

/// Position of luma sample `i` among the chroma samples: the one before it and how far it is towards the next.
fn up_tap(i: usize, log2: u8, cosited: bool) -> (isize, f32) {
    let s = (1usize << log2) as f32;
    let offset = if cosited { 0.0 } else { (s - 1.0) / 2.0 };
    let at = (i as f32 - offset) / s;
    (at.floor() as isize, at - at.floor())
}

struct Upsampler {
    log2_w: u8,
    log2_h: u8,
    left: bool,
    top: bool,
    width: usize,
    height: usize,
    wide: bool,
    scale: Scale,
}

impl Upsampler {
    /// Chroma for luma row `y`, at full width, in `out` (which may be a little longer than the row).
    fn row(&self, plane: &PlaneRef<'_>, y: usize, pad: &mut Vec<f32>, out: &mut Vec<f32>) {
        let cw = self.width.div_ceil(1 << self.log2_w);
        let ch = self.height.div_ceil(1 << self.log2_h);
        let (j, t) = if self.log2_h == 0 {
            (y as isize, 0.0)
        } else {
            up_tap(y, self.log2_h, self.top)
        };
        let last = ch as isize - 1;
        let a = row(plane, j.clamp(0, last) as usize, cw, self.wide);
        let b = row(plane, (j + 1).clamp(0, last) as usize, cw, self.wide);
        if self.log2_w == 0 {
            out.resize(cw, 0.0);
            load_blend(a, b, t, self.wide, self.scale, out);
            return;
        }
        // One repeated sample on each side, so that the filters below need no edge cases.
        pad.resize(cw + 2, 0.0);
        load_blend(a, b, t, self.wide, self.scale, &mut pad[1..=cw]);
        pad[0] = pad[1];
        pad[cw + 1] = pad[cw];
        out.resize(cw << self.log2_w, 0.0);
        match (self.log2_w, self.left) {
            (1, true) => {
                for (o, p) in out.chunks_exact_mut(2).zip(pad.windows(3)) {
                    o[0] = p[1];
                    o[1] = 0.5 * (p[1] + p[2]);
                }
            }
            (1, false) => {
                for (o, p) in out.chunks_exact_mut(2).zip(pad.windows(3)) {
                    o[0] = 0.25 * p[0] + 0.75 * p[1];
                    o[1] = 0.75 * p[1] + 0.25 * p[2];
                }
            }
            _ => {
                for (i, o) in out.iter_mut().enumerate() {
                    let (k, t) = up_tap(i, self.log2_w, self.left);
                    let k = (k + 1).clamp(0, cw as isize) as usize;
                    *o = pad[k] * (1.0 - t) + pad[k + 1] * t;
                }
            }
        }
    }
}

/// First luma row (may lie outside) and the weights of the rows that make chroma row `j`.
fn down_taps(log2: u8, cosited: bool, j: usize) -> (isize, &'static [f32]) {
    let first = (j << log2) as isize;
    match (log2, cosited) {
        (0, _) => (first, &[1.0]),
        (1, true) => (first - 1, &[0.25, 0.5, 0.25]),
        (1, false) => (first, &[0.5, 0.5]),
        _ => (first, &[0.25, 0.25, 0.25, 0.25]),
    }
}

/// Adds `weight` times the horizontally filtered row to `acc`.
fn downsample_add(row: &[f32], log2: u8, left: bool, weight: f32, pad: &mut Vec<f32>, acc: &mut [f32]) {
    if log2 == 0 {
        acc.iter_mut().zip(row).for_each(|(a, &v)| *a += weight * v);
        return;
    }
    let s = 1usize << log2;
    // One sample before, and the last one repeated up to a whole number of chroma samples.
    pad.clear();
    pad.push(row.first().copied().unwrap_or(0.0));
    pad.extend_from_slice(row);
    pad.resize(1 + acc.len() * s, row.last().copied().unwrap_or(0.0));
    match (log2, left) {
        (1, true) => {
            for (a, p) in acc.iter_mut().zip(pad.windows(3).step_by(2)) {
                *a += weight * (0.25 * p[0] + 0.5 * p[1] + 0.25 * p[2]);
            }
        }
        _ => {
            let share = weight / s as f32;
            for (a, p) in acc.iter_mut().zip(pad[1..].chunks_exact(s)) {
                *a += share * p.iter().sum::<f32>();
            }
        }
    }
}

#[cfg(test)]
mod tests;
