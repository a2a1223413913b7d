//! How samples lie in memory: planes, subsampling, depth, and ffmpeg's names for them.

use latentbit_container::Chroma;

/// Which components a picture has and whether they share a plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Planes Y, Cb, Cr.
    Yuv,
    /// One plane Y.
    Gray,
    /// Planes G, B, R, in this order, as ffmpeg's `gbrp`.
    Gbr,
    /// One plane R G B R G B.
    Rgb,
}

/// A memory layout of samples. Depths over 8 bits use two bytes, little endian, value in the low bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PixelLayout {
    /// Components and planes.
    pub packing: Packing,
    /// Chroma width is luma width divided by 2 to this power, rounded up.
    pub log2_w: u8,
    /// Chroma height is luma height divided by 2 to this power, rounded up.
    pub log2_h: u8,
    /// Bits of a sample that carry its value, 8 to 16.
    pub depth: u8,
}

impl PixelLayout {
    /// The planar layout for a chroma sampling and depth.
    pub fn planar(chroma: Chroma, depth: u8) -> Self {
        let (packing, log2_w, log2_h) = match chroma {
            Chroma::C420 => (Packing::Yuv, 1, 1),
            Chroma::C422 => (Packing::Yuv, 1, 0),
            Chroma::C444 => (Packing::Yuv, 0, 0),
            Chroma::Gray => (Packing::Gray, 0, 0),
            // A sampling that a later container may name: keep full chroma.
            _ => (Packing::Gbr, 0, 0),
        };
        Self {
            packing,
            log2_w,
            log2_h,
            depth,
        }
    }

    /// Packed RGB, 8 or 16 bits.
    pub fn packed_rgb(depth: u8) -> Self {
        Self {
            packing: Packing::Rgb,
            log2_w: 0,
            log2_h: 0,
            depth: if depth > 8 { 16 } else { 8 },
        }
    }

    /// Understands ffmpeg's `pix_fmt` names of planar YUV, gray, planar RGB, `rgb24` and `rgb48le`.
    ///
    /// An alpha plane comes after the colour planes, so formats with one are accepted and the plane is not read.
    pub fn from_ffmpeg_name(name: &str) -> Option<Self> {
        match name {
            "rgb24" => return Some(Self::packed_rgb(8)),
            "rgb48le" => return Some(Self::packed_rgb(16)),
            _ => {}
        }
        const BASES: [(&str, Packing, u8, u8); 12] = [
            ("yuva420p", Packing::Yuv, 1, 1),
            ("yuva422p", Packing::Yuv, 1, 0),
            ("yuva444p", Packing::Yuv, 0, 0),
            ("yuv420p", Packing::Yuv, 1, 1),
            ("yuv422p", Packing::Yuv, 1, 0),
            ("yuv444p", Packing::Yuv, 0, 0),
            ("yuv440p", Packing::Yuv, 0, 1),
            ("yuv411p", Packing::Yuv, 2, 0),
            ("yuv410p", Packing::Yuv, 2, 2),
            ("gbrap", Packing::Gbr, 0, 0),
            ("gbrp", Packing::Gbr, 0, 0),
            ("gray", Packing::Gray, 0, 0),
        ];
        // The J formats differ only in their range, which travels in the colour description.
        let plain = name.replacen("yuvj", "yuv", 1);
        let (rest, packing, log2_w, log2_h) = BASES
            .iter()
            .find_map(|&(base, p, w, h)| plain.strip_prefix(base).map(|rest| (rest, p, w, h)))?;
        let depth = match rest {
            "" => 8,
            "8" if packing == Packing::Gray => 8,
            "9le" | "9" => 9,
            "10le" | "10" => 10,
            "12le" | "12" => 12,
            "14le" | "14" => 14,
            "16le" | "16" => 16,
            _ => return None,
        };
        Some(Self {
            packing,
            log2_w,
            log2_h,
            depth,
        })
    }

    /// ffmpeg's name of the layout.
    pub fn ffmpeg_name(&self) -> String {
        let base = match (self.packing, self.log2_w, self.log2_h) {
            (Packing::Rgb, ..) => return if self.depth > 8 { "rgb48le" } else { "rgb24" }.to_owned(),
            (Packing::Gray, ..) => "gray",
            (Packing::Gbr, ..) => "gbrp",
            (Packing::Yuv, 0, 0) => "yuv444p",
            (Packing::Yuv, 0, _) => "yuv440p",
            (Packing::Yuv, 1, 0) => "yuv422p",
            (Packing::Yuv, 1, _) => "yuv420p",
            (Packing::Yuv, _, 0) => "yuv411p",
            (Packing::Yuv, ..) => "yuv410p",
        };
        if self.depth > 8 {
            format!("{base}{}le", self.depth)
        } else {
            base.to_owned()
        }
    }

    /// Bytes of one sample.
    pub fn sample_bytes(&self) -> usize {
        if self.depth > 8 { 2 } else { 1 }
    }

    /// Number of colour planes.
    pub fn plane_count(&self) -> usize {
        match self.packing {
            Packing::Yuv | Packing::Gbr => 3,
            Packing::Gray | Packing::Rgb => 1,
        }
    }

    /// Samples per row and rows of a plane; a packed RGB row has three samples per pixel.
    pub fn plane_size(&self, plane: usize, width: usize, height: usize) -> (usize, usize) {
        match self.packing {
            Packing::Rgb => (width * 3, height),
            Packing::Yuv if plane > 0 => (
                width.div_ceil(1 << self.log2_w),
                height.div_ceil(1 << self.log2_h),
            ),
            _ => (width, height),
        }
    }

    /// Bytes of one tightly packed picture.
    pub fn frame_bytes(&self, width: usize, height: usize) -> usize {
        (0..self.plane_count())
            .map(|p| {
                let (w, h) = self.plane_size(p, width, height);
                w * h * self.sample_bytes()
            })
            .sum()
    }

    /// The nearest chroma sampling that the container can name: 4:1:1 counts as 4:2:2, 4:1:0 as 4:2:0 and
    /// 4:4:0 as 4:4:4, so that no direction loses more than it did in the original.
    pub fn chroma(&self) -> Chroma {
        match (self.packing, self.log2_w, self.log2_h) {
            (Packing::Gray, ..) => Chroma::Gray,
            (Packing::Gbr | Packing::Rgb, ..) => Chroma::Rgb,
            (Packing::Yuv, 0, _) => Chroma::C444,
            (Packing::Yuv, _, 0) => Chroma::C422,
            (Packing::Yuv, ..) => Chroma::C420,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for name in [
            "yuv420p",
            "yuv422p",
            "yuv444p",
            "yuv440p",
            "yuv411p",
            "yuv410p",
            "gray",
            "gbrp",
            "rgb24",
            "rgb48le",
            "yuv420p10le",
            "yuv422p12le",
            "yuv444p16le",
            "gray10le",
            "gbrp12le",
        ] {
            let layout = PixelLayout::from_ffmpeg_name(name).unwrap();
            assert_eq!(layout.ffmpeg_name(), name);
        }
        assert_eq!(
            PixelLayout::from_ffmpeg_name("yuvj420p"),
            PixelLayout::from_ffmpeg_name("yuv420p")
        );
        assert_eq!(
            PixelLayout::from_ffmpeg_name("yuva420p10le"),
            PixelLayout::from_ffmpeg_name("yuv420p10le")
        );
        for name in [
            "",
            "nv12",
            "yuv420p10be",
            "yuv420p11le",
            "rgba",
            "yuv",
            "grayf32le",
        ] {
            assert_eq!(PixelLayout::from_ffmpeg_name(name), None, "{name}");
        }
    }

    #[test]
    fn odd_sizes_round_chroma_up() {
        let l = PixelLayout::planar(Chroma::C420, 8);
        assert_eq!(l.plane_size(1, 5, 3), (3, 2));
        assert_eq!(l.frame_bytes(5, 3), 15 + 12);
        assert_eq!(PixelLayout::packed_rgb(16).frame_bytes(5, 3), 90);
    }
}
