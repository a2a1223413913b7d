//! Frames and latent frames as separate types, and the arithmetic between them (LBIT §5.6).
//!
//! A causal VAE with time stride `s_t` turns the first frame of a group into one latent frame and every `s_t`
//! frames after it into one more. So a key chunk of `L` latent frames holds `1 + s_t·(L − 1)` frames, and a chunk
//! that continues a group holds `s_t·L`.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

macro_rules! count {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl $name {
            /// The sum, or `None` if it does not fit.
            #[must_use]
            pub const fn checked_add(self, other: Self) -> Option<Self> {
                match self.0.checked_add(other.0) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }

            /// The difference, or `None` if `other` is larger.
            #[must_use]
            pub const fn checked_sub(self, other: Self) -> Option<Self> {
                match self.0.checked_sub(other.0) {
                    Some(difference) => Some(Self(difference)),
                    None => None,
                }
            }

            /// The difference, or zero if `other` is larger.
            #[must_use]
            pub const fn saturating_sub(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        /// Overflows as `u64` addition does; see `checked_add` for numbers from outside.
        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }

        /// Overflows as `u64` addition does; see `checked_add` for numbers from outside.
        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                self.0 += other.0;
            }
        }

        /// Overflows as `u64` subtraction does; see `checked_sub` for numbers from outside.
        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0 - other.0)
            }
        }

        impl From<$name> for u64 {
            fn from(count: $name) -> u64 {
                count.0
            }
        }
    };
}

count! {
    /// A number of pictures, or the index of one.
    PixelFrames
}

count! {
    /// A number of time steps of the VAE's latent, or the index of one.
    LatentFrames
}

/// How many frames a chunk of `latent` latent frames holds, padding included (LBIT §5.6).
///
/// `time_stride` is `s_t`, the first of [`VideoStream::strides`](crate::VideoStream::strides). A stride of 0 is no legal
/// description; it counts as 1 here, and results too large for `u64` saturate, so that the function is total.
///
/// ```
/// use latentbit_container::units::{LatentFrames, PixelFrames, frames_held};
/// assert_eq!(frames_held(LatentFrames(4), 4, true), PixelFrames(13));
/// assert_eq!(frames_held(LatentFrames(4), 4, false), PixelFrames(16));
/// ```
#[must_use]
pub const fn frames_held(latent: LatentFrames, time_stride: u8, key: bool) -> PixelFrames {
    let stride = if time_stride == 0 { 1 } else { time_stride as u64 };
    PixelFrames(match (latent.0, key) {
        (0, _) => 0,
        (n, true) => (n - 1).saturating_mul(stride).saturating_add(1),
        (n, false) => n.saturating_mul(stride),
    })
}

/// The fewest latent frames whose chunk holds `frames` frames (LBIT §5.6); the inverse of [`frames_held`].
///
/// ```
/// use latentbit_container::units::{LatentFrames, PixelFrames, latent_frames_needed};
/// assert_eq!(latent_frames_needed(PixelFrames(1), 4, true), LatentFrames(1));
/// assert_eq!(latent_frames_needed(PixelFrames(2), 4, true), LatentFrames(2));
/// assert_eq!(latent_frames_needed(PixelFrames(16), 4, false), LatentFrames(4));
/// ```
#[must_use]
pub const fn latent_frames_needed(frames: PixelFrames, time_stride: u8, key: bool) -> LatentFrames {
    let stride = if time_stride == 0 { 1 } else { time_stride as u64 };
    LatentFrames(match (frames.0, key) {
        (0, _) => 0,
        (n, true) => ((n - 1).div_ceil(stride)).saturating_add(1),
        (n, false) => n.div_ceil(stride),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn design_sizes() {
        assert_eq!(frames_held(LatentFrames(1), 4, true), PixelFrames(1));
        assert_eq!(frames_held(LatentFrames(4), 4, true), PixelFrames(13));
        assert_eq!(frames_held(LatentFrames(4), 4, false), PixelFrames(16));
        assert_eq!(frames_held(LatentFrames(0), 4, true), PixelFrames(0));
        assert_eq!(frames_held(LatentFrames(3), 1, true), PixelFrames(3));
    }

    #[test]
    fn needed_is_the_least_that_holds() {
        for stride in 0..=9 {
            for key in [false, true] {
                for n in 1..200 {
                    let latent = latent_frames_needed(PixelFrames(n), stride, key);
                    assert!(frames_held(latent, stride, key).0 >= n);
                    assert!(frames_held(LatentFrames(latent.0 - 1), stride, key).0 < n);
                }
            }
        }
    }

    #[test]
    fn extremes_do_not_overflow() {
        assert_eq!(
            frames_held(LatentFrames(u64::MAX), 255, true),
            PixelFrames(u64::MAX)
        );
        assert_eq!(
            latent_frames_needed(PixelFrames(u64::MAX), 1, true),
            LatentFrames(u64::MAX)
        );
        assert_eq!(PixelFrames(u64::MAX).checked_add(PixelFrames(1)), None);
        assert_eq!(LatentFrames(1).checked_sub(LatentFrames(2)), None);
        assert_eq!(LatentFrames(1).saturating_sub(LatentFrames(2)), LatentFrames(0));
    }
}
