//! Compiles the definition of the gRPC services to a client.

use std::error::Error;

const PROTO: &str = "../kv-native/proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={PROTO}");
    let files = protox::compile(["dkv/v0/dkv.proto"], [PROTO])?;
    tonic_prost_build::configure()
        .build_server(false)
        .build_transport(false)
        .btree_map(".")
        .compile_fds(files)?;
    Ok(())
}
