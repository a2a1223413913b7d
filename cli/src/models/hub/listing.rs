//! Chooses the files of a model in a repository of which no file was named.

use std::io::Read;

use anyhow::Context;
use serde::Deserialize;

use super::download::with_retries;
use super::http::{Ask, Failure, Http};
use crate::models::error::invalid;
use crate::models::kind::{CONFIG, VAE, WEIGHTS};
use crate::models::known::is_path;

/// Repositories with more than a hundred thousand files are no models.
const MAX_BYTES: u64 = 16 << 20;

/// How many names a message lists.
const SHOWN: usize = 8;

#[derive(Debug, Deserialize)]
struct Listing {
    sha: Option<String>,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Debug, Deserialize)]
struct Sibling {
    rfilename: String,
}

/// Asks for the list and chooses.
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
    let listing: Listing = match serde_json::from_slice(&bytes) {
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

/// A VAE of diffusers, else the only bundle or VAE at the top; else everything that could be one.
fn model_in(files: &[&str]) -> Result<Vec<String>, Vec<String>> {
    for folder in [String::new(), format!("{VAE}/")] {
        let wanted = [format!("{folder}{CONFIG}"), format!("{folder}{WEIGHTS}")];
        if wanted.iter().all(|path| files.contains(&path.as_str())) {
            return Ok(wanted.to_vec());
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_of_a_repository_is_found() {
        let cases: [(&[&str], &[&str]); 4] = [
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
