use super::*;
use crate::kernels::cpu::tests::Random;

fn kernels() -> Vec<(String, Number, Kernel)> {
    let mut kernels = Vec::new();
    for kind in Kind::available() {
        for dtype in [Number::F32, Number::Bf16] {
            kernels.push((format!("{kind:?} {dtype:?}"), dtype, kernel(kind, dtype)));
        }
    }
    #[cfg(target_arch = "x86_64")]
    kernels.push(("tile model".to_owned(), Number::Bf16, amx::Model::BF16));
    kernels
}

fn value(dtype: Number, word: u32) -> Vec<f64> {
    match dtype {
        Number::F32 => vec![f32::from_bits(word).into()],
        Number::Bf16 => vec![
            f32::from_bits(word << 16).into(),
            f32::from_bits(word & 0xffff_0000).into(),
        ],
    }
}

fn words(dtype: Number, random: &mut Random, count: usize) -> Vec<u32> {
    let mut half = || random.value().to_bits() >> 16;
    (0..count)
        .map(|_| match dtype {
            Number::F32 => half() << 16 | half(),
            Number::Bf16 => half() << 16 | half(),
        })
        .collect()
}

/// Every kernel that this machine can run, on every block shape, against sums in f64.
#[test]
fn blocks_match_sums_in_f64() {
    let mut random = Random::new(1);
    for (name, dtype, kernel) in kernels() {
        for case in 0..150 {
            let rows = 1 + random.below(kernel.rows);
            let panels = 1 + random.below(kernel.panels);
            // The model of the tiles takes whole tiles only.
            let steps = if name == "tile model" {
                16 * (1 + random.below(3))
            } else {
                random.below(40)
            };
            let a_stride = steps + random.below(9);
            let row_block = rows * a_stride + steps;
            let segments: Vec<usize> = (0..1 + random.below(4)).map(|_| random.below(50)).collect();
            let a = words(dtype, &mut random, 50 + row_block);
            let b_stride = segments.len() * steps * PANEL + 16 * random.below(3);
            let b = words(dtype, &mut random, panels * b_stride);
            let c_stride = panels * PANEL + random.below(20);
            let accumulate = case % 2 == 1;
            let before: Vec<f32> = (0..rows * c_stride).map(|_| random.value()).collect();
            let mut c = before.clone();
            if !accumulate {
                c.fill(f32::NAN);
            }
            let slices: Vec<&[u32]> = segments.iter().map(|&segment| &a[segment..]).collect();
            let a_start = random.below(2) * (50 - segments.iter().max().unwrap());
            let block = Block {
                segments: &slices,
                a_start,
                a_stride,
                steps,
                b: b.as_ptr(),
                b_stride,
                c: c.as_mut_ptr(),
                c_stride,
                rows,
                panels,
                accumulate,
            };
            // SAFETY: the slices above hold all that the block names, and the machine has the kernel.
            unsafe { (kernel.run)(block) };
            for row in 0..rows {
                for column in 0..c_stride {
                    let found = c[row * c_stride + column];
                    if column >= panels * PANEL {
                        assert!(if accumulate {
                            found == before[row * c_stride + column]
                        } else {
                            found.is_nan()
                        });
                        continue;
                    }
                    let mut sum = if accumulate {
                        f64::from(before[row * c_stride + column])
                    } else {
                        0.0
                    };
                    let mut size = sum.abs();
                    for (s, &segment) in segments.iter().enumerate() {
                        for step in 0..steps {
                            let left = value(dtype, a[segment + a_start + row * a_stride + step]);
                            let at = column / PANEL * b_stride + (s * steps + step) * PANEL + column % PANEL;
                            for (l, r) in left.iter().zip(value(dtype, b[at])) {
                                sum += l * r;
                                size += (l * r).abs();
                            }
                        }
                    }
                    let error = (f64::from(found) - sum).abs();
                    assert!(error <= 1e-6 * size.max(1.0), "{name}: {found} {sum} of {size}");
                }
            }
        }
    }
}

#[test]
fn products_are_cut_into_blocks() {
    let mut random = Random::new(2);
    for kind in Kind::available() {
        for dtype in [Number::F32, Number::Bf16] {
            let (rows, panels, steps) = (
                1 + random.below(70),
                1 + random.below(7),
                16 * (1 + random.below(2)),
            );
            let a = words(dtype, &mut random, rows * steps);
            let b = words(dtype, &mut random, panels * steps * PANEL);
            let mut c = vec![f32::NAN; rows * panels * PANEL];
            product(
                kind,
                dtype,
                Product {
                    segments: &[&a],
                    a_stride: steps,
                    steps,
                    b: &b,
                    b_stride: steps * PANEL,
                    c: &mut c,
                    c_stride: panels * PANEL,
                    rows,
                    panels,
                    accumulate: false,
                },
            );
            for (i, &found) in c.iter().enumerate() {
                let (row, column) = (i / (panels * PANEL), i % (panels * PANEL));
                let mut sum = 0.0;
                for step in 0..steps {
                    let right = b[(column / PANEL * steps + step) * PANEL + column % PANEL];
                    let pairs = value(dtype, a[row * steps + step])
                        .into_iter()
                        .zip(value(dtype, right));
                    sum += pairs.map(|(l, r)| l * r).sum::<f64>();
                }
                assert!(
                    (f64::from(found) - sum).abs() < 1e-4,
                    "{kind:?} {dtype:?}: {found} {sum}"
                );
            }
        }
    }
}

#[test]
fn shares_cover_everything_once() {
    for length in 0..60 {
        for most in 1..10 {
            let mut next = 0;
            for share in Shares::new(length, most) {
                assert_eq!(share.start, next);
                assert!((1..=most).contains(&share.len));
                next += share.len;
            }
            assert_eq!(next, length);
        }
    }
}
