//! Compiles the Protobuf files without a system `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(["proto/darwin/v1/darwin.proto"], ["proto"])?;
    tonic_prost_build::configure().bytes(".darwin.v1").compile_fds(descriptors)?;
    Ok(())
}
