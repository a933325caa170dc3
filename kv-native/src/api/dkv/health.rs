//! gRPC's health service (`grpc.health.v1`): a node serves once it is a member of a cluster, as `/health`
//! has it. Its services and the node as a whole, which is named by no name, are equally healthy.

use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::watch;
use tonic::{Request, Response, Status, async_trait};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::grpc;
use crate::driver::{Facts, Handle};

/// What implements the service.
#[derive(Clone)]
pub(super) struct Served(pub(super) Handle);

#[async_trait]
impl Health for Served {
    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = request.into_inner().service;
        if !is_known(&service) {
            let words =
                format!("there is no {service:?}; the reflection service tells what there is");
            return Err(Status::not_found(words));
        }
        Ok(Response::new(answer(serving(&self.0.facts()))))
    }

    /// Tells it now and whenever it changes. A service that there is not may come, so this is no error.
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let known = is_known(&request.into_inner().service);
        let told = stream::unfold((self.0.facts_watch(), None), move |(facts, last)| async move {
            let (facts, now) = next(facts, known, last).await?;
            Some((Ok(answer(now)), (facts, Some(now))))
        });
        Ok(Response::new(told.boxed()))
    }
}

/// Waits until it is something else than what was told last; nothing when the node has stopped.
async fn next(
    mut facts: watch::Receiver<Arc<Facts>>,
    known: bool,
    last: Option<ServingStatus>,
) -> Option<(watch::Receiver<Arc<Facts>>, ServingStatus)> {
    loop {
        let now =
            if known { serving(&facts.borrow_and_update()) } else { ServingStatus::ServiceUnknown };
        if Some(now) != last {
            return Some((facts, now));
        }
        facts.changed().await.ok()?;
    }
}

fn is_known(service: &str) -> bool {
    service.is_empty() || grpc::NAMES.contains(&service)
}

fn serving(facts: &Facts) -> ServingStatus {
    if facts.layout.is_some() { ServingStatus::Serving } else { ServingStatus::NotServing }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}
