//! What the hub says of a repository and its files before they are fetched, and which of them are the model.

use std::io::Read;

use anyhow::{Context, anyhow};
use serde::Deserialize;
use ureq::http::HeaderMap;

use super::address::Address;
use super::http::{Ask, Failure, Http, LINKED_SIZE, with_retries};
use crate::models::error::invalid;
use crate::models::kind::{CONFIG, VAE, WEIGHTS};
use crate::models::name::is_path;

/// Repositories with more than a hundred thousand files are no models.
const MAX_BYTES: u64 = 16 << 20;

/// How many names a message lists.
const SHOWN: usize = 8;

#[derive(Debug, Deserialize)]
struct RepoListing {
    sha: Option<String>,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Debug, Deserialize)]
struct Sibling {
    rfilename: String,
}

/// Asks for the list of files and chooses.
pub fn choose(http: &Http, repo: &str, revision: &str) -> anyhow::Result<(Vec<String>, Option<String>)> {
    let parts = ["api", "models"].into_iter().chain(repo.split('/'));
    let address = http.origin().below(parts.chain(["revision", revision]));
    let bytes = with_retries(|| {
        let answer = http.send(Ask::Get { from: 0 }, &address)?;
        let mut bytes = Vec::new();
        let read = answer
            .body
            .into_reader()
            .take(MAX_BYTES + 1)
            .read_to_end(&mut bytes);
        read.with_context(|| format!("{address}: the connection broke off"))
            .map_err(Failure::passing)?;
        Ok(bytes)
    })?;
    if bytes.len() as u64 > MAX_BYTES {
        return invalid(format!("{address}: a list of more than {MAX_BYTES} bytes"));
    }
    let listing: RepoListing = match serde_json::from_slice(&bytes) {
        Ok(listing) => listing,
        Err(error) => return invalid(format!("{address}: not the list of a repository: {error}")),
    };
    let files: Vec<&str> = listing
        .siblings
        .iter()
        .map(|file| file.rfilename.as_str())
        .collect();
    match model_in(&files) {
        Ok(files) => Ok((files, listing.sha)),
        Err(candidates) => {
            let found = match candidates.as_slice() {
                [] => "no file in it looks like a model".to_owned(),
                names => format!("several files in it could be one: {}", shown(names)),
            };
            invalid(format!("{address}: {found}; name the file, as in {repo}/FILE"))
        }
    }
}

/// What `push_to_hub` of the Python package calls a bundle.
const BUNDLE: &str = "latentbit.safetensors";

/// A VAE of diffusers, else the bundle or VAE at the top; else everything that could be one.
pub(super) fn model_in(files: &[&str]) -> Result<Vec<String>, Vec<String>> {
    for folder in [String::new(), format!("{VAE}/")] {
        let wanted = [format!("{folder}{CONFIG}"), format!("{folder}{WEIGHTS}")];
        if wanted.iter().all(|path| files.contains(&path.as_str())) {
            return Ok(wanted.to_vec());
        }
    }
    if files.contains(&BUNDLE) {
        return Ok(vec![BUNDLE.to_owned()]);
    }
    let at_top = |file: &&&str| is_path(file) && !file.contains('/');
    let with = |accept: fn(&str) -> bool| -> Vec<String> {
        let found = files.iter().filter(at_top).filter(|file| accept(file));
        found.map(|file| (*file).to_owned()).collect()
    };
    let vaes = with(|file| file.ends_with(".pth") && file.to_ascii_lowercase().contains("vae"));
    let bundles = with(|file| file.ends_with(".safetensors"));
    match (vaes.len(), bundles.len()) {
        (1, _) => Ok(vaes),
        (0, 1) => Ok(bundles),
        _ => Err([vaes, bundles].concat()),
    }
}

fn shown(names: &[String]) -> String {
    let mut text = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(", ...");
    }
    text
}

const LINKED_ETAG: &str = "x-linked-etag";
const COMMIT: &str = "x-repo-commit";
const ETAG: &str = "etag";
const LENGTH: &str = "content-length";

/// A file on the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Where it is.
    pub address: Address,
    /// Its path in the repository.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// The commit that it is of.
    pub commit: Option<String>,
    /// What changes when it does.
    pub etag: Option<String>,
    /// Its SHA-256, if the hub tells.
    pub sha256: Option<String>,
}

/// Asks the hub.
pub fn look(http: &Http, repo: &str, revision: &str, path: &str) -> anyhow::Result<Remote> {
    let address = |revision| {
        let parts = repo.split('/').chain(["resolve", revision]);
        http.origin().below(parts.chain(path.split('/')))
    };
    let asked = address(revision);
    let answer = with_retries(|| http.send(Ask::Head, &asked))?;
    let first = |name, hub_only: bool| {
        let mut hops = answer.way.iter().filter(|hop| hop.at_hub || !hub_only);
        hops.find_map(|hop| text(&hop.headers, name)).map(str::to_owned)
    };
    let here = |name| text(&answer.headers, name).map(str::to_owned);
    // A mirror may redirect to the hub, so headers that only hubs send are taken from any answer.
    let linked_etag = first(LINKED_ETAG, false).map(|etag| bare(&etag));
    // Storage behind a redirect has tags of its own, which can look like a SHA-256 and be none.
    let hub_etag = first(ETAG, true).map(|etag| bare(&etag));
    // The length of a redirect is that of its own few words.
    let length = first(LINKED_SIZE, false).or_else(|| (answer.status == 200).then(|| here(LENGTH))?);
    let Some(bytes) = length.and_then(|length| length.parse().ok()) else {
        return Err(anyhow!(
            "{asked}: the server does not say how long the file is; is this the hub or a mirror of it?"
        ));
    };
    let commit = first(COMMIT, false).filter(|commit| is_hex(commit, 40));
    let sha256 = linked_etag.iter().chain(&hub_etag).find(|etag| is_hex(etag, 64));
    Ok(Remote {
        // All requests for a model must see the same commit, even if the branch moves on.
        address: commit.as_deref().map_or_else(|| asked.clone(), address),
        path: path.to_owned(),
        bytes,
        sha256: sha256.map(|etag| etag.to_ascii_lowercase()),
        etag: linked_etag
            .or(hub_etag)
            .or_else(|| here(ETAG).map(|etag| bare(&etag))),
        commit,
    })
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn bare(etag: &str) -> String {
    etag.trim_start_matches("W/").trim_matches('"').to_owned()
}

pub(super) fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_of_a_repository_is_found() {
        let cases: [(&[&str], &[&str]); 5] = [
            (
                &["old.safetensors", "latentbit.safetensors", "Wan2.1_VAE.pth"],
                &["latentbit.safetensors"],
            ),
            (
                &[
                    "README.md",
                    "vae/config.json",
                    "vae/diffusion_pytorch_model.safetensors",
                    "x.safetensors",
                ],
                &["vae/config.json", "vae/diffusion_pytorch_model.safetensors"],
            ),
            (
                &[
                    "config.json",
                    "diffusion_pytorch_model.safetensors",
                    "Wan2.1_VAE.pth",
                    "t5.pth",
                ],
                &["config.json", "diffusion_pytorch_model.safetensors"],
            ),
            (
                &["diffusion_pytorch_model.safetensors", "Wan2.1_VAE.pth", "t5.pth"],
                &["Wan2.1_VAE.pth"],
            ),
            (
                &["README.md", "mine.safetensors", "old/mine.safetensors"],
                &["mine.safetensors"],
            ),
        ];
        for (files, expected) in cases {
            assert_eq!(model_in(files).unwrap(), expected);
        }
        assert_eq!(model_in(&["README.md", "../x.safetensors"]).unwrap_err(), [""; 0]);
        assert_eq!(
            model_in(&["a.safetensors", "b.safetensors"]).unwrap_err().len(),
            2
        );
    }
}
