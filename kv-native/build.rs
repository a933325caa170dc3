//! Compiles the definition of the gRPC services (`proto/`): to Rust, and to the descriptors that the
//! reflection service shows. The messages can be written as JSON too, as proto3 lays it down.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use protox::prost::Message;

/// How bytes stand in JSON.
const BASE64: &str = "#[serde(with = \"super::base64\")]";
/// How everything else does: names in lowerCamelCase, and what is absent has its default.
const JSON: &str = "#[derive(serde::Serialize, serde::Deserialize)] \
                    #[serde(default, rename_all = \"camelCase\")]";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["dkv/v0/dkv.proto"], ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("dkv.v0.bin"), files.encode_to_vec())?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        .bytes(".")
        .btree_map(".")
        .message_attribute(".", JSON)
        .field_attribute("key", BASE64)
        .field_attribute("value", BASE64)
        .compile_fds(files)?;
    Ok(())
}
