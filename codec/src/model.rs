//! A model that is ready to run, and which kind of model a path leads to.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::OnceLock;

use latentbit_container::{BundleId, MAX_BUNDLE_NAME};
use sha2::{Digest, Sha256};

use crate::bundle::{
    BundleConfig, FORMAT, Halves, Naming, PthFile, SafetensorsBytes, SafetensorsFile, Source, VaeConfig,
    Weights, config_name, config_of_pth, read_diffusers_config, weights_name,
};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::kernels::{Backend, Dtype};
use crate::rate::sensitivity::Sensitivity;
use crate::tokenizer::Tokenizer;
use crate::vae::WanVae;

/// A model that is ready to run. It is immutable: share it between threads behind an `Arc`.
pub struct Bundle {
    /// What its metadata says.
    pub config: BundleConfig,
    /// The name and hash that files made with it carry. The SHA-256 is that of the whole bundle file.
    pub id: BundleId,
    /// Frames to latent and back.
    pub vae: WanVae,
    /// Latent to tokens and back, if the bundle has it.
    pub tokenizer: Option<Tokenizer>,
    device: Device,
    backend: Backend,
    /// Found out when it is asked for.
    sensitivity: OnceLock<Sensitivity>,
}

impl Bundle {
    /// Reads a bundle from the bytes of its file. The bytes need not be trusted.
    ///
    /// # Errors
    /// [`Error::Bundle`] if they are not a bundle, or if tensors are missing, surplus or of a wrong shape; the message
    /// lists all of these. [`Error::Parameter`] if `LATENTBIT_CPU` asks for what this machine lacks, or if the device does
    /// not have the number type. [`Error::Device`] if a GPU fails or has no room for it.
    pub fn from_bytes(bytes: &[u8], device: &Device, dtype: Dtype) -> Result<Self> {
        Self::from_bytes_with(bytes, Halves::Both, device, dtype)
    }

    fn from_bytes_with(bytes: &[u8], halves: Halves, device: &Device, dtype: Dtype) -> Result<Self> {
        let source = SafetensorsBytes::new(bytes)?;
        let config = source.metadata("config");
        let config = config.ok_or_else(|| Error::bundle("its metadata has no \"config\""))?;
        let config = BundleConfig::from_json(config)?;
        let sha256 = Sha256::digest(bytes).into();
        Self::load(config, sha256, &source, Naming::Bundle, (halves, device, dtype))
    }

    fn load(
        config: BundleConfig,
        sha256: [u8; 32],
        source: &dyn Source,
        naming: Naming,
        (halves, device, dtype): (Halves, &Device, Dtype),
    ) -> Result<Self> {
        let backend = device.backend(dtype)?;
        let mut weights = Weights::new(source, naming, &backend).with(halves);
        let vae = WanVae::load(&config.vae, &mut weights);
        let tokenizer = config
            .tokenizer
            .as_ref()
            .map(|c| Tokenizer::load(c, &mut weights));
        weights.finish()?;
        let id = BundleId {
            name: config.name.clone(),
            sha256,
        };
        Ok(Self {
            config,
            id,
            vae,
            tokenizer,
            device: device.clone(),
            backend,
            sensitivity: OnceLock::new(),
        })
    }

    /// Where it runs.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// What each channel of the latent does to pixels.
    pub(crate) fn sensitivity(&self) -> Result<&Sensitivity> {
        match self.sensitivity.get() {
            Some(known) => Ok(known),
            None => {
                let found = Sensitivity::of(&self.vae)?;
                Ok(self.sensitivity.get_or_init(|| found))
            }
        }
    }

    /// The number type of its operands.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        self.backend.dtype()
    }

    /// The instructions, or the GPU, that its operators use.
    #[must_use]
    pub fn kernels(&self) -> String {
        self.backend.name()
    }

    /// Reads a model: a bundle file, an official checkpoint (`Wan2.1_VAE.pth`, `Wan2.2_VAE.pth`, or the same tensors as
    /// safetensors), or a folder of diffusers with `config.json` and `diffusion_pytorch_model.safetensors`, which may be
    /// the `vae` folder of the one that is given.
    ///
    /// Official weights have no tokenizer. Their SHA-256 is that of the file that holds the tensors.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be read, else as [`Bundle::from_bytes`].
    pub fn open(path: impl AsRef<Path>, device: &Device, dtype: Dtype) -> Result<Self> {
        Self::open_with(path, Halves::Both, device, dtype)
    }

    /// As [`Bundle::open`], with one half of its networks only.
    ///
    /// # Errors
    /// As for [`Bundle::open`]. What the other half would do gives [`Error::Bundle`].
    pub fn open_with(path: impl AsRef<Path>, halves: Halves, device: &Device, dtype: Dtype) -> Result<Self> {
        open(path.as_ref(), (halves, device, dtype))
    }

    /// The bundle that is built into this library.
    ///
    /// # Errors
    /// [`Error::Parameter`] or [`Error::Device`], as for [`Bundle::from_bytes`].
    #[cfg(feature = "embedded-bundle")]
    pub fn embedded(device: &Device, dtype: Dtype) -> Result<Self> {
        Self::embedded_with(Halves::Both, device, dtype)
    }

    /// As [`Bundle::embedded`], with one half of its networks only.
    ///
    /// # Errors
    /// As for [`Bundle::embedded`]. What the other half would do gives [`Error::Bundle`].
    #[cfg(feature = "embedded-bundle")]
    pub fn embedded_with(halves: Halves, device: &Device, dtype: Dtype) -> Result<Self> {
        Self::from_bytes_with(latentbit_model::BUNDLE, halves, device, dtype)
    }

    /// The tokenizer, for work that cannot do without.
    ///
    /// # Errors
    /// [`Error::Bundle`] if the bundle has none.
    pub fn tokenizer(&self) -> Result<&Tokenizer> {
        self.tokenizer
            .as_ref()
            .ok_or_else(|| {
                Error::bundle(format!(
                    "{:?} has no tokenizer, so it makes latents only (`latentbit latents`); train one on this VAE, or take \
                     a bundle that has one",
                    self.config.name
                ))
            })
    }
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bundle")
            .field("id", &self.id)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// With which halves, where, and in which number type.
type How<'a> = (Halves, &'a Device, Dtype);

fn open(path: &Path, how: How<'_>) -> Result<Bundle> {
    if path.is_dir() {
        return open_folder(path, how);
    }
    let mut magic = [0; 4];
    let len = read_start(path, &mut magic)?;
    if magic[..len].starts_with(b"PK") {
        let source = PthFile::open(path)?;
        let vae = config_of_pth(&source)?;
        return load(path, path, vae, &source, Naming::Official, how);
    }
    if let Ok(source) = SafetensorsFile::open(path)
        && source.shape("vae.conv2.weight").is_none()
    {
        if source.shape("conv2.weight").is_some() {
            let vae = config_of_pth(&source)?;
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
    let config = config_name(folder).ok_or_else(|| {
        Error::bundle(
            "there is no config.json in this folder; give the folder of a diffusers VAE, or the file of a model",
        )
    })?;
    let weights = weights_name(&config);
    let text = std::fs::read_to_string(&config).map_err(|source| io_error(&config, source))?;
    let vae = read_diffusers_config(&text)?;
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
