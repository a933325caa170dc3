//! All surfaces, in one router.
//!
//! Each surface is a file that translates HTTP onto the requests of kv-core. It registers a handler
//! together with its [`Operation`], so that `/openapi.json` is a description of the router and cannot
//! differ from it.

mod answer;
mod body;
mod config;
mod dkv;
mod docs;
mod groups;
mod items;
mod keys;
mod listing;
mod members;
mod metrics;
mod peers;
mod query;
mod shards;
mod status;
mod strong;

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use axum::routing::{MethodFilter, any, get, on};
use tokio::sync::watch;

use crate::driver::Handle;
use crate::transport::{self, Transport};
use answer::{Failure, Style};

/// What handlers work with.
#[derive(Clone)]
pub(crate) struct App {
    /// The node.
    pub(crate) handle: Handle,
    /// Its links.
    pub(crate) transport: Transport,
    /// The addresses it listens on and is reached at, as `HOST:PORT`.
    pub(crate) own_addresses: Arc<Vec<String>>,
    /// Whether the node is to stop, so that answers without an end come to one.
    pub(crate) stopping: watch::Receiver<bool>,
}

/// The router of a node.
pub(crate) fn router(app: App) -> Router {
    let surface = surface();
    let document = Arc::new(docs::document(&surface.operations));
    surface
        .router
        .merge(dkv::grpc_services())
        .route("/openapi.json", get(move || docs::openapi(Arc::clone(&document))))
        .route("/ws/peer", get(transport::accept))
        .route("/v1/{keyspace}/keys/", any(keys::empty_key))
        .method_not_allowed_fallback(wrong_method)
        .fallback(unknown_path)
        .with_state(app)
}

fn surface() -> Surface {
    [
        items::surface,
        peers::surface,
        config::surface,
        keys::surface,
        listing::surface,
        strong::surface,
        status::surface,
        shards::surface,
        members::surface,
        metrics::surface,
        dkv::surface,
        docs::surface,
    ]
    .into_iter()
    .fold(Surface::default(), |all, add| add(all))
}

/// A router and the description of what is in it.
#[derive(Default)]
pub(crate) struct Surface {
    router: Router<App>,
    operations: Vec<Operation>,
}

/// One method of one path, as `/openapi.json` tells of it.
pub(crate) struct Operation {
    /// For example `GET`.
    method: Method,
    /// With parameters in braces.
    path: &'static str,
    /// What it does, in a sentence.
    summary: &'static str,
    /// Query parameters: name and meaning.
    query: &'static [(&'static str, &'static str)],
    /// Request headers: name and meaning.
    headers: &'static [(&'static str, &'static str)],
    /// What the body is.
    body: Body,
    /// Status codes and what they mean.
    answers: &'static [(u16, &'static str)],
}

impl Operation {
    /// One without query parameters and headers.
    pub(crate) const fn plain(
        method: Method,
        path: &'static str,
        summary: &'static str,
        body: Body,
        answers: &'static [(u16, &'static str)],
    ) -> Self {
        Self { method, path, summary, query: &[], headers: &[], body, answers }
    }
}

/// What a request carries.
#[derive(Clone, Copy)]
pub(crate) enum Body {
    /// Nothing.
    None,
    /// Any bytes.
    Bytes,
    /// JSON, like this example.
    Json(&'static str),
    /// Settings by name.
    Settings,
}

impl Surface {
    /// Adds a handler with its description.
    fn on<H, T>(mut self, operation: Operation, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(operation.method.clone());
        self.router =
            self.router.route(operation.path, on(filter.unwrap_or(MethodFilter::GET), handler));
        self.operations.push(operation);
        self
    }
}

async fn unknown_path(uri: Uri, headers: HeaderMap) -> Response {
    if dkv::is_grpc(&headers) {
        return dkv::unknown_method(&uri);
    }
    let words = format!("there is no {}; GET /docs tells what there is", uri.path());
    Failure::new(Style::of_path(uri.path()), StatusCode::NOT_FOUND, words).into()
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    let words = format!(
        "{method} is not allowed on {}; the Allow header names the methods that are",
        uri.path()
    );
    Failure::new(Style::of_path(uri.path()), StatusCode::METHOD_NOT_ALLOWED, words).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_a_method_the_router_can_tell_apart() {
        for operation in surface().operations {
            assert!(MethodFilter::try_from(operation.method).is_ok(), "{}", operation.path);
        }
    }
}
