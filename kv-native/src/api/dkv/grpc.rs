//! The gRPC services, as routes of the node's router.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Uri, header};
use axum::response::Response;
use axum::routing::{post, post_service};
use tonic::codegen::Service;
use tonic::server::NamedService;
use tonic::{Code, Status, async_trait};
use tonic_health::pb::health_server::HealthServer;
use tonic_reflection::server::{Builder, Error};

use super::proto::cluster_service_server::{ClusterService, ClusterServiceServer};
use super::proto::kv_store_server::{KvStore, KvStoreServer};
use super::proto::{self, GetReply, GetRequest, PutReply, PutRequest, StatusReply, StatusRequest};
use super::{health, service};
use crate::api::{App, body};

/// What implements the services.
#[derive(Clone)]
pub(super) struct Served(App);

/// The services that a client may ask the health of.
pub(super) const NAMES: [&str; 2] =
    [KvStoreServer::<Served>::NAME, ClusterServiceServer::<Served>::NAME];

/// All services.
pub(crate) fn services() -> Router<App> {
    let router = Router::new()
        .route(&path::<KvStoreServer<Served>>(), post(store))
        .route(&path::<ClusterServiceServer<Served>>(), post(cluster))
        .route(&path::<HealthServer<health::Served>>(), post(check));
    let reflected = reflection();
    reflected.map(|reflection| router.clone().merge(reflection)).unwrap_or_else(|error| {
        tracing::error!("internal fault: gRPC reflection is not served: {error}");
        router
    })
}

/// Whether a request is one of gRPC.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// The answer to a call of what there is not.
pub(crate) fn unknown_method(uri: &Uri) -> Response {
    let words = format!("there is no {}; the reflection service tells what there is", uri.path());
    Status::new(Code::Unimplemented, words).into_http()
}

/// The methods of a service.
fn path<S: NamedService>() -> String {
    format!("/{}/{{*method}}", S::NAME)
}

async fn store(State(app): State<App>, request: Request) -> Response {
    // As large as a value may be right now, with a key beside it.
    let limit = service::value_bytes_max(&app).saturating_add(body::WRAPPING);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    call(KvStoreServer::new(Served(app)).max_decoding_message_size(limit), request).await
}

async fn cluster(State(app): State<App>, request: Request) -> Response {
    call(ClusterServiceServer::new(Served(app)), request).await
}

async fn check(State(app): State<App>, request: Request) -> Response {
    call(HealthServer::new(health::Served(app.handle)), request).await
}

async fn call<S>(mut service: S, request: Request) -> Response
where
    S: Service<Request, Response = axum::http::Response<tonic::body::Body>, Error = Infallible>,
{
    match service.call(request).await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    }
}

/// Reflection in both versions that tools ask for.
fn reflection() -> Result<Router<App>, Error> {
    let descriptors = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let (new, old) = (descriptors().build_v1()?, descriptors().build_v1alpha()?);
    Ok(mounted(new).merge(mounted(old)))
}

fn mounted<S>(service: S) -> Router<App>
where
    S: Service<Request, Response = axum::http::Response<tonic::body::Body>, Error = Infallible>
        + NamedService
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    Router::new().route(&path::<S>(), post_service(service))
}

#[async_trait]
impl KvStore for Served {
    async fn put(
        &self,
        request: tonic::Request<PutRequest>,
    ) -> Result<tonic::Response<PutReply>, Status> {
        service::put(&self.0, request.into_inner()).await.map(tonic::Response::new)
    }

    async fn get(
        &self,
        request: tonic::Request<GetRequest>,
    ) -> Result<tonic::Response<GetReply>, Status> {
        service::get(&self.0, request.into_inner()).await.map(tonic::Response::new)
    }
}

#[async_trait]
impl ClusterService for Served {
    async fn status(
        &self,
        request: tonic::Request<StatusRequest>,
    ) -> Result<tonic::Response<StatusReply>, Status> {
        service::status(&self.0, request.into_inner()).await.map(tonic::Response::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiled_definition_can_be_reflected() {
        assert!(reflection().is_ok());
    }
}
