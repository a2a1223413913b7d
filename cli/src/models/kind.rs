//! Recognises what a file or folder is by its contents.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::{invalid, io_error};
use super::record::Kind;

/// The config of a diffusers model.
pub const CONFIG: &str = "config.json";

/// The weights of a diffusers model.
pub const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";

/// The folder of the VAE in that of a diffusers pipeline.
pub const VAE: &str = "vae";

/// The class of diffusers that is a VAE of the Wan family.
const CLASS: &str = "AutoencoderKLWan";

/// What the safetensors format allows.
const MAX_HEADER: u64 = 100_000_000;

/// Configs have about a kilobyte.
const MAX_CONFIG: u64 = 1 << 20;

const EXPECTED: &str = "expected a LatentBit bundle (.safetensors), a VAE of Wan (.pth), or the folder of a diffusers VAE (config.json and diffusion_pytorch_model.safetensors)";

/// A model that was recognised.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub kind: Kind,
    /// Its files.
    pub files: Vec<PathBuf>,
}

/// Looks at `path`.
///
/// # Errors
/// If it cannot be read, or is no model that is known here.
pub fn look(path: &Path) -> anyhow::Result<Found> {
    let meta = path.metadata().map_err(|e| io_error(path, "read", e))?;
    if meta.is_dir() {
        return look_at_folder(path);
    }
    if !meta.is_file() {
        return invalid(format!("{}: neither a file nor a folder", path.display()));
    }
    let kind = match magic(path)? {
        Magic::Zip => Kind::WanVae,
        Magic::Safetensors { bundle: true } => Kind::Bundle,
        Magic::Safetensors { bundle: false } => {
            return invalid(format!(
                "{}: safetensors without a LatentBit config; {EXPECTED}",
                path.display()
            ));
        }
        Magic::Other => return invalid(format!("{}: not a model; {EXPECTED}", path.display())),
    };
    Ok(Found {
        kind,
        files: vec![path.to_owned()],
    })
}

fn look_at_folder(path: &Path) -> anyhow::Result<Found> {
    let folders = [path.to_owned(), path.join(VAE)];
    let whole = |folder: &&PathBuf| folder.join(CONFIG).is_file() && folder.join(WEIGHTS).is_file();
    let Some(folder) = folders.iter().find(whole) else {
        return invalid(format!("{}: no model is in it; {EXPECTED}", path.display()));
    };
    let (config, weights) = (folder.join(CONFIG), folder.join(WEIGHTS));
    match class(&config)? {
        Some(class) if class == CLASS => (),
        other => {
            let other = other.map_or_else(|| "none".to_owned(), |class| format!("{class:?}"));
            return invalid(format!(
                "{}: expected the _class_name {CLASS:?}, found {other}",
                config.display()
            ));
        }
    }
    if !matches!(magic(&weights)?, Magic::Safetensors { .. }) {
        return invalid(format!("{}: not safetensors", weights.display()));
    }
    Ok(Found {
        kind: Kind::WanVae,
        files: vec![config, weights],
    })
}

fn class(path: &Path) -> anyhow::Result<Option<String>> {
    #[derive(Deserialize)]
    struct Config {
        #[serde(rename = "_class_name")]
        class: Option<String>,
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_CONFIG + 1).read_to_end(&mut bytes))
        .map_err(|e| io_error(path, "read", e))?;
    if bytes.len() as u64 > MAX_CONFIG {
        return invalid(format!(
            "{}: more than {MAX_CONFIG} bytes, too many for a config",
            path.display()
        ));
    }
    match serde_json::from_slice::<Config>(&bytes) {
        Ok(config) => Ok(config.class),
        Err(error) => invalid(format!("{}: not a config: {error}", path.display())),
    }
}

enum Magic {
    Zip,
    Safetensors { bundle: bool },
    Other,
}

fn magic(path: &Path) -> anyhow::Result<Magic> {
    read_magic(path).map_err(|e| io_error(path, "read", e))
}

fn read_magic(path: &Path) -> io::Result<Magic> {
    #[derive(Deserialize)]
    struct Header {
        #[serde(rename = "__metadata__", default)]
        metadata: HashMap<String, String>,
    }
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut start = [0; 8];
    match file.read_exact(&mut start) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(Magic::Other),
        other => other?,
    }
    if start.starts_with(b"PK\x03\x04") {
        return Ok(Magic::Zip);
    }
    let header = u64::from_le_bytes(start);
    if header > MAX_HEADER || header > length.saturating_sub(8) {
        return Ok(Magic::Other);
    }
    let mut bytes = Vec::new();
    file.take(header).read_to_end(&mut bytes)?;
    Ok(match serde_json::from_slice::<Header>(&bytes) {
        Ok(header) => Magic::Safetensors {
            bundle: header.metadata.contains_key("config"),
        },
        Err(_) => Magic::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::{Exit, message};

    fn safetensors(header: &str) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes
    }

    #[track_caller]
    fn refused(path: &Path, part: &str) {
        let error = look(path).unwrap_err();
        assert!(message(&error).contains(part), "{error:#}");
        assert_eq!(Exit::of(&error), Exit::Damaged);
    }

    #[test]
    fn files_are_told_apart_by_what_is_in_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("any.name");
        let kind = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            look(&path).map(|found| found.kind)
        };
        assert_eq!(kind(b"PK\x03\x04 and more").unwrap(), Kind::WanVae);
        let bundle = safetensors(r#"{"__metadata__":{"config":"{}"}}"#);
        assert_eq!(kind(&bundle).unwrap(), Kind::Bundle);
        assert!(kind(&safetensors(r#"{"__metadata__":{"format":"pt"}}"#)).is_err());
        assert!(kind(&safetensors("{}")).is_err());
        assert!(kind(&safetensors("not JSON")).is_err());
        assert!(kind(&u64::MAX.to_le_bytes()).is_err());
        assert!(kind(&bundle[..20]).is_err());
        assert!(kind(b"PK").is_err());
        assert!(kind(b"").is_err());
        refused(&path, "any.name");
    }

    #[test]
    fn folders_of_diffusers_are_known() {
        let folder = tempfile::tempdir().unwrap();
        let pipeline = folder.path();
        refused(pipeline, "no model is in it");
        let vae = pipeline.join(VAE);
        std::fs::create_dir(&vae).unwrap();
        std::fs::write(vae.join(CONFIG), r#"{"_class_name":"AutoencoderKLWan"}"#).unwrap();
        refused(&vae, "no model is in it");
        std::fs::write(vae.join(WEIGHTS), safetensors("{}")).unwrap();
        let expected = Found {
            kind: Kind::WanVae,
            files: vec![vae.join(CONFIG), vae.join(WEIGHTS)],
        };
        assert_eq!(look(&vae).unwrap(), expected);
        assert_eq!(look(pipeline).unwrap(), expected);
        std::fs::write(vae.join(WEIGHTS), "junk").unwrap();
        refused(&vae, WEIGHTS);
        for config in [r#"{"_class_name":"AutoencoderKL"}"#, "{}"] {
            std::fs::write(vae.join(CONFIG), config).unwrap();
            refused(&vae, "_class_name");
        }
        std::fs::write(vae.join(CONFIG), "[").unwrap();
        refused(&vae, "not a config");
    }
}
