//! The text of the kernels.

use super::arguments::STRUCTS;
use super::driver::Variant;
use crate::kernels::spec::Dtype;

/// One text for the compiler.
pub(super) fn text() -> String {
    [
        include_str!("source/prelude.cu"),
        STRUCTS,
        include_str!("source/finish.cu"),
        include_str!("source/move.cu"),
        include_str!("source/product.cu"),
        include_str!("source/attention.cu"),
    ]
    .join("\n")
}

/// What the compiler defines for a variant.
pub(super) fn defines(variant: Variant) -> Vec<String> {
    let element = match variant.dtype {
        Dtype::F32 => 0,
        Dtype::Bf16 => 1,
        Dtype::F16 => 2,
    };
    let mut defines = vec![format!("-DELEMENT={element}")];
    if variant.head > 0 {
        defines.push(format!("-DHEAD={}", variant.head));
    }
    defines
}
