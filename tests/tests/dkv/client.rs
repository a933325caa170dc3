//! A client of gRPC that waits for each answer, and one that sends any bytes.

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use kv_tests::process::PATIENCE;
use tokio::runtime::Runtime;
use tokio_stream::StreamExt;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{self, HeaderMap};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{FileDescriptorResponse, ServerReflectionRequest};

use proto::cluster_service_client::ClusterServiceClient;
use proto::kv_store_client::KvStoreClient;
use proto::{GetRequest, PutRequest, StatusReply, StatusRequest};

#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::use_self,
    reason = "it is generated"
)]
pub(crate) mod proto {
    tonic::include_proto!("dkv.v0");
}

/// How large an answer may be.
const ANSWER_MAX: usize = 64 << 20;

/// A connection to a node, made when it is first needed and again when it is lost.
pub(crate) struct Client {
    runtime: Runtime,
    channel: Channel,
}

impl Client {
    /// Over HTTP/2 without more ado.
    pub(crate) fn of(address: &str) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        let endpoint = endpoint.connect_timeout(Duration::from_secs(5));
        let channel = {
            // The connection is a task of the runtime.
            let _entered = runtime.enter();
            endpoint.connect_lazy()
        };
        Self { runtime, channel }
    }

    fn wait<T>(&self, call: impl Future<Output = T>) -> T {
        let answer = async { tokio::time::timeout(PATIENCE, call).await };
        self.runtime.block_on(answer).expect("an answer in bounded time")
    }

    pub(crate) fn put(&self, key: &[u8], value: &[u8]) -> Result<String, Status> {
        let request = PutRequest { key: key.to_vec(), value: value.to_vec() };
        let mut store = KvStoreClient::new(self.channel.clone());
        self.wait(store.put(request)).map(|reply| reply.into_inner().message)
    }

    /// The value, and the key that comes with it must be the one that was asked for.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Vec<u8>, Status> {
        let mut store =
            KvStoreClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_MAX);
        let reply = self.wait(store.get(GetRequest { key: key.to_vec() }))?.into_inner();
        assert_eq!(reply.key, key);
        Ok(reply.value)
    }

    pub(crate) fn status(&self) -> Result<StatusReply, Status> {
        let mut cluster = ClusterServiceClient::new(self.channel.clone());
        self.wait(cluster.status(StatusRequest {})).map(tonic::Response::into_inner)
    }

    pub(crate) fn health(&self, service: &str) -> Result<ServingStatus, Status> {
        let mut health = HealthClient::new(self.channel.clone());
        let request = HealthCheckRequest { service: service.into() };
        self.wait(health.check(request)).map(|reply| reply.into_inner().status())
    }

    /// What a watch of a service's health tells first.
    pub(crate) fn watched_health(&self, service: &str) -> ServingStatus {
        let mut health = HealthClient::new(self.channel.clone());
        let request = HealthCheckRequest { service: service.into() };
        self.wait(async {
            let mut told = health.watch(request).await.expect("a watch").into_inner();
            told.next().await.expect("it tells at once").expect("a status").status()
        })
    }

    /// The services that reflection lists.
    pub(crate) fn services(&self) -> Vec<String> {
        match self.reflect(MessageRequest::ListServices(String::new())) {
            MessageResponse::ListServicesResponse(list) => {
                list.service.into_iter().map(|service| service.name).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    /// The definition, encoded, of the file that defines something.
    pub(crate) fn definition(&self, symbol: &str) -> Vec<Vec<u8>> {
        match self.reflect(MessageRequest::FileContainingSymbol(symbol.into())) {
            MessageResponse::FileDescriptorResponse(FileDescriptorResponse {
                file_descriptor_proto,
            }) => file_descriptor_proto,
            other => panic!("{other:?}"),
        }
    }

    fn reflect(&self, request: MessageRequest) -> MessageResponse {
        let mut reflection = ServerReflectionClient::new(self.channel.clone());
        let request =
            ServerReflectionRequest { host: String::new(), message_request: Some(request) };
        self.wait(async {
            let asked = tokio_stream::iter([request]);
            let replies = reflection.server_reflection_info(asked).await.expect("reflection");
            let reply = replies.into_inner().next().await.expect("a reply").expect("no error");
            reply.message_response.expect("it says something")
        })
    }

    /// Posts these bytes as a request of gRPC, and returns the code that is answered.
    pub(crate) fn post(&self, path: &str, bytes: &[u8]) -> (Code, String) {
        let request = http::Request::post(path)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Body::new(Full::from(bytes.to_vec())))
            .expect("a request");
        let mut channel = self.channel.clone();
        let headers = self.wait(async {
            std::future::poll_fn(|context| channel.poll_ready(context)).await.expect("a node");
            let response = channel.call(request).await.expect("an answer");
            assert_eq!(response.status(), 200);
            let mut headers: HeaderMap = response.headers().clone();
            let body = response.into_body().collect().await.expect("a whole answer");
            headers.extend(body.trailers().cloned().unwrap_or_default());
            headers
        });
        let status = Status::from_header_map(&headers).expect("a code");
        (status.code(), status.message().to_owned())
    }
}

/// A message in its frame of gRPC.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a short message");
    let mut frame = vec![0];
    frame.extend(length.to_be_bytes());
    frame.extend(message);
    frame
}
