//! Sessions of the strong keyspace: a write that is sent again in its session is carried out once.
//!
//! A client opens a session and numbers its writes from 1 on. It may send a write again, at any node and
//! with the same number, until it has an answer, and says with `KV-Ack` which answers it has. The token
//! is the session in every shard; to a client it is opaque.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, TryStreamExt, stream};
use kv_core::id::{Index, ShardId};
use kv_core::request::strong::{
    SESSION_TTL, SESSION_WINDOW, Session, SessionSeq, StrongReply, StrongRequest,
};
use serde_json::json;

use super::super::answer::Failure;
use super::super::{App, Body, Operation, Surface};
use super::options::Options;
use super::{SHARDS_AT_ONCE, ask, header, refused, revisions, shards, unexpected};

/// Adds this path.
pub(super) fn surface(surface: Surface) -> Surface {
    let operation = Operation {
        method: Method::POST,
        path: "/v1/strong/sessions",
        summary: "Opens a session for exactly-once writes",
        query: &[("timeout_ms", "how long to wait")],
        headers: &[],
        body: Body::None,
        answers: &[
            (
                200,
                "{\"session\", \"window\", \"idle_ms\"}: the value for KV-Session, how many numbers may be open at a time, and how long it may be silent",
            ),
            (503, "A shard has no leader that a majority follows, or the node is busy"),
            (504, "No answer in time; what was opened is forgotten by itself"),
        ],
    };
    surface.on(operation, open)
}

async fn open(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Response, Failure> {
    header::refuse(&headers, &[])?;
    let options = Options::of(&uri, &["timeout_ms"])?;
    let app = &app;
    let open = async |shard: ShardId| -> Result<Index, Failure> {
        match ask(app, StrongRequest::OpenSession { shard }, options.timeout).await? {
            StrongReply::Session(name) => Ok(name),
            other => Err(unexpected(other)),
        }
    };
    let names: Vec<Index> =
        stream::iter(shards(app)?).map(open).buffered(SHARDS_AT_ONCE).try_collect().await?;
    let body = json!({
        "session": revisions::text(&names),
        "window": SESSION_WINDOW,
        "idle_ms": SESSION_TTL.as_millis(),
    });
    Ok(Json(body).into_response())
}

/// The name of a write, by its headers.
pub(super) fn of(headers: &HeaderMap) -> Result<Option<SessionSeq>, Failure> {
    let session = header::one(headers, header::SESSION)?;
    let seq = header::one(headers, header::SEQ)?;
    let acknowledged = header::one(headers, header::ACK)?;
    let (session, seq) = match (session, seq, acknowledged) {
        (None, None, None) => return Ok(None),
        (Some(session), Some(seq), _) => (session, seq),
        _ => {
            return Err(refused(
                "KV-Session and KV-Seq go together, and KV-Ack goes with them; nothing was changed",
            ));
        }
    };
    let revisions = revisions::parse(session).ok_or_else(|| {
        refused("KV-Session is not one that POST /v1/strong/sessions has returned; nothing was changed, hand it back unaltered")
    })?;
    let number = |name: &str, text: &str, first: u64| {
        header::number(text).filter(|number| first <= *number).ok_or_else(|| {
            refused(format!(
                "{name} must be a whole number from {first} on, not {text:?}; nothing was changed"
            ))
        })
    };
    let seq = number("KV-Seq", seq, 1)?;
    let acknowledged = acknowledged.map_or(Ok(0), |text| number("KV-Ack", text, 0))?;
    if seq <= acknowledged {
        return Err(refused(format!(
            "KV-Ack says that the answer of number {acknowledged} has arrived, so number {seq} is over; nothing was changed"
        )));
    }
    Ok(Some(SessionSeq { session: Session(revisions), seq, acknowledged }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn name(headers: &[(&'static str, &'static str)]) -> Result<Option<SessionSeq>, Failure> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        of(&map)
    }

    #[test]
    fn a_write_is_named_by_session_and_number() {
        assert_eq!(name(&[]).unwrap(), None);
        let session = Session(vec![Index(12), Index(7)]);
        let expected = SessionSeq { session, seq: 3, acknowledged: 2 };
        let headers = [("kv-session", "12.7"), ("kv-seq", "3"), ("kv-ack", "2")];
        assert_eq!(name(&headers).unwrap(), Some(expected.clone()));
        let expected = SessionSeq { acknowledged: 0, ..expected };
        assert_eq!(name(&headers[..2]).unwrap(), Some(expected));
    }

    #[test]
    fn half_a_name_and_a_wrong_one_are_refused() {
        for headers in [
            &[("kv-session", "1")][..],
            &[("kv-seq", "1")],
            &[("kv-ack", "1")],
            &[("kv-session", "x"), ("kv-seq", "1")],
            &[("kv-session", "1"), ("kv-seq", "0")],
            &[("kv-session", "1"), ("kv-seq", "-1")],
            &[("kv-session", "1"), ("kv-seq", "1"), ("kv-seq", "2")],
            &[("kv-session", "1"), ("kv-seq", "1"), ("kv-ack", "1")],
            &[("kv-session", "1"), ("kv-seq", "2"), ("kv-ack", "")],
        ] {
            assert!(name(headers).is_err(), "{headers:?}");
        }
    }
}
