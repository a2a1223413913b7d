//! `latentbit info --device`.

use latentbit_codec::CpuInfo;
use serde::Serialize;

use crate::exit::{Exit, usage};
use crate::report;

#[derive(Debug, Serialize)]
struct Report {
    schema: &'static str,
    device: &'static str,
    kernels: String,
    available: Vec<String>,
    dtype: String,
    threads: usize,
}

/// Tells what a device computes with.
pub fn run(device: &str, json: bool) -> anyhow::Result<Exit> {
    if !matches!(device, "cpu" | "auto") {
        return usage(format!(
            "--device {device}: this build computes on the CPU only; use cpu"
        ));
    }
    let info = CpuInfo::detect()?;
    let report = Report {
        schema: "latentbit.device/1",
        device: "cpu",
        kernels: info.kernels,
        available: info.available,
        dtype: info.dtype.to_string(),
        threads: info.threads,
    };
    if json {
        report::print(&report, false)?;
    } else {
        report::print_text(&format!(
            "cpu\n  kernels    {}\n  available  {}\n  dtype      {}\n  threads    {}",
            report.kernels,
            report.available.join(", "),
            report.dtype,
            report.threads
        ))?;
    }
    Ok(Exit::Success)
}
