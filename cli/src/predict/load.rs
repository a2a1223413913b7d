//! Loads the predictor that a command line asks for.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use latentbit_codec::{Bundle, Error, Predictor};

/// The predictor of `--predictor`, else the built-in one; none if that is not for `bundle`.
pub fn find(path: Option<&Path>, bundle: &Bundle) -> anyhow::Result<Option<Arc<Predictor>>> {
    let found = match path {
        Some(path) => {
            let predictor = Predictor::open(path, bundle, bundle.dtype());
            Some(predictor.with_context(|| path.display().to_string())?)
        }
        None => Predictor::embedded(bundle, bundle.dtype()).context("the built-in predictor")?,
    };
    Ok(found.map(Arc::new))
}

/// As [`find`], for work that cannot do without.
pub fn load(path: Option<&Path>, bundle: &Bundle) -> anyhow::Result<Arc<Predictor>> {
    let none = || Error::Predictor {
        reason: format!(
            "none is built in for the bundle {:?}; train one for it and give it with --predictor",
            bundle.id.name
        ),
    };
    Ok(find(path, bundle)?.ok_or_else(none)?)
}
