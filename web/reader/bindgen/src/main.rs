//! `bindgen IN.wasm OUT-FOLDER`: what the program `wasm-bindgen --target web` does, without its test runner and the web
//! server and the TLS library that come with that.

use std::error::Error;

use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(input), Some(output)) = (arguments.next(), arguments.next()) else {
        return Err("usage: bindgen IN.wasm OUT-FOLDER".into());
    };
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(input)
        .out_name("wasm")
        .typescript(true)
        .web(true)?;
    bindgen.generate(output)?;
    Ok(())
}
