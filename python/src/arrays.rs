//! Tokens and pictures as numpy arrays. Vectors become arrays without a copy.

use latentbit_codec::Frame;
use latentbit_container::{DepthMap, TokenGrid, Tokens, bit_mask};
use numpy::ndarray::ArrayView3;
use numpy::{Element, IntoPyArray, PyArrayMethods, PyReadonlyArray3, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

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

/// A picture from Python: height, width, RGB.
#[derive(FromPyObject)]
pub enum Picture<'py> {
    /// From 0 to 255.
    Bytes(PyReadonlyArray3<'py, u8>),
    /// From 0 to 1.
    Floats(PyReadonlyArray3<'py, f32>),
}

impl Picture<'_> {
    pub fn frame(&self) -> Frame {
        match self {
            Self::Bytes(array) => frame_of_bytes(array.as_array()),
            Self::Floats(array) => frame_of_floats(array.as_array()),
        }
    }
}

pub fn frame_of_bytes(view: ArrayView3<'_, u8>) -> Frame {
    let (height, width, _) = view.dim();
    let data = view.iter().map(|&value| f32::from(value) / 255.0).collect();
    Frame { width, height, data }
}

pub fn frame_of_floats(view: ArrayView3<'_, f32>) -> Frame {
    let (height, width, _) = view.dim();
    let data = view.iter().copied().collect();
    Frame { width, height, data }
}

/// A frame as an array (height, width, RGB) of f32 from 0 to 1, or else of u8.
pub fn pixels(py: Python<'_>, frame: Frame, floats: bool) -> PyResult<Bound<'_, PyAny>> {
    let shape = [frame.height, frame.width, 3];
    if floats {
        return array(py, frame.data, shape);
    }
    let bytes = py.detach(|| {
        let values = frame.data.iter();
        // Casts saturate, and NaN becomes 0.
        values
            .map(|value| (value * 255.0).round() as u8)
            .collect::<Vec<u8>>()
    });
    array(py, bytes, shape)
}

/// Tokens of the depths that a caller gives, if it gives any; `step` is that of the stream.
pub fn with_depths(
    tokens: Tokens,
    step: Option<u8>,
    depths: Option<&PyReadonlyArray3<'_, u8>>,
) -> PyResult<Tokens> {
    let (step, depths) = match (step, depths) {
        (None, None) => return Ok(tokens),
        (Some(step), Some(depths)) => (step, depths),
        (Some(_), None) => {
            return Err(PyTypeError::new_err(
                "depths: this video is elastic (depth_step); say how many bits each token has",
            ));
        }
        (None, Some(_)) => {
            return Err(PyTypeError::new_err(
                "depths: this video is not elastic; give it a depth_step, or leave them out",
            ));
        }
    };
    let grid = tokens.grid;
    if depths.shape() != sides(grid) {
        return Err(PyValueError::new_err(format!(
            "depths: expected the shape of the tokens, {:?}, found {:?}",
            sides(grid),
            depths.shape()
        )));
    }
    let values: Vec<u8> = depths.as_array().iter().copied().collect();
    let mut pairs = tokens.values.iter().zip(&values);
    if let Some((token, depth)) = pairs.find(|&(&token, &depth)| token & !bit_mask(depth) != 0) {
        return Err(PyValueError::new_err(format!(
            "depths: the token {token:#x} has bits beyond its depth of {depth}; make them zero"
        )));
    }
    Ok(tokens.with_depths(DepthMap { step, values }))
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
