//! etcd over gRPC: `etcdserverpb.KV`, as much of it as is asked here. The numbers are those of its
//! `rpc.proto` and `kv.proto`; fields that are not named here are skipped.

use anyhow::{Context, Result};
use bytes::Bytes;
use prost::Message;
use tonic::transport::Channel;

use super::grpc::Caller;

#[derive(Clone, PartialEq, Message)]
struct PutRequest {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct PutResponse {}

/// Linearizable: that is the default.
#[derive(Clone, PartialEq, Message)]
struct RangeRequest {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct RangeResponse {
    #[prost(message, repeated, tag = "2")]
    kvs: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(bytes = "bytes", tag = "5")]
    value: Bytes,
}

pub(super) struct Client(Caller);

impl Client {
    pub(super) fn new(channel: Channel) -> Self {
        Self(Caller::new(channel))
    }

    pub(super) async fn put(&mut self, key: &str, value: &[u8]) -> Result<()> {
        let (key, value) = (Bytes::copy_from_slice(key.as_bytes()), Bytes::copy_from_slice(value));
        let request = PutRequest { key, value };
        let _: PutResponse = self.0.call("/etcdserverpb.KV/Put", request).await?;
        Ok(())
    }

    /// The size of the value.
    pub(super) async fn read(&mut self, key: &str) -> Result<usize> {
        let request = RangeRequest { key: Bytes::copy_from_slice(key.as_bytes()) };
        let found: RangeResponse = self.0.call("/etcdserverpb.KV/Range", request).await?;
        found.kvs.first().map(|it| it.value.len()).with_context(|| format!("{key} is not there"))
    }
}
