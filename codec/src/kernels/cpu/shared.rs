//! Memory that tasks write to side by side, each in places of its own.

use std::marker::PhantomData;
use std::ops::Range;

/// A slice that several threads may write to at once.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Shared<'a, T> {
    start: *mut T,
    len: usize,
    life: PhantomData<&'a mut [T]>,
}

// SAFETY: it is a mutable slice; what threads do with their parts is the contract of `part`.
unsafe impl<T: Send> Send for Shared<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub(in crate::kernels) fn new(slice: &'a mut [T]) -> Self {
        Self {
            start: slice.as_mut_ptr(),
            len: slice.len(),
            life: PhantomData,
        }
    }

    /// A part of the slice.
    ///
    /// # Safety
    /// No two parts that live at the same time overlap.
    ///
    /// # Panics
    /// If the range is not within the slice.
    #[inline]
    pub(in crate::kernels) unsafe fn part(&self, range: Range<usize>) -> &'a mut [T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: the range is within the slice, which lives for 'a, and the caller vouches that nobody else has it.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.end - range.start) }
    }
}
