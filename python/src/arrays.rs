//! Tokens as numpy arrays. Vectors become arrays without a copy.

use latentbit_container::{Chunk, TokenGrid, Tokens};
use numpy::{Element, IntoPyArray, PyArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::error::UnsupportedError;

/// The sides of a grid.
pub fn sides(grid: TokenGrid) -> [usize; 3] {
    [grid.t, grid.h, grid.w].map(|side| side as usize)
}

/// The vector as a numpy array of this shape.
pub fn array<'py, T: Element, const N: usize>(
    py: Python<'py>,
    values: Vec<T>,
    shape: [usize; N],
) -> PyResult<Bound<'py, PyAny>>
where
    [usize; N]: numpy::ndarray::IntoDimension,
{
    Ok(values.into_pyarray(py).reshape(shape)?.into_any())
}

/// The tokens of a chunk for an array, which has a place for all bits of all tokens. Those with depths are refused: as zeros,
/// absent bits would be taken for tokens.
pub fn plain(chunk: Chunk) -> PyResult<Tokens> {
    match chunk.tokens.depths {
        None => Ok(chunk.tokens),
        Some(_) => Err(UnsupportedError::new_err(format!(
            "chunk {}: its tokens have depths, and arrays have no place for them yet; decode the file instead",
            chunk.sequence
        ))),
    }
}

/// Tokens as 32-bit numbers where these suffice and `wide` is not set, else as 64-bit numbers.
pub enum Numbers {
    Narrow(Vec<u32>),
    Wide(Vec<u64>),
}

impl Numbers {
    pub fn new(tokens: Tokens, wide: bool) -> Self {
        match wide || tokens.bits > 32 {
            true => Self::Wide(tokens.values),
            // Loses nothing: tokens have no more than 32 bits here.
            false => Self::Narrow(tokens.values.iter().map(|&value| value as u32).collect()),
        }
    }

    pub fn into_array(self, py: Python<'_>, grid: TokenGrid) -> PyResult<Bound<'_, PyAny>> {
        match self {
            Self::Narrow(values) => array(py, values, sides(grid)),
            Self::Wide(values) => array(py, values, sides(grid)),
        }
    }
}

/// The bits of each token in turn, the most important one first: a byte for each, 0 or 1.
pub fn bits(tokens: &Tokens) -> Vec<u8> {
    /// The bits of every byte, bit 0 first.
    const SPREAD: [[u8; 8]; 256] = {
        let mut table = [[0; 8]; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut bit = 0;
            while bit < 8 {
                table[byte][bit] = (byte >> bit & 1) as u8;
                bit += 1;
            }
            byte += 1;
        }
        table
    };
    let count = usize::from(tokens.bits);
    let mut out = vec![0; tokens.values.len() * count];
    for (to, value) in out.chunks_exact_mut(count.max(1)).zip(&tokens.values) {
        for (eight, byte) in to.chunks_mut(8).zip(value.to_le_bytes()) {
            for (bit, &known) in eight.iter_mut().zip(&SPREAD[usize::from(byte)]) {
                *bit = known;
            }
        }
    }
    out
}

/// The planes in turn, the most important one first: a byte for each token, 0 or 1.
pub fn planes(tokens: &Tokens) -> Vec<u8> {
    let mut out = Vec::with_capacity(tokens.values.len() * usize::from(tokens.bits));
    for plane in 0..tokens.bits {
        out.extend(tokens.values.iter().map(|value| (value >> plane & 1) as u8));
    }
    out
}

/// Checks the number of planes that a caller asks for; all `there` are if it asks for none.
pub fn check_planes(asked: Option<u8>, there: u8) -> PyResult<u8> {
    match asked {
        None => Ok(there),
        Some(asked) if (1..=there).contains(&asked) => Ok(asked),
        Some(asked) => Err(PyValueError::new_err(format!(
            "expected 1 to {there} bits per token, found {asked}"
        ))),
    }
}
