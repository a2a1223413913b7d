//! Finds the bundle and its predictor that the feature `embedded-bundle` puts into the library.

use std::path::Path;

fn main() {
    let root = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let models = Path::new(&root).join("../models");
    embed(&models.join("default.safetensors"), "bundle");
    embed(&models.join("default-predictor.safetensors"), "predictor");
}

/// Says where `file` is, if it is to be embedded.
fn embed(file: &Path, what: &str) {
    println!("cargo::rustc-check-cfg=cfg({what}_present)");
    println!("cargo::rerun-if-changed={}", file.display());
    if std::env::var_os("CARGO_FEATURE_EMBEDDED_BUNDLE").is_none() {
        return;
    }
    if file.is_file() {
        println!("cargo::rustc-cfg={what}_present");
        println!(
            "cargo::rustc-env=LATENTBIT_{}={}",
            what.to_uppercase(),
            file.display()
        );
    } else {
        println!(
            "cargo::warning={} is missing: this build has no {what} in it",
            file.display()
        );
    }
}
