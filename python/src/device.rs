//! Where models compute.

use latentbit_codec::Device;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// The device of this name: `cpu`, `cuda` or `cuda:N`, or `auto` for the fastest that there is.
pub fn named(name: &str) -> PyResult<Device> {
    name.parse()
        .map_err(|error| PyValueError::new_err(format!("device: {error}")))
}
