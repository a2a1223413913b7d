//! Which kernels this machine runs.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use crate::error::{Error, Result};

/// The environment variable that forces a kind.
pub(crate) const VARIABLE: &str = "LATENTBIT_CPU";

/// A family of kernels, by the instructions that it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// AVX-512 and the tiles of AMX for bf16.
    Amx,
    /// AVX-512 with dot products of bf16.
    Avx512Bf16,
    /// AVX-512 for f32.
    Avx512,
    /// AVX2 and FMA.
    Avx2,
    /// Whatever the compiler makes of plain loops.
    Portable,
}

impl Kind {
    /// The best kind that this machine has, or the one that [`VARIABLE`] asks for.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the variable asks for an unknown kind or for one that this machine lacks.
    pub(crate) fn current() -> Result<Self> {
        static CURRENT: OnceLock<Result<Kind, String>> = OnceLock::new();
        let current = CURRENT.get_or_init(|| match std::env::var(VARIABLE) {
            Ok(name) if !name.is_empty() => Self::forced(&name),
            _ => Ok(Self::available()[0]),
        });
        current
            .clone()
            .map_err(|reason| Error::parameter(VARIABLE, reason))
    }

    fn forced(name: &str) -> Result<Self, String> {
        let family = Family::from_str(name)?;
        let kind = Self::available().into_iter().find(|kind| kind.family() == family);
        kind.ok_or_else(|| format!("asks for {name}, which this machine lacks"))
    }

    /// All kinds that this machine has, the fastest first.
    pub(crate) fn available() -> Vec<Self> {
        let mut kinds = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let avx512 = avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            let dot = avx512 && is_x86_feature_detected!("avx512bf16");
            let amx = dot && has_amx();
            for (present, kind) in [
                (amx, Self::Amx),
                (dot, Self::Avx512Bf16),
                (avx512, Self::Avx512),
                (avx2, Self::Avx2),
            ] {
                if present {
                    kinds.push(kind);
                }
            }
        }
        kinds.push(Self::Portable);
        kinds
    }

    fn family(self) -> Family {
        match self {
            Self::Amx => Family::Amx,
            Self::Avx512Bf16 | Self::Avx512 => Family::Avx512,
            Self::Avx2 => Family::Avx2,
            Self::Portable => Family::Portable,
        }
    }

    /// Whether there are registers of 512 bits.
    pub(crate) fn has_avx512(self) -> bool {
        matches!(self, Self::Amx | Self::Avx512Bf16 | Self::Avx512)
    }

    /// Whether there are instructions for bf16, so that its products are faster than those of f32.
    pub(crate) fn has_bf16(self) -> bool {
        matches!(self, Self::Amx | Self::Avx512Bf16)
    }
}

/// Whether the CPU has AMX for bf16 and the kernel lets this process use it; asks the kernel for permission.
#[cfg(target_arch = "x86_64")]
fn has_amx() -> bool {
    const AMX_BF16: u32 = 1 << 22;
    const AMX_TILE: u32 = 1 << 24;
    let features = std::arch::x86_64::__cpuid_count(7, 0).edx;
    features & AMX_BF16 != 0 && features & AMX_TILE != 0 && tiles_permitted()
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn tiles_permitted() -> bool {
    const ARCH_REQ_XCOMP_PERM: usize = 0x1023;
    const TILE_DATA: usize = 18;
    // SAFETY: the call takes two numbers and touches no memory of ours.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0 }
}

#[cfg(all(target_arch = "x86_64", not(target_os = "linux")))]
fn tiles_permitted() -> bool {
    false
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Amx => "amx (bf16 tiles, f32 by AVX-512)",
            Self::Avx512Bf16 => "avx512 (bf16 dot products, f32)",
            Self::Avx512 => "avx512 (f32)",
            Self::Avx2 => "avx2 (f32)",
            Self::Portable => "portable (f32)",
        })
    }
}

/// The values of [`VARIABLE`].
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Amx,
    Avx512,
    Avx2,
    Portable,
}

impl FromStr for Family {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "amx" => Ok(Self::Amx),
            "avx512" => Ok(Self::Avx512),
            "avx2" => Ok(Self::Avx2),
            "portable" => Ok(Self::Portable),
            _ => Err(format!("is {name:?}, but must be amx, avx512, avx2 or portable")),
        }
    }
}
