//! Errors about models and their files.

use std::io;
use std::path::Path;

use crate::exit::ModelError;

/// Names another folder for models.
pub const FOLDER_VARIABLE: &str = "LATENTBIT_MODELS";

/// Fails because a model is not there.
pub fn missing<T>(message: impl Into<String>) -> anyhow::Result<T> {
    Err(ModelError::Missing(message.into()).into())
}

/// Fails because something is not what it should be.
pub fn invalid<T>(message: impl Into<String>) -> anyhow::Result<T> {
    Err(ModelError::Invalid(message.into()).into())
}

/// What the system said about `path`, with advice where the disk is full.
pub fn io_error(path: &Path, action: &str, error: io::Error) -> anyhow::Error {
    let advice = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!(
                ": the disk is full; free some space, or name a folder on another one with {FOLDER_VARIABLE}"
            )
        }
        _ => String::new(),
    };
    let message = format!("{}: cannot {action}{advice}", path.display());
    anyhow::Error::from(error).context(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::{Exit, message};

    #[test]
    fn a_full_disk_is_named_so() {
        let error = io_error(Path::new("m/a.part"), "write", io::ErrorKind::StorageFull.into());
        let text = message(&error);
        assert!(
            text.starts_with("m/a.part: cannot write: the disk is full"),
            "{text}"
        );
        assert_eq!(Exit::of(&error), Exit::Error);
        let other = io_error(Path::new("a"), "read", io::ErrorKind::NotFound.into());
        assert!(!message(&other).contains("full"));
    }

    #[test]
    fn errors_have_codes() {
        assert_eq!(Exit::of(&missing::<()>("x").unwrap_err()), Exit::Model);
        assert_eq!(Exit::of(&invalid::<()>("x").unwrap_err()), Exit::Damaged);
    }
}
