//! AMX: 32 rows by 2 panels of bf16, four of the eight tiles hold sums.
//!
//! Rust has no stable intrinsics for tiles, so the six instructions are inline assembly behind [`Tiles`]. Tests run the
//! same blocks on a model of the tiles in plain Rust, so that all but those instructions is tested on every machine.

use std::arch::asm;

use super::{Block, Kernel, Shares, avx512};
use crate::kernels::cpu::words::PANEL;

pub(super) const BF16: Kernel = Kernel {
    rows: 2 * ROWS,
    panels: 2,
    run: bf16_block,
    release: Some(release),
};

/// Rows of a tile, and words in each of its rows.
const ROWS: usize = 16;

// Names of tiles: sums of (row half, panel), row halves, panels.
const SUM: [i32; 4] = [0, 1, 2, 3];
const LEFT: [i32; 2] = [4, 5];
const RIGHT: [i32; 2] = [6, 7];

/// How many rows each tile has; all rows are 64 bytes.
#[repr(C, align(64))]
struct Config {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

impl Config {
    /// For `rows` (at most 32) rows of sums.
    fn new(rows: usize) -> Self {
        let mut config = Self {
            palette: 1,
            start_row: 0,
            reserved: [0; 14],
            row_bytes: [0; 16],
            rows: [0; 16],
        };
        let top = rows.min(ROWS);
        // A tile that is not used still needs a row.
        let halves = [top, (rows - top).max(1)];
        let mut set = |tile: i32, rows: usize| {
            config.rows[tile as usize] = rows as u8;
            config.row_bytes[tile as usize] = 64;
        };
        for half in 0..2 {
            set(SUM[2 * half], halves[half]);
            set(SUM[2 * half + 1], halves[half]);
            set(LEFT[half], halves[half]);
            set(RIGHT[half], ROWS);
        }
        config
    }
}

/// The tile instructions.
///
/// # Safety
/// Loads and stores touch as many rows of 64 bytes, `stride` bytes apart, as the configuration gives the tile.
trait Tiles {
    unsafe fn configure(&mut self, config: &Config);
    unsafe fn load<const T: i32>(&mut self, from: *const u32, stride: usize);
    unsafe fn store<const T: i32>(&mut self, to: *mut f32, stride: usize);
    unsafe fn dot<const C: i32, const A: i32, const B: i32>(&mut self);
}

struct Hardware;

// Callers have asked `Kind::available`, so the instructions exist; memory is as the trait's contract says.
impl Tiles for Hardware {
    #[inline(always)]
    unsafe fn configure(&mut self, config: &Config) {
        // SAFETY: reads the 64 bytes of the configuration. Tiles are set to zero.
        unsafe { asm!("ldtilecfg [{}]", in(reg) config, options(nostack, readonly, preserves_flags)) }
    }

    #[inline(always)]
    unsafe fn load<const T: i32>(&mut self, from: *const u32, stride: usize) {
        // SAFETY: see the trait.
        unsafe {
            asm!("tileloadd tmm{t}, [{p} + {s}*1]", t = const T, p = in(reg) from, s = in(reg) stride,
                 options(nostack, readonly, preserves_flags));
        }
    }

    #[inline(always)]
    unsafe fn store<const T: i32>(&mut self, to: *mut f32, stride: usize) {
        // SAFETY: see the trait.
        unsafe {
            asm!("tilestored [{p} + {s}*1], tmm{t}", t = const T, p = in(reg) to, s = in(reg) stride,
                 options(nostack, preserves_flags));
        }
    }

    #[inline(always)]
    unsafe fn dot<const C: i32, const A: i32, const B: i32>(&mut self) {
        // SAFETY: touches tiles only.
        unsafe {
            asm!("tdpbf16ps tmm{c}, tmm{a}, tmm{b}", c = const C, a = const A, b = const B,
                 options(nostack, nomem, preserves_flags));
        }
    }
}

/// Gives the tiles back, so that the kernel need not save them for this thread.
fn release() {
    // SAFETY: called after products on a machine with AMX; tiles hold nothing that is needed.
    unsafe { asm!("tilerelease", options(nostack, nomem, preserves_flags)) }
}

unsafe fn bf16_block(k: Block<'_>) {
    // SAFETY: the caller vouches for the features and the bounds.
    unsafe {
        if k.steps.is_multiple_of(ROWS) {
            tiled(&mut Hardware, k);
        } else {
            by_registers(k);
        }
    }
}

/// A block whose segments are no whole tiles, with the kernels of AVX-512.
unsafe fn by_registers(k: Block<'_>) {
    for row in Shares::new(k.rows, avx512::BF16_DOT.rows) {
        // SAFETY: a part of the block, within the same bounds.
        unsafe {
            (avx512::BF16_DOT.run)(Block {
                a_start: k.a_start + row.start * k.a_stride,
                c: k.c.add(row.start * k.c_stride),
                rows: row.len,
                ..k
            });
        }
    }
}

/// A block of at most 32 rows and 2 panels.
#[inline(always)]
unsafe fn tiled<T: Tiles>(tiles: &mut T, k: Block<'_>) {
    let (tall, wide) = (k.rows > ROWS, k.panels > 1);
    let (a_bytes, c_bytes) = (k.a_stride * 4, k.c_stride * 4);
    // SAFETY: tiles have as many rows as the block has left, so all loads and stores are within its bounds.
    unsafe {
        tiles.configure(&Config::new(k.rows));
        let c = |half: usize, panel: usize| k.c.add(half * ROWS * k.c_stride + panel * PANEL);
        if k.accumulate {
            tiles.load::<0>(c(0, 0).cast(), c_bytes);
            if wide {
                tiles.load::<1>(c(0, 1).cast(), c_bytes);
            }
            if tall {
                tiles.load::<2>(c(1, 0).cast(), c_bytes);
                if wide {
                    tiles.load::<3>(c(1, 1).cast(), c_bytes);
                }
            }
        }
        let mut b = k.b;
        for segment in k.segments {
            for step in (0..k.steps).step_by(ROWS) {
                let a = segment.as_ptr().add(k.a_start + step);
                tiles.load::<4>(a, a_bytes);
                tiles.load::<6>(b, 64);
                tiles.dot::<0, 4, 6>();
                if wide {
                    tiles.load::<7>(b.add(k.b_stride), 64);
                    tiles.dot::<1, 4, 7>();
                }
                if tall {
                    tiles.load::<5>(a.add(ROWS * k.a_stride), a_bytes);
                    tiles.dot::<2, 5, 6>();
                    if wide {
                        tiles.dot::<3, 5, 7>();
                    }
                }
                b = b.add(ROWS * PANEL);
            }
        }
        tiles.store::<0>(c(0, 0), c_bytes);
        if wide {
            tiles.store::<1>(c(0, 1), c_bytes);
        }
        if tall {
            tiles.store::<2>(c(1, 0), c_bytes);
            if wide {
                tiles.store::<3>(c(1, 1), c_bytes);
            }
        }
    }
}

/// A model of the tiles, after Intel's description of the instructions.
#[cfg(test)]
pub(super) struct Model {
    rows: [usize; 8],
    tiles: [[[u32; 16]; ROWS]; 8],
}

#[cfg(test)]
impl Model {
    /// The kernel, on the model instead of the hardware.
    pub(super) const BF16: Kernel = Kernel {
        rows: 2 * ROWS,
        panels: 2,
        run: model_block,
        release: None,
    };
}

#[cfg(test)]
unsafe fn model_block(k: Block<'_>) {
    let mut model = Model {
        rows: [0; 8],
        // What a tile holds before it is written must not matter.
        tiles: [[[0x7fc1_7fc1; 16]; ROWS]; 8],
    };
    assert!(k.steps.is_multiple_of(ROWS));
    // SAFETY: the model touches the same memory as the hardware.
    unsafe { tiled(&mut model, k) }
}

#[cfg(test)]
impl Tiles for Model {
    unsafe fn configure(&mut self, config: &Config) {
        assert_eq!(config.palette, 1);
        for tile in 0..8 {
            self.rows[tile] = config.rows[tile].into();
            assert!((1..=ROWS).contains(&self.rows[tile]) && config.row_bytes[tile] == 64);
        }
        self.tiles = [[[0; 16]; ROWS]; 8];
    }

    unsafe fn load<const T: i32>(&mut self, from: *const u32, stride: usize) {
        for row in 0..self.rows[T as usize] {
            // SAFETY: see the trait.
            let row_of_memory = unsafe { from.byte_add(row * stride).cast::<[u32; 16]>().read() };
            self.tiles[T as usize][row] = row_of_memory;
        }
    }

    unsafe fn store<const T: i32>(&mut self, to: *mut f32, stride: usize) {
        for row in 0..self.rows[T as usize] {
            // SAFETY: see the trait.
            unsafe {
                to.byte_add(row * stride)
                    .cast::<[u32; 16]>()
                    .write(self.tiles[T as usize][row]);
            }
        }
    }

    unsafe fn dot<const C: i32, const A: i32, const B: i32>(&mut self) {
        let half = |word: u32, part: u32| f32::from_bits(word << (16 * (1 - part)) & 0xffff_0000);
        let [c, a, b] = [C, A, B].map(|tile| tile as usize);
        assert_eq!(self.rows[c], self.rows[a]);
        for row in 0..self.rows[c] {
            for column in 0..16 {
                let mut sum = f32::from_bits(self.tiles[c][row][column]);
                for k in 0..self.rows[b] {
                    for part in 0..2 {
                        sum += half(self.tiles[a][row][k], part) * half(self.tiles[b][k][column], part);
                    }
                }
                self.tiles[c][row][column] = sum.to_bits();
            }
        }
    }
}
