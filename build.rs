//! Compiles the Protobuf files without a system `protoc`, and lists the methods in them.

use std::{env, fmt::Write as _, fs, path::Path};

use prost::Message as _;

/// `google.protobuf.MethodOptions.IdempotencyLevel.NO_SIDE_EFFECTS`.
const NO_SIDE_EFFECTS: i32 = 1;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = [
        "proto/darwin/v1/darwin.proto",
        "proto/darwin/v1/envelope.proto",
        "proto/darwin/v1/channel.proto",
    ];
    let mut descriptors = protox::compile(files, ["proto"])?;
    // Where a thing stands in its file is no part of the schema.
    for file in &mut descriptors.file {
        file.source_code_info = None;
    }
    let out = env::var("OUT_DIR")?;
    fs::write(Path::new(&out).join("descriptor.bin"), descriptors.encode_to_vec())?;

    let mut methods = "&[\n".to_owned();
    for file in &descriptors.file {
        for service in &file.service {
            let service_name = format!("{}.{}", file.package(), service.name());
            for method in &service.method {
                let level = method.options.as_ref().and_then(|options| options.idempotency_level);
                writeln!(
                    methods,
                    "Method {{ service: {service_name:?}, name: {:?}, request: {:?}, answer: {:?}, \
                     feeds: {}, streams: {}, writes: {} }},",
                    method.name(),
                    method.input_type().trim_start_matches('.'),
                    method.output_type().trim_start_matches('.'),
                    method.client_streaming(),
                    method.server_streaming(),
                    level != Some(NO_SIDE_EFFECTS),
                )?;
            }
        }
    }
    methods.push_str("]\n");
    fs::write(Path::new(&out).join("methods.rs"), methods)?;
    tonic_prost_build::configure().bytes(".darwin.v1").compile_fds(descriptors)?;
    Ok(())
}
