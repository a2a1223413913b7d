//! Between what came before and what comes after.

use candle_core::Tensor;
use rayon::prelude::*;

use crate::error::Result;
use crate::frame::Frame;

/// The frame that is `part` of `whole` steps on the way from `before` to `after`.
pub(in crate::pipeline) fn blended_frame(before: &Frame, after: &Frame, part: u64, whole: u64) -> Frame {
    let weight = part as f32 / whole.max(1) as f32;
    let pairs = before.data.par_iter().zip(&after.data);
    Frame {
        width: before.width,
        height: before.height,
        data: pairs.map(|(a, b)| a + (b - a) * weight).collect(),
    }
}

/// `count` latent frames (count, h, w, C) at even steps between two of (1, h, w, C), or copies of the one that there is.
/// None if there is none.
pub(in crate::pipeline) fn blended_latents(
    before: Option<&Tensor>,
    after: Option<&Tensor>,
    count: usize,
) -> Result<Option<Tensor>> {
    let steps = match (before, after) {
        (Some(before), Some(after)) => (1..=count)
            .map(|step| {
                let weight = step as f64 / (count + 1) as f64;
                (before * (1.0 - weight))? + (after * weight)?
            })
            .collect::<candle_core::Result<Vec<_>>>()?,
        (Some(one), None) | (None, Some(one)) => vec![one.clone(); count],
        (None, None) => return Ok(None),
    };
    Ok(Some(Tensor::cat(&steps, 0)?))
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn steps_are_even() {
        let frame = |value| Frame {
            width: 1,
            height: 1,
            data: vec![value; 3],
        };
        let found: Vec<f32> = (1..4)
            .map(|part| blended_frame(&frame(0.0), &frame(1.0), part, 4).data[2])
            .collect();
        assert_eq!(found, [0.25, 0.5, 0.75]);

        let latent = |value: f32| Tensor::full(value, (1, 1, 1, 2), &Device::Cpu).unwrap();
        let values = |tensor: Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let (a, b) = (latent(1.0), latent(4.0));
        let both = blended_latents(Some(&a), Some(&b), 2).unwrap().unwrap();
        assert_eq!(values(both), [2.0, 2.0, 3.0, 3.0]);
        let one = blended_latents(None, Some(&b), 2).unwrap().unwrap();
        assert_eq!(values(one), [4.0; 4]);
        assert!(blended_latents(None, None, 2).unwrap().is_none());
    }
}
