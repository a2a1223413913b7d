//! `latentbit models pull`.

use std::path::Path;

use anyhow::{Context, bail};
use clap::Args;

use super::report;
use crate::args::ModelNameArgs;
use crate::args::headings;
use crate::exit::{Exit, usage};
use crate::models::cache::remove;
use crate::models::hub::{self, Hub, SharedCache, Snapshot};
use crate::models::name::PullTarget;
use crate::models::{Cache, FileRecord, Name, Record, Source, kind};
use crate::progress;

/// Options of `models pull`.
#[derive(Debug, Args)]
pub struct ModelsPullArgs {
    /// Known name, OWNER/REPO or OWNER/REPO/FILE.
    #[arg(value_name = "NAME")]
    pub model: String,

    /// Branch, tag or commit.
    #[arg(long, value_name = "REVISION", default_value = "main")]
    pub revision: String,

    #[command(flatten)]
    pub name: ModelNameArgs,

    /// Fetch nothing: end well if the model is there already.
    #[arg(long)]
    pub offline: bool,

    /// Print what was pulled as JSON.
    #[arg(long, help_heading = headings::GENERAL)]
    pub json: bool,
}

/// Runs the command.
pub fn run(args: &ModelsPullArgs, quiet: bool) -> anyhow::Result<Exit> {
    let target = PullTarget::parse(&args.model)?;
    let name = target.cache_name(args.name.name.as_deref())?;
    if args.revision.is_empty() || args.revision.len() > 200 || args.revision.contains("..") {
        return usage(format!(
            "--revision '{}': expected a branch, tag or commit",
            args.revision.escape_debug()
        ));
    }
    let cache = Cache::from_env()?;
    let offline = args.offline || hub::is_offline();
    // Nothing needs to be written for a model that is there, so its folder may be read-only.
    if let Some(record) = present(&cache, &name, &target, args)? {
        report::kept(&cache, &name, &record, true, args.json)?;
        return Ok(Exit::Success);
    }
    let shared = SharedCache::from_env();
    let here = match (&shared, offline) {
        (Some(shared), true) => shared.snapshot(&target.repo, &args.revision),
        _ => None,
    };
    let here = here.and_then(|snapshot| Some((snapshot.model(&target.files)?, snapshot)));
    if offline && here.is_none() {
        return hub::refuse_offline(&format!(
            "{name} is not in {}, nor in the cache of huggingface_hub",
            cache.root().display()
        ));
    }
    let locked = cache.lock(&name)?;
    // Another process may have pulled it meanwhile.
    if let Some(record) = present(&cache, &name, &target, args)? {
        report::kept(&cache, &name, &record, true, args.json)?;
        return Ok(Exit::Success);
    }
    let staging = locked.staging("pull")?;
    let wanted = Wanted {
        target: &target,
        revision: &args.revision,
        anew: args.name.overwrite,
    };
    let found = match here {
        Some((paths, snapshot)) => take(&paths, &snapshot, &staging)?,
        None => fetch(&wanted, shared.as_ref(), &staging, quiet)?,
    };
    let kind = kind_of(&staging, &found.files)?;
    let source = Source::Hub {
        endpoint: hub::endpoint(),
        repo: target.repo.clone(),
        revision: args.revision.clone(),
        commit: found.commit,
        paths: found.paths,
    };
    let record = Record::new(&name, kind, found.files, source);
    locked.install(&staging, &record)?;
    report::kept(&cache, &name, &record, false, args.json)?;
    Ok(Exit::Success)
}

/// The model, if the cache has it and it is not to be pulled anew.
fn present(
    cache: &Cache,
    name: &Name,
    target: &PullTarget,
    args: &ModelsPullArgs,
) -> anyhow::Result<Option<Record>> {
    if !cache.contains(name) || args.name.overwrite {
        return Ok(None);
    }
    let advice = "replace it with -y, or choose another name with --name";
    let record = cache.get(name).with_context(|| format!("{name}: {advice}"))?;
    match record {
        Some(record) if is_of(&record.source, target, &args.revision) => Ok(Some(record)),
        Some(record) => bail!(
            "{name}: there is a model of this name already, from {}; {advice}",
            record.source
        ),
        None => Ok(None),
    }
}

fn is_of(source: &Source, target: &PullTarget, asked: &str) -> bool {
    let Source::Hub {
        repo,
        revision,
        commit,
        paths,
        ..
    } = source
    else {
        return false;
    };
    let same_files = target.files.is_empty() || target.files == *paths;
    *repo == target.repo && same_files && (revision == asked || commit.as_deref() == Some(asked))
}

/// What is pulled.
struct Wanted<'a> {
    target: &'a PullTarget,
    revision: &'a str,
    /// Whether to trust nothing that is here already but what has a SHA-256 to show.
    anew: bool,
}

/// Files of a model, all of one commit.
struct Found {
    files: Vec<FileRecord>,
    paths: Vec<String>,
    commit: Option<String>,
}

/// From the cache of huggingface_hub alone.
fn take(paths: &[String], snapshot: &Snapshot, staging: &Path) -> anyhow::Result<Found> {
    let files = paths.iter().map(|path| snapshot.take(path, staging));
    let files = files.collect::<anyhow::Result<_>>()?;
    hub::keep_only(staging, paths, true)?;
    Ok(Found {
        files,
        paths: paths.to_owned(),
        commit: Some(snapshot.commit.clone()),
    })
}

/// From the hub, as far as the cache of huggingface_hub lacks them; then it has them, too.
fn fetch(
    wanted: &Wanted<'_>,
    shared: Option<&SharedCache>,
    staging: &Path,
    quiet: bool,
) -> anyhow::Result<Found> {
    let hub = Hub::from_env()?;
    let Wanted { target, revision, .. } = *wanted;
    let (paths, mut commit) = match target.files.is_empty() {
        true => hub.choose(&target.repo, revision)?,
        false => (target.files.clone(), None),
    };
    hub::keep_only(staging, &paths, false)?;
    let mut files = Vec::new();
    for path in &paths {
        let at = commit.clone().unwrap_or_else(|| revision.to_owned());
        let remote = hub.look(&target.repo, &at, path)?;
        commit = commit.or_else(|| remote.commit.clone());
        let here = match shared {
            Some(shared) => shared.take(&target.repo, &remote, staging, wanted.anew)?,
            None => None,
        };
        if let Some(file) = here {
            files.push(file);
            continue;
        }
        let bar = progress::bytes(path, remote.bytes, quiet);
        let file = hub.fetch(&remote, staging, &bar);
        bar.finish_and_clear();
        let file = file?;
        if let Some(shared) = shared
            && let Err(error) = shared.put(&target.repo, revision, &remote, &staging.join(&file.name))
        {
            tracing::warn!(
                "{path}: other programs do not find it in the cache of huggingface_hub: {error:#}"
            );
        }
        files.push(file);
    }
    hub::keep_only(staging, &paths, true)?;
    Ok(Found { files, paths, commit })
}

/// Looks at what came; what is no model is removed, since pulling it again would bring the same.
fn kind_of(staging: &Path, files: &[FileRecord]) -> anyhow::Result<crate::models::Kind> {
    let place = match files {
        [file] => staging.join(&file.name),
        _ => staging.to_owned(),
    };
    match kind::look(&place) {
        Ok(found) => Ok(found.kind),
        Err(error) => {
            remove(staging)?;
            Err(error.context("what came is no model and was deleted"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_present_if_it_is_what_was_asked_for() {
        let source = Source::Hub {
            endpoint: "https://h".to_owned(),
            repo: "o/r".to_owned(),
            revision: "main".to_owned(),
            commit: Some("abc".to_owned()),
            paths: vec!["a.pth".to_owned()],
        };
        let target = |text| PullTarget::parse(text).unwrap();
        assert!(is_of(&source, &target("o/r/a.pth"), "main"));
        assert!(is_of(&source, &target("o/r"), "main"));
        assert!(is_of(&source, &target("o/r"), "abc"));
        assert!(!is_of(&source, &target("o/r"), "v2"));
        assert!(!is_of(&source, &target("o/r/b.pth"), "main"));
        assert!(!is_of(&source, &target("o/other"), "main"));
        let path = Source::Path {
            path: "a".to_owned(),
            linked: false,
        };
        assert!(!is_of(&path, &target("o/r"), "main"));
    }
}
