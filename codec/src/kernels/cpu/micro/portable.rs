//! Plain Rust in a form that compilers vectorise, for every other CPU: 4 rows by one panel.

use super::{Block, Kernel};
use crate::kernels::cpu::words::PANEL;

const ROWS: usize = 4;

pub(super) const F32: Kernel = Kernel {
    rows: ROWS,
    panels: 1,
    run: f32_block,
    release: None,
};
pub(super) const BF16: Kernel = Kernel {
    rows: ROWS,
    panels: 1,
    run: bf16_block,
    release: None,
};

unsafe fn f32_block(k: Block<'_>) {
    // SAFETY: the caller vouches for the bounds.
    unsafe { by_rows(k, |sum, a, b| *sum += f32::from_bits(a) * f32::from_bits(b)) }
}

unsafe fn bf16_block(k: Block<'_>) {
    let low = |word: u32| f32::from_bits(word << 16);
    let high = |word: u32| f32::from_bits(word & 0xffff_0000);
    // SAFETY: the caller vouches for the bounds.
    unsafe { by_rows(k, |sum, a, b| *sum += low(a) * low(b) + high(a) * high(b)) }
}

#[inline(always)]
unsafe fn by_rows(k: Block<'_>, step: impl Fn(&mut f32, u32, u32)) {
    // SAFETY: the caller vouches for the bounds.
    unsafe {
        match k.rows {
            1 => sized::<1>(k, step),
            2 => sized::<2>(k, step),
            3 => sized::<3>(k, step),
            _ => sized::<ROWS>(k, step),
        }
    }
}

#[inline(always)]
unsafe fn sized<const R: usize>(k: Block<'_>, step: impl Fn(&mut f32, u32, u32)) {
    let mut sums = [[0.0_f32; PANEL]; R];
    let mut b = k.b;
    for segment in k.segments {
        // SAFETY: the caller vouches that rows and panels lie within their slices, for all of this function.
        unsafe {
            let a = segment.as_ptr().add(k.a_start);
            for i in 0..k.steps {
                let panel: [u32; PANEL] = b.cast::<[u32; PANEL]>().read();
                b = b.add(PANEL);
                for (r, sums) in sums.iter_mut().enumerate() {
                    let word = a.add(r * k.a_stride + i).read();
                    for (sum, &column) in sums.iter_mut().zip(&panel) {
                        step(sum, word, column);
                    }
                }
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        // SAFETY: as above.
        let c = unsafe { std::slice::from_raw_parts_mut(k.c.add(r * k.c_stride), PANEL) };
        for (c, &sum) in c.iter_mut().zip(sums) {
            *c = if k.accumulate { *c + sum } else { sum };
        }
    }
}
