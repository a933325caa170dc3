//! etcd over gRPC: `etcdserverpb.KV`, as much of it as is asked here. The numbers are those of its
//! `rpc.proto` and `kv.proto`; fields that are not named here are skipped.

use anyhow::{Context, Result};
use bytes::Bytes;
use prost::Message;
use tonic::Request;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic_prost::ProstCodec;

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

pub(super) struct Client(Grpc<Channel>);

impl Client {
    pub(super) fn new(channel: Channel) -> Self {
        Self(Grpc::new(channel))
    }

    pub(super) async fn put(&mut self, key: &str, value: &[u8]) -> Result<()> {
        let (key, value) = (Bytes::copy_from_slice(key.as_bytes()), Bytes::copy_from_slice(value));
        let request = PutRequest { key, value };
        let _: PutResponse = self.call("/etcdserverpb.KV/Put", request).await?;
        Ok(())
    }

    /// The size of the value.
    pub(super) async fn read(&mut self, key: &str) -> Result<usize> {
        let request = RangeRequest { key: Bytes::copy_from_slice(key.as_bytes()) };
        let found: RangeResponse = self.call("/etcdserverpb.KV/Range", request).await?;
        found.kvs.first().map(|it| it.value.len()).with_context(|| format!("{key} is not there"))
    }

    async fn call<Q, R>(&mut self, path: &'static str, request: Q) -> Result<R>
    where
        Q: Message + Send + Sync + 'static,
        R: Message + Default + Send + Sync + 'static,
    {
        self.0.ready().await?;
        let path = PathAndQuery::from_static(path);
        let codec: ProstCodec<Q, R> = ProstCodec::default();
        Ok(self.0.unary(Request::new(request), path, codec).await?.into_inner())
    }
}
