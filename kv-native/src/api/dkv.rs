//! Seed 003's `dkv`: the strong keyspace over gRPC, and the same over REST.
//!
//! What is served stands in `proto/dkv/v0/dkv.proto`, which is compiled with the program. Both surfaces turn
//! into the same few calls ([`service`]) and share their errors, which are gRPC's: REST shows their codes and
//! the HTTP status that gRPC's gateways give them. gRPC runs on every address of the node, in the same
//! router as everything else, beside its health and reflection services.
//!
//! Left out: TLS, compression, gRPC-Web.

mod base64;
mod grpc;
mod health;
mod rest;
mod service;

pub(crate) use grpc::{is_grpc, services as grpc_services, unknown_method};
pub(crate) use rest::surface;

/// The messages and services, generated from their definition.
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::allow_attributes_without_reason,
    clippy::use_self,
    reason = "it is generated"
)]
mod proto {
    tonic::include_proto!("dkv.v0");

    /// The definition, for the reflection service.
    pub(super) const DESCRIPTORS: &[u8] = tonic::include_file_descriptor_set!("dkv.v0");
}
