//! The native API's list of keys: `/v1/{keyspace}/keys`, streamed as fast as the client reads.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use kv_core::error::RequestError;
use kv_core::request::{Reply, Request};

use super::answer::{Failure, Style};
use super::keys::{check_keyspace, no_meaning};
use super::{App, Operation, Surface, query};
use crate::driver::Pending;

/// How many keys are on their way to a client at once.
const KEYS_AHEAD: u32 = 1_000;

/// Adds this path.
pub(crate) fn surface(surface: Surface) -> Surface {
    let operation = Operation {
        method: Method::GET,
        path: "/v1/{keyspace}/keys",
        summary: "The keys that this very node holds, percent-encoded, one a line, in no particular order",
        query: &[("local", "must be true"), ("prefix", "only keys that begin so")],
        headers: &[],
        body: super::Body::None,
        answers: &[
            (200, "text/plain"),
            (400, "An option is missing or has no meaning"),
            (404, "No such keyspace"),
        ],
    };
    surface.on(operation, list)
}

async fn list(State(app): State<App>, uri: Uri) -> Result<Response, Failure> {
    check_keyspace(uri.path().split('/').nth(2).unwrap_or_default())?;
    let (mut local, mut prefix) = (false, Bytes::new());
    for (name, value) in query::pairs(&uri) {
        match (name.as_str(), value.as_slice()) {
            ("local", b"true" | b"1") => local = true,
            ("local", _) => {}
            ("prefix", _) => prefix = value.into(),
            _ => return Err(no_meaning(&name, "local=true and prefix")),
        }
    }
    if !local {
        let words = "say local=true: only the keys that this very node holds can be listed";
        return Err(Failure::new(Style::Error, StatusCode::BAD_REQUEST, words));
    }
    let request = Request::ListLocal { prefix, credit: KEYS_AHEAD };
    let mut pending =
        app.handle.begin(request).map_err(|error| Failure::of(Style::Error, &error))?;
    // The first part is awaited, so that a refusal gets its status.
    let first = next_keys(&mut pending).await.map_err(|error| Failure::of(Style::Error, &error))?;
    let rest = stream::unfold((first, pending), async |(keys, mut pending)| {
        let keys = keys?;
        let lines: String = keys.iter().map(|key| query::encoded(key) + "\n").collect();
        pending.credit(u32::try_from(keys.len()).unwrap_or(u32::MAX));
        // An error this late breaks the connection off, so that a part is not taken for all.
        match next_keys(&mut pending).await {
            Ok(next) => Some((Ok(lines), (next, pending))),
            Err(error) => Some((Err(error), (None, pending))),
        }
    });
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, text)], Body::from_stream(rest)).into_response())
}

async fn next_keys(pending: &mut Pending) -> Result<Option<Vec<Bytes>>, RequestError> {
    match pending.next().await {
        Some((Ok(Reply::Keys(keys)), _)) => Ok(Some(keys)),
        Some((Err(error), _)) => Err(error),
        Some((Ok(_), _)) | None => Ok(None),
    }
}
