use super::*;
use latentbit_container::Chroma;

fn color(matrix: u8, range: ColorRange) -> Color {
    Color {
        primaries: 2,
        transfer: 2,
        matrix,
        range,
    }
}

fn encode(frame: &Frame, layout: PixelLayout, c: &Color, siting: u8) -> Vec<u8> {
    let mut data = vec![0; layout.frame_bytes(frame.width, frame.height)];
    Converter::new(frame.width, frame.height, layout, c, siting).rgb_to_planes(
        frame,
        &mut split_planes_mut(&layout, frame.width, frame.height, &mut data),
    );
    data
}

fn decode(data: &[u8], w: usize, h: usize, layout: PixelLayout, c: &Color, siting: u8) -> Frame {
    Converter::new(w, h, layout, c, siting).planes_to_rgb(&split_planes(&layout, w, h, data))
}

fn solid(w: usize, h: usize, rgb: [f32; 3]) -> Frame {
    Frame {
        width: w,
        height: h,
        data: rgb.repeat(w * h),
    }
}

/// Colours that change slowly, inside the gamut.
fn smooth(w: usize, h: usize) -> Frame {
    let mut data = Vec::new();
    for y in 0..h {
        for x in 0..w {
            let (u, v) = (x as f32 / 97.0, y as f32 / 83.0);
            data.extend([
                0.5 + 0.2 * u.sin(),
                0.5 + 0.2 * v.cos(),
                0.5 + 0.2 * (u + v).sin(),
            ]);
        }
    }
    Frame {
        width: w,
        height: h,
        data,
    }
}

fn codes(data: &[u8], layout: PixelLayout) -> Vec<i32> {
    if layout.depth == 8 {
        return data.iter().map(|&v| i32::from(v)).collect();
    }
    data.chunks_exact(2)
        .map(|v| i32::from(u16::from_le_bytes([v[0], v[1]])))
        .collect()
}

#[test]
fn reference_colours() {
    use ColorRange::{Full, Limited};
    let c444 = PixelLayout::planar(Chroma::C444, 8);
    let cases = [
        // The 100 % bars of BT.601 and BT.709 in limited range, as in the standards' tables.
        (6, Limited, [1.0, 0.0, 0.0], [81, 90, 240]),
        (6, Limited, [0.0, 1.0, 0.0], [145, 54, 34]),
        (6, Limited, [0.0, 0.0, 1.0], [41, 240, 110]),
        (1, Limited, [1.0, 0.0, 0.0], [63, 102, 240]),
        (1, Limited, [0.0, 1.0, 0.0], [173, 42, 26]),
        (1, Limited, [0.0, 0.0, 1.0], [32, 240, 118]),
        (1, Limited, [1.0, 1.0, 1.0], [235, 128, 128]),
        (1, Limited, [0.0, 0.0, 0.0], [16, 128, 128]),
        // JFIF.
        (6, Full, [1.0, 0.0, 0.0], [76, 85, 255]),
        (6, Full, [0.0, 0.0, 1.0], [29, 255, 107]),
        (6, Full, [1.0, 1.0, 1.0], [255, 128, 128]),
    ];
    for (matrix, range, rgb, yuv) in cases {
        let c = color(matrix, range);
        let data = encode(&solid(1, 1, rgb), c444, &c, 0);
        assert_eq!(data, yuv, "{matrix} {range:?} {rgb:?}");
        let back = decode(&data, 1, 1, c444, &c, 0);
        for (a, b) in back.data.iter().zip(rgb) {
            assert!((a - b).abs() < 0.01, "{matrix} {range:?} {rgb:?} {:?}", back.data);
        }
    }
    // BT.2020 at 10 bits: white and black are the 8-bit codes times four.
    let c10 = PixelLayout::planar(Chroma::C444, 10);
    assert_eq!(
        codes(&encode(&solid(1, 1, [1.0; 3]), c10, &color(9, Limited), 0), c10),
        [940, 512, 512]
    );
    assert_eq!(
        codes(&encode(&solid(1, 1, [0.0; 3]), c10, &color(9, Limited), 0), c10),
        [64, 512, 512]
    );
}

#[test]
fn smooth_content_comes_back_within_one_code() {
    for (w, h) in [(64, 48), (33, 17), (1, 1), (2, 1), (1, 3), (5, 4)] {
        for chroma in [
            Chroma::C420,
            Chroma::C422,
            Chroma::C444,
            Chroma::Gray,
            Chroma::Rgb,
        ] {
            for depth in [8, 10, 12, 16] {
                for siting in 0..=4 {
                    for (matrix, range) in [
                        (1, ColorRange::Limited),
                        (6, ColorRange::Full),
                        (9, ColorRange::Limited),
                    ] {
                        let layout = PixelLayout::planar(chroma, depth);
                        let c = color(matrix, range);
                        let first = encode(&smooth(w, h), layout, &c, siting);
                        let again = encode(&decode(&first, w, h, layout, &c, siting), layout, &c, siting);
                        let worst = codes(&first, layout)
                            .iter()
                            .zip(codes(&again, layout))
                            .map(|(a, b)| (a - b).abs())
                            .max();
                        // At more bits the interpolation filters, not the rounding, set the limit.
                        let limit = if matches!(chroma, Chroma::C420 | Chroma::C422) {
                            1 << (depth - 8)
                        } else {
                            1
                        };
                        assert!(
                            worst.unwrap() <= limit,
                            "{w}x{h} {chroma:?} {depth} {siting} {worst:?}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn every_gray_code_is_exact() {
    for range in [ColorRange::Limited, ColorRange::Full] {
        for depth in [8u8, 10] {
            let (lo, hi) = match range {
                ColorRange::Limited => (16u16 << (depth - 8), 235u16 << (depth - 8)),
                _ => (0, (1 << depth) - 1),
            };
            let w = usize::from(hi - lo) + 1;
            for chroma in [Chroma::Gray, Chroma::C420] {
                let layout = PixelLayout::planar(chroma, depth);
                let c = color(1, range);
                let mut data = vec![0; layout.frame_bytes(w, 2)];
                let neutral = 1u16 << (depth - 1);
                let samples = data.len() / layout.sample_bytes();
                for i in 0..samples {
                    let v = if i < w * 2 { lo + (i % w) as u16 } else { neutral };
                    match depth {
                        8 => data[i] = v as u8,
                        _ => data[i * 2..i * 2 + 2].copy_from_slice(&v.to_le_bytes()),
                    }
                }
                let rgb = decode(&data, w, 2, layout, &c, 1);
                for px in rgb.data.chunks_exact(3) {
                    assert!((px[0] - px[1]).abs() < 1e-6 && (px[1] - px[2]).abs() < 1e-6);
                }
                assert_eq!(encode(&rgb, layout, &c, 1), data);
            }
        }
    }
}

/// Cb of a ramp tells where the converter believes the samples to be.
#[test]
fn siting_moves_chroma_where_it_belongs() {
    let (w, h) = (16, 8);
    let layout = PixelLayout::planar(Chroma::C420, 8);
    let c = color(6, ColorRange::Full);
    // Chroma that is linear in x at the true positions must come out linear at every luma sample.
    for (siting, offset) in [(location::LEFT, 0.0), (location::CENTER, 0.5)] {
        let mut data = vec![128u8; layout.frame_bytes(w, h)];
        for j in 0..h / 2 {
            for i in 0..w / 2 {
                data[w * h + j * (w / 2) + i] = (100.0 + 4.0 * (2.0 * i as f32 + offset)) as u8;
            }
        }
        let rgb = decode(&data, w, h, layout, &c, siting);
        for x in 1..w - 2 {
            let cb = (rgb.data[x * 3 + 2] - 128.0 / 255.0) / (2.0 * (1.0 - 0.114));
            let want = (100.0 + 4.0 * x as f32 - 128.0) / 255.0;
            assert!(
                (cb - want).abs() < 1e-4,
                "siting {siting} x {x}: {cb} instead of {want}"
            );
        }
    }
    // The same in the other direction: a ramp in blue, measured at the chroma samples.
    for (siting, offset) in [(location::LEFT, 0.0), (location::CENTER, 0.5)] {
        let mut frame = solid(w, h, [0.5, 0.5, 0.5]);
        for (i, px) in frame.data.chunks_exact_mut(3).enumerate() {
            px[2] = 0.3 + 0.02 * (i % w) as f32;
        }
        let data = encode(&frame, layout, &c, siting);
        for i in 1..w / 2 - 1 {
            let blue = 0.3 + 0.02 * (2.0 * i as f32 + offset);
            let want = 128.0 + 255.0 * 0.5 * (blue - 0.5);
            assert!(
                (f32::from(data[w * h + i]) - want).abs() <= 0.51,
                "siting {siting} sample {i}"
            );
        }
    }
}

#[test]
fn unspecified_is_guessed_by_size() {
    let open = Color::default();
    let yuv = PixelLayout::planar(Chroma::C420, 8);
    assert_eq!(resolve(&open, &yuv, 720, 576).matrix, code::MATRIX_BT601);
    assert_eq!(resolve(&open, &yuv, 1280, 720).matrix, code::BT709);
    assert_eq!(resolve(&open, &yuv, 720, 576).range, ColorRange::Limited);
    let gray = PixelLayout::planar(Chroma::Gray, 8);
    assert_eq!(resolve(&open, &gray, 720, 576).range, ColorRange::Full);
    let told = color(9, ColorRange::Full);
    assert_eq!(resolve(&told, &yuv, 64, 64), told);
}

#[test]
fn rare_subsamplings_decode() {
    for name in ["yuv411p", "yuv410p", "yuv440p"] {
        let layout = PixelLayout::from_ffmpeg_name(name).unwrap();
        for (w, h) in [(16, 16), (7, 5), (1, 1)] {
            let data = encode(
                &solid(w, h, [0.8, 0.4, 0.2]),
                layout,
                &color(6, ColorRange::Limited),
                1,
            );
            let rgb = decode(&data, w, h, layout, &color(6, ColorRange::Limited), 1);
            for px in rgb.data.chunks_exact(3) {
                assert!(
                    (px[0] - 0.8).abs() < 0.01 && (px[1] - 0.4).abs() < 0.01 && (px[2] - 0.2).abs() < 0.01
                );
            }
        }
    }
}

#[test]
fn strange_values_do_no_harm() {
    let layout = PixelLayout::planar(Chroma::C420, 8);
    let c = color(1, ColorRange::Limited);
    let mut frame = solid(4, 4, [0.5; 3]);
    frame.data[..6].copy_from_slice(&[f32::NAN, f32::INFINITY, -5.0, 9.0, f32::NEG_INFINITY, 0.0]);
    encode(&frame, layout, &c, 1);
    // Planes that are too short come out as they can.
    let short = [0u8; 5];
    let planes = [PlaneRef {
        data: &short,
        stride: 4,
    }; 3];
    let rgb = Converter::new(4, 4, layout, &c, 1).planes_to_rgb(&planes);
    assert!(rgb.data.iter().all(|v| (0.0..=1.0).contains(v)));
}
