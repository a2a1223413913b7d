//! Where models compute.

use latentbit_codec::Device;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// The device of this name: `cpu`, or `auto` for the fastest that there is.
pub fn named(name: &str) -> PyResult<Device> {
    match name {
        "auto" | "cpu" => Ok(Device::Cpu),
        other => Err(PyValueError::new_err(format!(
            "device: expected auto or cpu, as this build computes on the CPU only, found {other:?}"
        ))),
    }
}
