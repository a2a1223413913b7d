//! Patches of pixels and back.

use super::*;

#[test]
fn patches_and_back() {
    let (size, c, patch) = ([2, 3, 5], 3, 2);
    let [t, h, w] = size;
    let channels = c * patch * patch;
    // Small integers, which bf16 holds exactly.
    let pixels: Vec<f32> = (0..t * h * w * channels).map(|i| (i % 251) as f32).collect();
    for format in formats() {
        // A convolution with a border and room for frames before.
        let conv = Conv::new(
            format,
            ConvSpec::new(channels, 1, [2, 3, 3]),
            &vec![0.0; channels * 18],
            vec![0.0],
        );
        let mut operand = poisoned();
        conv.shape(&mut operand, size);
        fill_patches(format, &pixels, patch, &mut operand);
        let layout = operand.layout();
        let patches: Vec<f32> = (0..t * h * w)
            .flat_map(|i| {
                let at = layout.inner(i / w % h, i % w);
                let words = &operand.frame(1 + i / (h * w))[at..at + layout.position];
                let value = move |channel: usize| match format.dtype {
                    Number::F32 => f32::from_bits(words[channel]),
                    Number::Bf16 => {
                        f32::from_bits(words[channel / 2] << (16 * (1 - channel % 2)) & 0xffff_0000)
                    }
                };
                (0..channels).map(value).collect::<Vec<f32>>()
            })
            .collect();
        // Channel (c, column, row) of the first patch: pixels of rows of 30 values.
        assert_eq!(
            patches[..12],
            [0.0, 30.0, 3.0, 33.0, 1.0, 31.0, 4.0, 34.0, 2.0, 32.0, 5.0, 35.0]
        );
        let mut back = vec![f32::NAN; pixels.len()];
        unpatchify(&patches, w, channels, patch, &mut back);
        assert_eq!(back, pixels);
    }
}
