//! Loads the model that a command line asks for.

use std::sync::Arc;

use anyhow::Context;
use latentbit_codec::bundle::Halves;
use latentbit_codec::{Bundle, Device, Dtype, Error, pipeline};
use latentbit_container::VideoStream;

use crate::args::{DtypeChoice, ModelArgs};
use crate::exit::usage;
use crate::models::resolve::{Choice, resolve};

/// The bundle of `--model`, else the one that is built in, on the device of `--device`; what is not wanted takes no memory.
pub fn load(args: &ModelArgs, halves: Halves) -> anyhow::Result<Arc<Bundle>> {
    let device = device(&args.device)?;
    let dtype = match args.dtype {
        DtypeChoice::Auto => device.dtype()?,
        DtypeChoice::Bf16 => Dtype::Bf16,
        DtypeChoice::F32 => Dtype::F32,
        DtypeChoice::F16 => Dtype::F16,
    };
    let choice = args.model.as_deref().map_or(Ok(Choice::BuiltIn), resolve)?;
    let bundle = match &choice {
        Choice::Path(path) => {
            Bundle::open_with(path, halves, &device, dtype).with_context(|| path.display().to_string())?
        }
        Choice::BuiltIn => built_in(halves, &device, dtype)?,
    };
    tracing::info!(
        "bundle {:?}, SHA-256 {}, {} with {}",
        bundle.id.name,
        bundle.id.sha256_hex(),
        bundle.dtype(),
        bundle.kernels()
    );
    Ok(Arc::new(bundle))
}

/// The device that `--device` asks for.
pub fn device(name: &str) -> anyhow::Result<Device> {
    name.parse().or_else(|error| match error {
        Error::Parameter { .. } => usage(format!("--device {name}: use auto, cpu, cuda or cuda:N")),
        other => usage(format!("--device {name}: {other}")),
    })
}

fn built_in(halves: Halves, device: &Device, dtype: Dtype) -> anyhow::Result<Bundle> {
    Bundle::embedded_with(halves, device, dtype).context("the built-in model; name another one with --model")
}

/// Checks that a stream, `place` in messages, was made with `bundle`.
pub fn check(bundle: &Bundle, video: &VideoStream, place: &str) -> anyhow::Result<()> {
    pipeline::check_bundle(bundle, video)
        .with_context(|| place.to_owned())
        .map_err(|error| match error.downcast_ref() {
            Some(Error::WrongBundle { .. }) => error.context("another model is needed; give it with --model"),
            _ => error,
        })
}
