//! What `--model` means: a path, or the name of a model.

use std::path::{Path, PathBuf};

use super::error::missing;
use super::{BUILT_IN, Cache, Name, known};

/// A model to load.
#[derive(Debug, PartialEq, Eq)]
pub enum Choice {
    /// The bundle inside the program.
    BuiltIn,
    /// A file or folder.
    Path(PathBuf),
}

/// Takes `given` as a path if there is something, else as a name.
///
/// # Errors
/// If it is neither; the message lists the names that there are.
pub fn resolve(given: &Path) -> anyhow::Result<Choice> {
    // A path that cannot be looked at is still a path: opening it tells why.
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
    let advice = match text.and_then(known::find) {
        Some(known) => format!("; get it with `latentbit models pull {}`", known.name),
        None => String::new(),
    };
    missing(format!(
        "{}: there is no such file, and it {}{advice}",
        given.display(),
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
