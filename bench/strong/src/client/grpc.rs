//! gRPC, as both systems speak it, and kv's own service: `dkv.v0.KVStore`.

use anyhow::Result;
use bytes::Bytes;
use prost::Message;
use tonic::Request;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic_prost::ProstCodec;

/// Calls methods over a connection that others may share.
pub(super) struct Caller(Grpc<Channel>);

impl Caller {
    pub(super) fn new(channel: Channel) -> Self {
        Self(Grpc::new(channel))
    }

    pub(super) async fn call<Q, R>(&mut self, path: &'static str, request: Q) -> Result<R>
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

#[derive(Clone, PartialEq, Message)]
struct PutRequest {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct PutReply {}

#[derive(Clone, PartialEq, Message)]
struct GetRequest {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct GetReply {
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

/// A client of kv.
pub(super) struct Client(Caller);

impl Client {
    pub(super) fn new(channel: Channel) -> Self {
        Self(Caller::new(channel))
    }

    pub(super) async fn put(&mut self, key: &str, value: &[u8]) -> Result<()> {
        let (key, value) = (Bytes::copy_from_slice(key.as_bytes()), Bytes::copy_from_slice(value));
        let request = PutRequest { key, value };
        let _: PutReply = self.0.call("/dkv.v0.KVStore/Put", request).await?;
        Ok(())
    }

    /// The size of the value.
    pub(super) async fn read(&mut self, key: &str) -> Result<usize> {
        let request = GetRequest { key: Bytes::copy_from_slice(key.as_bytes()) };
        let found: GetReply = self.0.call("/dkv.v0.KVStore/Get", request).await?;
        Ok(found.value.len())
    }
}
