//! Models on disk: one safetensors file whose metadata holds the config, or the official weights of a Wan VAE.

mod config;
mod halves;
mod official;
mod open;
mod source;
mod weights;

use std::fmt;
use std::path::Path;

use latentbit_container::BundleId;
use sha2::{Digest, Sha256};

pub use config::{BundleConfig, FORMAT, Kernel, QuantizerKind, StageConfig, TokenizerConfig, VaeConfig};
pub use halves::Halves;
pub(crate) use weights::Weights;

use crate::device::Device;
use crate::error::{Error, Result};
use crate::kernels::{Backend, Dtype};
use crate::tokenizer::Tokenizer;
use crate::vae::WanVae;
pub(crate) use official::Naming;
pub(crate) use source::SafetensorsBytes;
use source::Source;

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
        })
    }

    /// Where it runs.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
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
        open::open(path.as_ref(), (halves, device, dtype))
    }

    /// The bundle that is built into this library.
    ///
    /// # Errors
    /// [`Error::Bundle`] if this library was built without one.
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
        #[cfg(bundle_present)]
        const EMBEDDED: &[u8] = include_bytes!(env!("LATENTBIT_BUNDLE"));
        #[cfg(not(bundle_present))]
        const EMBEDDED: &[u8] = &[];
        if EMBEDDED.is_empty() {
            return Err(Error::bundle("there is none in this build"));
        }
        Self::from_bytes_with(EMBEDDED, halves, device, dtype)
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
