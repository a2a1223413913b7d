//! `latentbit models`: a cache of made-up models, and a made-up hub.

mod cache;
mod hub;
mod names;
mod pull;
mod resume;
mod trust;

use std::path::Path;
use std::process::{Output, Stdio};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::support::{Outcome, command};

/// What a pull must not see of the machine that tests run on.
const FOREIGN: [&str; 14] = [
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "HF_HOME",
    "HF_ENDPOINT",
    "HF_TOKEN",
    "HF_HUB_OFFLINE",
    "ALL_PROXY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "all_proxy",
    "https_proxy",
    "http_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// A run of the command with the cache `cache` in `folder`.
pub struct Run<'a> {
    folder: &'a TempDir,
    env: Vec<(&'static str, String)>,
}

impl<'a> Run<'a> {
    pub fn new(folder: &'a TempDir) -> Self {
        let cache = folder.path().join("cache");
        Self {
            folder,
            env: vec![
                ("LATENTBIT_MODELS", cache.to_str().unwrap().to_owned()),
                ("HF_HOME", folder.path().join("hf").to_str().unwrap().to_owned()),
            ],
        }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    /// Splits a line into arguments.
    pub fn run(&self, line: &str) -> Outcome {
        self.args(&line.split_whitespace().collect::<Vec<_>>())
    }

    pub fn args(&self, args: &[&str]) -> Outcome {
        outcome(self.command(args).output().unwrap())
    }

    pub fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = command();
        for name in FOREIGN {
            command.env_remove(name);
        }
        command
            .args(args)
            .current_dir(self.folder.path())
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

pub fn outcome(output: Output) -> Outcome {
    Outcome {
        code: output.status.code(),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// What looks like a VAE of Wan as its authors write it.
pub fn pth(bytes: usize) -> Vec<u8> {
    let mut content = b"PK\x03\x04".to_vec();
    content.extend((0..bytes).map(|i| (i * 7 + i / 251) as u8));
    content
}

/// What looks like weights of diffusers.
pub fn weights() -> Vec<u8> {
    let mut content = 2u64.to_le_bytes().to_vec();
    content.extend_from_slice(b"{}");
    content
}

pub const CONFIG: &[u8] = br#"{"_class_name": "AutoencoderKLWan"}"#;

/// Names in a folder of the cache that a model could have; none if there is no such folder.
pub fn models(folder: &TempDir) -> Vec<String> {
    listed(&folder.path().join("cache"))
        .into_iter()
        .filter(|name| !name.starts_with('.'))
        .collect()
}

/// Names in a folder, in order.
pub fn listed(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
