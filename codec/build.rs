//! Finds the bundle that the feature `embedded-bundle` puts into the library.

use std::path::PathBuf;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(bundle_present)");
    let root = std::env::var_os("CARGO_MANIFEST_DIR")
        .map(PathBuf::from)
        .unwrap_or_default();
    let bundle = root.join("../models/default.safetensors");
    println!("cargo::rerun-if-changed={}", bundle.display());
    if std::env::var_os("CARGO_FEATURE_EMBEDDED_BUNDLE").is_none() {
        return;
    }
    if bundle.is_file() {
        println!("cargo::rustc-cfg=bundle_present");
        println!("cargo::rustc-env=LATENTBIT_BUNDLE={}", bundle.display());
    } else {
        println!("cargo::warning=models/default.safetensors is missing: this build has no bundle in it");
    }
}
