//! The plain values that go in and out of networks.

use std::fmt;
use std::ops::Range;

use crate::error::{Error, Result};

/// f32 values on the CPU with a shape, in row-major order: the last side is the one whose values lie side by side.
///
/// Frames are (T, H, W, 3), latents (T', h, w, C), the outputs of a tokenizer's encoder (tokens, D). With the feature
/// `candle` there are conversions from and to `candle_core::Tensor`.
///
/// ```
/// use latentbit_codec::Volume;
///
/// let frames = Volume::new(&[2, 4, 4, 3], vec![0.5; 96])?;
/// assert_eq!(frames.part(1..2)?.shape(), [1, 4, 4, 3]);
/// # Ok::<(), latentbit_codec::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Volume {
    /// The first `rank` count, the others are 0.
    sides: [usize; Self::MAX_RANK],
    rank: usize,
    /// As many as the product of the sides.
    data: Vec<f32>,
}

impl Volume {
    /// The most sides that a shape can have.
    pub const MAX_RANK: usize = 5;

    /// Values of this shape.
    ///
    /// # Errors
    /// [`Error::Shape`] if the shape has more than [`MAX_RANK`](Self::MAX_RANK) sides or stands for another number of
    /// values.
    pub fn new(shape: &[usize], data: Vec<f32>) -> Result<Self> {
        let values = shape
            .iter()
            .try_fold(1usize, |values, &side| values.checked_mul(side));
        if shape.len() > Self::MAX_RANK || values != Some(data.len()) {
            let expected = format!(
                "of at most {} sides and of {} values, which were given",
                Self::MAX_RANK,
                data.len()
            );
            return Err(Error::shape("volume", shape, expected));
        }
        let mut sides = [0; Self::MAX_RANK];
        sides[..shape.len()].copy_from_slice(shape);
        Ok(Self {
            sides,
            rank: shape.len(),
            data,
        })
    }

    /// Zeros.
    ///
    /// # Errors
    /// As for [`Volume::new`].
    pub fn zeros(shape: &[usize]) -> Result<Self> {
        let values = shape
            .iter()
            .try_fold(1usize, |values, &side| values.checked_mul(side))
            .ok_or_else(|| Error::shape("volume", shape, "of values that memory can hold"))?;
        Self::new(shape, vec![0.0; values])
    }

    /// The length of each side.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.sides[..self.rank]
    }

    /// All values, in row-major order.
    #[must_use]
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// All values, to be changed in place.
    #[must_use]
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// All values, without a copy.
    #[must_use]
    pub fn into_data(self) -> Vec<f32> {
        self.data
    }

    /// The length of the first side: frames or latent frames where there are four sides. 0 if there are none.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shape().first().copied().unwrap_or(0)
    }

    /// A copy of what lies at `range` of the first side.
    ///
    /// # Errors
    /// [`Error::Shape`] if `range` is not within it.
    pub fn part(&self, range: Range<usize>) -> Result<Self> {
        if range.start > range.end || range.end > self.count() {
            let expected = format!("one of which {range:?} is a part");
            return Err(Error::shape("volume", self.shape(), expected));
        }
        let each = self.data.len() / self.count().max(1);
        let mut sides = self.sides;
        sides[0] = range.len();
        Ok(Self {
            sides,
            rank: self.rank,
            data: self.data[range.start * each..range.end * each].to_vec(),
        })
    }

    /// `parts` one after the other along the first side.
    ///
    /// # Errors
    /// [`Error::Shape`] if there are none or if their other sides differ.
    pub fn concat(mut parts: Vec<Self>) -> Result<Self> {
        let Some((first, later)) = parts.split_first_mut() else {
            return Err(Error::shape("volume", &[], "there; parts must be at least one"));
        };
        first
            .data
            .reserve_exact(later.iter().map(|part| part.data.len()).sum());
        for part in later {
            if part.rank != first.rank || part.rank == 0 || part.sides[1..] != first.sides[1..] {
                let expected = format!(
                    "{:?} but for the first side, as the part before it",
                    first.shape()
                );
                return Err(Error::shape("volume", part.shape(), expected));
            }
            first.sides[0] += part.sides[0];
            first.data.append(&mut part.data);
        }
        Ok(parts.swap_remove(0))
    }

    /// (T, H, W, C); `what` names it in the error.
    pub(crate) fn four_sides(&self, what: &'static str) -> Result<[usize; 4]> {
        <[usize; 4]>::try_from(self.shape())
            .map_err(|_| Error::shape(what, self.shape(), "(time, height, width, channels)"))
    }
}

/// The shape, and the first values of it: all of them would fill pages.
impl fmt::Debug for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.data[..self.data.len().min(8)];
        write!(f, "Volume {:?} of {shown:?}", self.shape())?;
        f.write_str(if shown.len() < self.data.len() { "..." } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(shape: &[usize]) -> Volume {
        let values = (0..shape.iter().product()).map(|at: usize| at as f32);
        Volume::new(shape, values.collect()).unwrap()
    }

    #[test]
    fn shapes_are_those_of_their_values() {
        for (shape, values) in [
            (&[2, 3][..], 5),
            (&[usize::MAX, 2], 0),
            (&[1; 6], 1),
            (&[0, 3], 1),
            (&[], 0),
        ] {
            let error = Volume::new(shape, vec![0.0; values]).unwrap_err();
            assert!(matches!(error, Error::Shape { .. }), "{shape:?}: {error}");
        }
        assert!(Volume::zeros(&[usize::MAX, usize::MAX]).is_err());
        assert_eq!(Volume::new(&[], vec![1.0]).unwrap().count(), 0);
        let empty = Volume::zeros(&[0, 3]).unwrap();
        assert_eq!((empty.shape(), empty.count()), (&[0, 3][..], 0));
        assert_eq!(empty.part(0..0).unwrap(), empty);
        assert!(empty.four_sides("frames").is_err());
    }

    #[test]
    fn parts_make_the_whole() {
        let whole = counted(&[5, 2, 1, 3]);
        let parts: Vec<_> = [0..2, 2..2, 2..5].map(|range| whole.part(range).unwrap()).into();
        assert_eq!(parts[2].shape(), [3, 2, 1, 3]);
        assert_eq!(parts[2].data()[0], 12.0);
        assert_eq!(Volume::concat(parts).unwrap(), whole);
        #[expect(clippy::reversed_empty_ranges)]
        for range in [3..6, 4..3] {
            assert!(whole.part(range).is_err());
        }
        assert!(Volume::concat(Vec::new()).is_err());
        for other in [counted(&[1, 1, 2, 3]), counted(&[6])] {
            assert!(Volume::concat(vec![whole.clone(), other]).is_err());
        }
        let point = Volume::new(&[], vec![1.0]).unwrap();
        assert!(Volume::concat(vec![point.clone(), point]).is_err());
    }
}
