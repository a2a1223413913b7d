//! Finds this crate's half of `default.safetensors`. Two crates share it, because crates.io takes 10 MB a crate.
//!
//! A checkout has the whole file, and the half is cut out of it. A package has the half as `default.part`, which
//! `scripts/package/halves.sh` makes before `cargo package`.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let is_tail = env::var("CARGO_PKG_NAME")? == "latentbit-model-tail";
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let whole = here.join(if is_tail {
        "../default.safetensors"
    } else {
        "default.safetensors"
    });
    let packaged = here.join("default.part");
    // Not in a package: naming a file that is not there would make cargo build the crate anew each time.
    let source = if whole.is_file() { &whole } else { &packaged };
    let mut bytes = fs::read(source).map_err(|error| {
        format!(
            "{}: {error}: run scripts/package/halves.sh before `cargo package`",
            source.display()
        )
    })?;
    if source == &whole {
        let half = bytes.len() / 2;
        match is_tail {
            true => drop(bytes.drain(..half)),
            false => bytes.truncate(half),
        }
    }
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("default.part"), bytes)?;
    println!("cargo::rerun-if-changed={}", source.display());
    Ok(())
}
