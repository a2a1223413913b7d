//! Resolves `--model` and `--device`, and loads the model.

use latentbit_media::text_of;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use latentbit_codec::bundle::Halves;
use latentbit_codec::{Bundle, Device, Dtype, Error, Predictor, pipeline};
use latentbit_container::VideoStream;

use crate::args::{DtypeChoice, ModelArgs};
use crate::exit::usage;
use crate::models::error::missing;
use crate::models::name::{BUILT_IN, KnownModel};
use crate::models::{Cache, Name};

/// SHA-256 of `models/compact.safetensors`, which was built in before version 0.2.
const COMPACT: &str = "6967eb990c5c8b3adcc2780853824190cc194dfe5ecd4bb5d5607a90f85638f9";

/// Loads the bundle of `--model`, else the built-in one, on the device of `--device`. Only the wanted halves take memory.
pub fn load(args: &ModelArgs, halves: Halves) -> anyhow::Result<Arc<Bundle>> {
    let choice = args.model.as_deref().map_or(Ok(Choice::BuiltIn), resolve)?;
    load_choice(&choice, args, halves)
}

/// Loads the bundle that made a stream, which messages call `place`: that of `--model`, else the built-in one, else the one
/// among the models on this machine whose SHA-256 the stream names.
///
/// # Errors
/// As for [`load`], and if none of these made the stream.
pub fn load_for(
    args: &ModelArgs,
    halves: Halves,
    video: &VideoStream,
    place: &str,
) -> anyhow::Result<Arc<Bundle>> {
    load_next_for(args, halves, video, place, None)
}

/// As [`load_for`], but takes `loaded`, with the same halves, if that is the one.
///
/// # Errors
/// As for [`load_for`].
pub fn load_next_for(
    args: &ModelArgs,
    halves: Halves,
    video: &VideoStream,
    place: &str,
    loaded: Option<Arc<Bundle>>,
) -> anyhow::Result<Arc<Bundle>> {
    let bundle = match loaded.filter(|bundle| bundle.id.sha256 == video.bundle.sha256) {
        Some(bundle) => bundle,
        None => load(args, halves)?,
    };
    let Err(mismatch) = check(&bundle, video, place) else {
        return Ok(bundle);
    };
    if args.model.is_some() || bundle.id.sha256 == video.bundle.sha256 {
        return Err(mismatch);
    }
    // Where no folder for models is known, none is on this machine.
    let stored = match Cache::from_env() {
        Ok(cache) => cache.bundle_with(&video.bundle.sha256_hex())?,
        Err(_) => None,
    };
    let Some(path) = stored else {
        return Err(mismatch);
    };
    let bundle = load_choice(&Choice::Path(path), args, halves)?;
    check(&bundle, video, place)?;
    Ok(bundle)
}

fn load_choice(choice: &Choice, args: &ModelArgs, halves: Halves) -> anyhow::Result<Arc<Bundle>> {
    let device = device(&args.device)?;
    let dtype = match args.dtype {
        DtypeChoice::Auto => device.dtype()?,
        DtypeChoice::Bf16 => Dtype::Bf16,
        DtypeChoice::F32 => Dtype::F32,
        DtypeChoice::F16 => Dtype::F16,
    };
    let bundle = match choice {
        Choice::Path(path) => {
            Bundle::open_with(path, halves, &device, dtype).with_context(|| text_of(path))?
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

/// Fails unless a stream, which messages call `place`, was made with `bundle`.
fn check(bundle: &Bundle, video: &VideoStream, place: &str) -> anyhow::Result<()> {
    pipeline::check_bundle(bundle, video)
        .with_context(|| place.to_owned())
        .map_err(|error| match error.downcast_ref() {
            Some(Error::WrongBundle { .. }) if video.bundle.sha256_hex() == COMPACT => error.context(
                "the model of version 0.1 is needed, models/compact.safetensors of the sources; give it with --model, or \
                 keep it once with `latentbit models add compact.safetensors`",
            ),
            Some(Error::WrongBundle { .. }) => error.context(
                "another model is needed; give it with --model, or keep it once with `latentbit models add`",
            ),
            _ => error,
        })
}

/// The predictor of `--predictor`, or else the built-in one; none if that one is for another bundle than `bundle`.
pub fn find_predictor(path: Option<&Path>, bundle: &Bundle) -> anyhow::Result<Option<Arc<Predictor>>> {
    let found = match path {
        Some(path) => {
            let predictor = Predictor::open(path, bundle, bundle.dtype());
            Some(predictor.with_context(|| text_of(path))?)
        }
        None => Predictor::embedded(bundle, bundle.dtype()).context("the built-in predictor")?,
    };
    Ok(found.map(Arc::new))
}

/// As [`find_predictor`], for work that cannot do without one.
pub fn load_predictor(path: Option<&Path>, bundle: &Bundle) -> anyhow::Result<Arc<Predictor>> {
    let none = || Error::Predictor {
        reason: format!(
            "none is built in for the bundle {:?}; train one for it and give it with --predictor",
            bundle.id.name
        ),
    };
    Ok(find_predictor(path, bundle)?.ok_or_else(none)?)
}

/// A model to load.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    /// The bundle inside the program.
    BuiltIn,
    /// A file or folder.
    Path(PathBuf),
}

/// Takes `given` as a path if that exists, else as a name.
///
/// # Errors
/// If it is neither; the message lists the names that there are.
fn resolve(given: &Path) -> anyhow::Result<Choice> {
    // A path that cannot be examined is still a path: opening it tells why.
    if given.try_exists().unwrap_or(true) {
        return Ok(Choice::Path(given.to_owned()));
    }
    if given == Path::new(BUILT_IN) {
        return Ok(Choice::BuiltIn);
    }
    resolve_in(&Cache::from_env()?, given)
}

fn resolve_in(cache: &Cache, given: &Path) -> anyhow::Result<Choice> {
    let text = given.to_str();
    if let Some(Ok(name)) = text.map(Name::new)
        && let Some(record) = cache.get(&name)?
    {
        return Ok(Choice::Path(record.path(&cache.folder(&name))));
    }
    let advice = match text.and_then(KnownModel::find) {
        Some(known) => format!("; get it with `latentbit models pull {}`", known.name),
        None => String::new(),
    };
    missing(format!(
        "{}: there is no such file, and it {}{advice}",
        text_of(given),
        cache.lacks()?
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::{Exit, message};

    #[test]
    fn paths_come_first() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            resolve(folder.path()).unwrap(),
            Choice::Path(folder.path().to_owned())
        );
        assert_eq!(resolve(Path::new(BUILT_IN)).unwrap(), Choice::BuiltIn);
    }

    #[test]
    fn what_is_neither_is_refused_with_advice() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        for (given, part) in [
            ("nothing", "there are: built-in"),
            ("../nothing", "no such file"),
            ("wan2.1-vae", "latentbit models pull wan2.1-vae"),
        ] {
            let error = resolve_in(&cache, Path::new(given)).unwrap_err();
            assert!(message(&error).contains(part), "{error:#}");
            assert_eq!(Exit::of(&error), Exit::Model);
        }
    }
}
