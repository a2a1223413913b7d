//! `latentbit models add`.

use crate::args::path;
use latentbit_media::text_of;
use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context, bail};
use clap::Args;

use super::report;
use crate::args::ModelNameArgs;
use crate::args::headings;
use crate::exit::Exit;
use crate::models::error::io_error;
use crate::models::kind::{self, Found, VAE};
use crate::models::name::{cleaned, is_safe};
use crate::models::record::RECORD_FILE;
use crate::models::{Cache, FileRecord, Kind, Name, Record, Source, digest};
use crate::progress;

/// Options of `models add`.
#[derive(Debug, Args)]
pub struct ModelsAddArgs {
    /// File or folder.
    #[arg(value_parser = path)]
    pub path: PathBuf,

    #[command(flatten)]
    pub name: ModelNameArgs,

    /// Link to the files instead of copying them.
    #[arg(long)]
    pub link: bool,

    /// Print what was added as JSON.
    #[arg(long, help_heading = headings::GENERAL)]
    pub json: bool,
}

/// Runs the command.
pub fn run(args: &ModelsAddArgs, quiet: bool) -> anyhow::Result<Exit> {
    // A link must hold wherever it is read from, and so must what the record says.
    let path = fs::canonicalize(&args.path).map_err(|e| io_error(&args.path, "read", e))?;
    let found = kind::look(&path)?;
    let name = match &args.name.name {
        Some(name) => Name::new(name)?,
        None => name_of(&path)?,
    };
    let cache = Cache::from_env()?;
    let locked = cache.lock(&name)?;
    if cache.contains(&name) && !args.name.overwrite {
        let record = unchanged(&cache, &name, &found, quiet)?;
        report::kept(&cache, &name, &record, true, args.json)?;
        return Ok(Exit::Success);
    }
    let staging = locked.empty_staging("add")?;
    let mut files = Vec::new();
    for file in &found.files {
        files.push(keep(file, found.kind, &staging, args.link, quiet)?);
    }
    let source = Source::Path {
        path: text_of(&path),
        linked: args.link,
    };
    let record = Record::new(&name, found.kind, files, source);
    locked.install(&staging, &record)?;
    report::kept(&cache, &name, &record, false, args.json)?;
    Ok(Exit::Success)
}

/// The name of the file without its extension, or that of the folder; a pipeline's, if the folder is its VAE.
fn name_of(path: &Path) -> anyhow::Result<Name> {
    let name = |path: &Path| {
        path.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let own = match path.is_dir() {
        true => name(path),
        false => path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
    };
    match path.parent().map(name) {
        Some(parent) if own == VAE && path.is_dir() && !parent.is_empty() => Name::derived(&parent),
        _ => Name::derived(&own),
    }
}

/// The record of the model that has the name already, if its files are the same.
fn unchanged(cache: &Cache, name: &Name, found: &Found, quiet: bool) -> anyhow::Result<Record> {
    let exists = || {
        format!(
            "{name}: there is another model of this name; replace it with -y, or choose another with --name"
        )
    };
    let Some(record) = cache.get(name).with_context(exists)? else {
        bail!(exists());
    };
    let mut same = record.kind == found.kind && record.files.len() == found.files.len();
    for (file, known) in found.files.iter().zip(&record.files) {
        let bytes = file.metadata().map_err(|e| io_error(file, "read", e))?.len();
        same = same && bytes == known.bytes;
        if same {
            let bar = progress::bytes(&known.name, bytes, quiet);
            same = digest::of_file(file, &bar)?.1 == known.sha256;
            bar.finish_and_clear();
        }
    }
    if !same {
        bail!(exists());
    }
    Ok(record)
}

fn keep(file: &Path, kind: Kind, staging: &Path, link: bool, quiet: bool) -> anyhow::Result<FileRecord> {
    let name = stored_name(file, kind);
    let to = staging.join(&name);
    let length = file.metadata().map_err(|e| io_error(file, "read", e))?.len();
    let bar = progress::bytes(&name, length, quiet);
    let (bytes, sha256) = match link {
        true => {
            let real = fs::canonicalize(file).map_err(|e| io_error(file, "read", e))?;
            symlink(&real, &to).map_err(|e| io_error(&to, "be made a link", e))?;
            digest::of_file(file, &bar)?
        }
        false => digest::copy(file, &to, &bar)?,
    };
    bar.finish_and_clear();
    Ok(FileRecord { name, bytes, sha256 })
}

/// The file's own name, as far as it can be one here.
fn stored_name(file: &Path, kind: Kind) -> String {
    let own = cleaned(&file.file_name().unwrap_or_default().to_string_lossy());
    if is_safe(&own) && own != RECORD_FILE {
        return own;
    }
    match kind {
        Kind::Bundle => "weights.safetensors".to_owned(),
        Kind::WanVae => "weights.pth".to_owned(),
    }
}

#[cfg(unix)]
fn symlink(from: &PathBuf, to: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(from, to)
}

#[cfg(windows)]
fn symlink(from: &PathBuf, to: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(from, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_named_after_files_and_pipelines() {
        let folder = tempfile::tempdir().unwrap();
        let vae = folder.path().join("Wan Pipeline").join(VAE);
        fs::create_dir_all(&vae).unwrap();
        assert_eq!(name_of(&vae).unwrap().as_str(), "Wan-Pipeline");
        assert_eq!(name_of(vae.parent().unwrap()).unwrap().as_str(), "Wan-Pipeline");
        assert_eq!(
            name_of(Path::new("/a/Wan2.1_VAE.pth")).unwrap().as_str(),
            "Wan2.1_VAE"
        );
        assert!(name_of(Path::new("/")).is_err());
    }

    #[test]
    fn files_have_names_that_are_safe() {
        let stored = |name: &str| stored_name(Path::new(name), Kind::Bundle);
        assert_eq!(stored("/x/my model.safetensors"), "my-model.safetensors");
        for odd in ["/x/model.json", "/x/...", "/x/nul.safetensors"] {
            assert_eq!(stored(odd), "weights.safetensors");
        }
    }
}
