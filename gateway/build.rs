//! Turns `asyncapi.yaml`, which people write, into the JSON that is served. A fault in it
//! fails the build.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=asyncapi.yaml");
    let document: serde_json::Value = yaml_serde::from_str(&fs::read_to_string("asyncapi.yaml")?)?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR")?);
    fs::write(out.join("asyncapi.json"), serde_json::to_string(&document)?)?;
    Ok(())
}
