//! Which kind of model a path leads to.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use latentbit_container::MAX_BUNDLE_NAME;
use sha2::{Digest, Sha256};

use super::config::{BundleConfig, FORMAT, VaeConfig};
use super::official::{self, Naming};
use super::source::{PthFile, SafetensorsFile, Source};
use super::{Bundle, Halves};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::kernels::Dtype;

/// With which halves, where, and in which number type.
type How<'a> = (Halves, &'a Device, Dtype);

pub(super) fn open(path: &Path, how: How<'_>) -> Result<Bundle> {
    if path.is_dir() {
        return open_folder(path, how);
    }
    let mut magic = [0; 4];
    let len = read_start(path, &mut magic)?;
    if magic[..len].starts_with(b"PK") {
        let source = PthFile::open(path)?;
        let vae = official::config_of_pth(&source)?;
        return load(path, path, vae, &source, Naming::Official, how);
    }
    if let Ok(source) = SafetensorsFile::open(path)
        && source.shape("vae.conv2.weight").is_none()
    {
        if source.shape("conv2.weight").is_some() {
            let vae = official::config_of_pth(&source)?;
            return load(path, path, vae, &source, Naming::Official, how);
        }
        if source.shape("post_quant_conv.weight").is_some()
            && let Some(folder) = path.parent()
            && path.with_file_name("config.json").is_file()
        {
            return open_folder(folder, how);
        }
    }
    let bytes = std::fs::read(path).map_err(|source| io_error(path, source))?;
    let (halves, device, dtype) = how;
    Bundle::from_bytes_with(&bytes, halves, device, dtype)
}

fn open_folder(folder: &Path, how: How<'_>) -> Result<Bundle> {
    let config = official::config_name(folder).ok_or_else(|| {
        Error::bundle(
            "there is no config.json in this folder; give the folder of a diffusers VAE, or the file of a model",
        )
    })?;
    let weights = official::weights_name(&config);
    let text = std::fs::read_to_string(&config).map_err(|source| io_error(&config, source))?;
    let vae = official::read_diffusers_config(&text)?;
    let source = SafetensorsFile::open(&weights)?;
    let blocks = vae.stages.first();
    let naming = Naming::Diffusers {
        encoder_blocks: blocks.map_or(0, |stage| stage.encoder_blocks),
        decoder_blocks: blocks.map_or(0, |stage| stage.decoder_blocks),
    };
    load(folder, &weights, vae, &source, naming, how)
}

/// Loads a VAE without a tokenizer.
fn load(
    place: &Path,
    weights: &Path,
    vae: VaeConfig,
    source: &dyn Source,
    naming: Naming,
    how: How<'_>,
) -> Result<Bundle> {
    let config = BundleConfig {
        name: name_of(place),
        format: FORMAT.to_owned(),
        vae,
        tokenizer: None,
        training: serde_json::Map::new(),
    };
    config.validate()?;
    let sha256 = hash(weights)?;
    Bundle::load(config, sha256, source, naming, how)
}

/// A name for people: that of the file or folder, or of the folder that holds a folder `vae`.
fn name_of(place: &Path) -> String {
    let name = |path: &Path| path.file_stem().map(|name| name.to_string_lossy().into_owned());
    let place = place.canonicalize().unwrap_or_else(|_| place.to_owned());
    let own = match name(&place) {
        Some(own) if own == "vae" => place.parent().and_then(name),
        own => own,
    };
    let mut own: String = own
        .unwrap_or_default()
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    while own.len() > MAX_BUNDLE_NAME {
        own.pop();
    }
    if own.is_empty() { "wan".to_owned() } else { own }
}

fn hash(path: &Path) -> Result<[u8; 32]> {
    let mut file = File::open(path).map_err(|source| io_error(path, source))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finalize().into()),
            Ok(len) => hasher.update(&buffer[..len]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(io_error(path, error)),
        }
    }
}

/// Reads the first bytes of a file; says how many there were.
fn read_start(path: &Path, start: &mut [u8]) -> Result<usize> {
    let file = File::open(path).map_err(|source| io_error(path, source))?;
    let mut bytes = Vec::new();
    file.take(start.len() as u64)
        .read_to_end(&mut bytes)
        .map_err(|source| io_error(path, source))?;
    start[..bytes.len()].copy_from_slice(&bytes);
    Ok(bytes.len())
}

fn io_error(path: &Path, source: io::Error) -> Error {
    Error::Io {
        path: path.to_owned(),
        source,
    }
}
