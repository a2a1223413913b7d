//! `latentbit info --device`.

use latentbit_codec::{CpuInfo, Device};
use serde::Serialize;

use crate::exit::Exit;
use crate::{model, report};

#[derive(Debug, Serialize)]
struct DeviceReport {
    schema: &'static str,
    device: &'static str,
    kernels: String,
    available: Vec<String>,
    dtype: String,
    threads: usize,
}

/// Tells what a device computes with.
pub fn run(device: &str, json: bool) -> anyhow::Result<Exit> {
    let device = model::device(device)?;
    let info = CpuInfo::detect()?;
    let report = DeviceReport {
        schema: "latentbit.device/1",
        device: device.kind(),
        kernels: match &device {
            Device::Cpu => info.kernels,
            Device::Cuda(_) => device.to_string(),
        },
        available: info.available,
        dtype: device.dtype()?.to_string(),
        threads: info.threads,
    };
    if json {
        report::print(&report, false)?;
    } else {
        report::print_text(&format!(
            "{}\n  kernels    {}\n  available  {}\n  dtype      {}\n  threads    {}",
            report.device,
            report.kernels,
            report.available.join(", "),
            report.dtype,
            report.threads
        ))?;
    }
    Ok(Exit::Success)
}
