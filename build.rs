//! Compiles the Protobuf files without a system `protoc`.

use std::{env, fs, path::Path};

use prost::Message as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(["proto/darwin/v1/darwin.proto"], ["proto"])?;
    let out = Path::new(&env::var("OUT_DIR")?).join("descriptor.bin");
    fs::write(out, descriptors.encode_to_vec())?;
    tonic_prost_build::configure().bytes(".darwin.v1").compile_fds(descriptors)?;
    Ok(())
}
