//! One key of the strong keyspace: `/v1/strong/keys/{key}`.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header as http_header,
};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use kv_core::id::Index;
use kv_core::request::strong::{
    Action, Condition, Record, SessionSeq, StrongReply, StrongRequest, WriteOperation,
};
use kv_core::time::{Micros, Wall};
use serde::Serialize;
use serde_json::json;

use super::super::answer::{Failure, Style};
use super::super::{App, Body as Carries, Operation, Surface, body, query};
use super::options::Options;
use super::{add_tag, ask, condition, header, receipt, session, unexpected, unmet};

/// When a value ceases to be there: milliseconds since 1970-01-01 00:00 UTC by the clock of the log.
const EXPIRES: HeaderName = HeaderName::from_static("kv-expires");

const PATH: &str = "/v1/strong/keys/{*key}";

/// An option or header: its name and what it means.
type Named = (&'static str, &'static str);

const TIMEOUT: Named = ("timeout_ms", "how long to wait");
const RECEIPT: Named =
    ("receipt", "1: tell in KV-Receipt the shard, its replicas and how the answer came about");
const IF_MATCH: Named = ("If-Match", "only if the value has this entity tag; * for any value");
const SESSION: Named = ("KV-Session", "the session of the client, for exactly-once writes");
const SEQ: Named = ("KV-Seq", "the number of this write in the session, from 1 on");
const ACK: Named = ("KV-Ack", "the client has the answers of all numbers up to this one");

/// What a write is answered.
const WRITTEN: &[(u16, &str)] = &[
    (
        200,
        "A majority of the shard has it on disk: {\"revision\", \"replaced\"} of a PUT, {\"revision\", \"existed\"} of a DELETE; KV-Expires where a value is to live for a time",
    ),
    (400, "An option or header has no meaning here; nothing was changed"),
    (409, "The session is not open, or this number of it is over; this attempt changed nothing"),
    (412, "The condition is not met: {\"found\"} and ETag tell the revision; nothing was changed"),
    (413, "The value is larger than value_bytes_max"),
    (
        503,
        "The shard has no leader that a majority follows, or the node is busy; nothing was changed",
    ),
    (
        504,
        "It is unknown whether it took effect; read before trying again, or send it again in its session",
    ),
    (507, "A disk is full; nothing was acknowledged"),
];

/// Adds these paths.
pub(super) fn surface(surface: Surface) -> Surface {
    surface.on(reading(), get).on(putting(), put).on(deleting(), delete)
}

fn reading() -> Operation {
    Operation {
        method: Method::GET,
        path: PATH,
        summary: "The value of a key as of the last acknowledged write",
        query: &[
            ("read", "linearizable (the default), or stale: what some replica has applied"),
            TIMEOUT,
            RECEIPT,
        ],
        headers: &[],
        body: Carries::None,
        answers: &[
            (
                200,
                "The value; ETag is its revision in quotes, KV-Expires when it ceases to be there in milliseconds since 1970",
            ),
            (404, "No value"),
            (503, "The shard has no leader that a majority follows, or the node is busy"),
            (504, "No answer in time"),
        ],
    }
}

fn putting() -> Operation {
    Operation {
        method: Method::PUT,
        path: PATH,
        summary: "Stores a value under a key",
        query: &[
            ("ttl_ms", "for how long, by the clock of the log; for good if absent"),
            TIMEOUT,
            RECEIPT,
        ],
        headers: &[IF_MATCH, ("If-None-Match", "* : only if there is no value"), SESSION, SEQ, ACK],
        body: Carries::Bytes,
        answers: WRITTEN,
    }
}

fn deleting() -> Operation {
    Operation {
        method: Method::DELETE,
        path: PATH,
        summary: "Deletes a key; that there is nothing is no error, unless If-Match is given",
        query: &[TIMEOUT, RECEIPT],
        headers: &[IF_MATCH, SESSION, SEQ, ACK],
        body: Carries::None,
        answers: WRITTEN,
    }
}

async fn get(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Response, Failure> {
    header::refuse(&headers, &[])?;
    let options = Options::of(&uri, &["read", "timeout_ms", "receipt"])?;
    let key = key_of(&uri);
    let request = StrongRequest::Get { key: key.clone(), freshness: options.freshness };
    match ask(&app, request, options.timeout).await? {
        StrongReply::Value { record, revision } => {
            let told = receipt::of_read(
                options.freshness,
                record.as_ref().map(|record| record.revision),
                revision,
            );
            let mut response = read(record);
            if options.receipt {
                receipt::add(&mut response, &app, &key, told);
            }
            Ok(response)
        }
        other => Err(unexpected(other)),
    }
}

async fn put(
    State(app): State<App>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let names =
        [header::IF_MATCH, header::IF_NONE_MATCH, header::SESSION, header::SEQ, header::ACK];
    header::refuse(&headers, &names)?;
    let options = Options::of(&uri, &["ttl_ms", "timeout_ms", "receipt"])?;
    let write = Write::of(&headers, &uri, &options)?;
    let value = body::value(&app, &headers, body).await?;
    match write.carry_out(&app, Action::Put { value, ttl: options.ttl }).await? {
        Outcome::Written { revision, replaced, clock } => {
            let replaced = replaced.map(|old| old.0);
            let mut response = Json(Written { revision: revision.0, replaced }).into_response();
            add_tag(&mut response, revision);
            add_expiry(&mut response, options.ttl.map(|ttl| Wall(clock.0.saturating_add(ttl.0))));
            write.add_receipt(&mut response, &app, revision);
            Ok(response)
        }
        Outcome::Unmet(found) => Ok(unmet(None, found)),
    }
}

async fn delete(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Response, Failure> {
    header::refuse(&headers, &[header::IF_MATCH, header::SESSION, header::SEQ, header::ACK])?;
    let options = Options::of(&uri, &["timeout_ms", "receipt"])?;
    let write = Write::of(&headers, &uri, &options)?;
    match write.carry_out(&app, Action::Delete).await? {
        Outcome::Written { revision, replaced, .. } => {
            let body = json!({ "revision": revision.0, "existed": replaced.is_some() });
            let mut response = Json(body).into_response();
            write.add_receipt(&mut response, &app, revision);
            Ok(response)
        }
        Outcome::Unmet(found) => Ok(unmet(None, found)),
    }
}

/// What a PUT that is done answers.
#[derive(Serialize)]
struct Written {
    revision: u64,
    replaced: Option<u64>,
}

/// A write of one key, but for what it does.
struct Write {
    key: Bytes,
    condition: Condition,
    session: Option<SessionSeq>,
    timeout: Option<Micros>,
    receipt: bool,
}

/// What became of it.
enum Outcome {
    /// It is done.
    Written {
        /// The revision that it got.
        revision: Index,
        /// The revision of what was there before.
        replaced: Option<Index>,
        /// When that was, by the clock of the log.
        clock: Wall,
    },
    /// Something else is there.
    Unmet(Option<Index>),
}

impl Write {
    fn of(headers: &HeaderMap, uri: &Uri, options: &Options) -> Result<Self, Failure> {
        Ok(Self {
            key: key_of(uri),
            condition: condition::of(headers)?,
            session: session::of(headers)?,
            timeout: options.timeout,
            receipt: options.receipt,
        })
    }

    async fn carry_out(&self, app: &App, action: Action) -> Result<Outcome, Failure> {
        let operation = WriteOperation { key: self.key.clone(), condition: self.condition, action };
        let session = self.session.clone();
        let request = StrongRequest::Write { operations: vec![operation], session };
        match ask(app, request, self.timeout).await? {
            StrongReply::Written { revision, replaced, clock } => Ok(Outcome::Written {
                revision,
                replaced: replaced.first().copied().flatten(),
                clock,
            }),
            StrongReply::Unmet { found, .. } => Ok(Outcome::Unmet(found)),
            other => Err(unexpected(other)),
        }
    }

    fn add_receipt(&self, response: &mut Response, app: &App, revision: Index) {
        if self.receipt {
            receipt::add(response, app, &self.key, receipt::of_write(revision));
        }
    }
}

fn key_of(uri: &Uri) -> Bytes {
    query::rest_of_path(uri, "/v1/strong/keys/").into()
}

fn read(record: Option<Record>) -> Response {
    let Some(record) = record else {
        let words = "there is no value under this key";
        return Failure::new(Style::Error, StatusCode::NOT_FOUND, words).into();
    };
    let bytes = HeaderValue::from_static("application/octet-stream");
    let mut response = ([(http_header::CONTENT_TYPE, bytes)], record.value).into_response();
    add_tag(&mut response, record.revision);
    add_expiry(&mut response, record.expires);
    response
}

fn add_expiry(response: &mut Response, expires: Option<Wall>) {
    if let Some(Wall(micros)) = expires {
        response.headers_mut().insert(EXPIRES, HeaderValue::from(micros / 1_000));
    }
}
