//! Compares `include/latentbit.h` with what cbindgen makes of `src/`; with `--write` it writes it.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

/// In the order in which somebody would read them.
const SOURCES: [&str; 5] = ["version", "failure", "file", "model", "decoder"];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let capi = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let config = cbindgen::Config::from_file(capi.join("cbindgen.toml"))?;
    let mut builder = cbindgen::Builder::new().with_config(config);
    for name in SOURCES {
        builder = builder.with_src(capi.join(format!("src/{name}.rs")));
    }
    let mut made = Vec::new();
    builder.generate()?.write(&mut made);
    let path = capi.join("include/latentbit.h");
    if std::env::args().any(|argument| argument == "--write") {
        std::fs::write(&path, &made)?;
    } else if std::fs::read(&path)? != made {
        eprintln!("capi/include/latentbit.h is not that of capi/src; write it: make capi-header");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
