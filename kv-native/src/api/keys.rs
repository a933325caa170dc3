//! The native API of keys: `/v1/{keyspace}/keys/{key}`.
//!
//! Keys are percent-encoded bytes, values raw bodies. A read hands out a `KV-Context`; a write that
//! brings it replaces what that read saw, and one without stands beside whatever is there. Options that
//! have no meaning for the keyspace or the method are refused rather than ignored.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use kv_core::error::RequestError;
use kv_core::id::NodeId;
use kv_core::request::{Basis, QuorumOptions, ReadValue, Receipt, Reply, Request};
use kv_core::time::Micros;
use kv_core::version::{Context, Dot};
use serde_json::{Value, json};

use super::answer::{Failure, Style};
use super::items::SIBLINGS;
use super::{App, Operation, Surface, body, query};
use crate::driver::Facts;

/// The causal context: from a read or write, for the next write.
const CONTEXT: HeaderName = HeaderName::from_static("kv-context");
/// How an answer came about, as JSON.
pub(super) const RECEIPT: HeaderName = HeaderName::from_static("kv-receipt");

/// The keyspace of these paths; `strong` has paths of its own.
const KEYSPACE: &str = "eventual";
/// Headers that only other keyspaces understand.
const ELSEWHERE: [&str; 5] = ["if-match", "if-none-match", "kv-session", "kv-seq", "kv-ack"];

/// Adds these paths.
pub(crate) fn surface(surface: Surface) -> Surface {
    surface
        .on(
            operation(
                Method::GET,
                "The value of a key; all of them where concurrent writes left several",
            ),
            get,
        )
        .on(operation(Method::PUT, "Stores a value under a key"), put)
        .on(operation(Method::DELETE, "Deletes a key"), delete)
}

/// Answers for a key of no bytes, whatever the method.
pub(crate) async fn empty_key() -> Failure {
    let words = "a key has 1 to 1024 bytes, and this one has none; GET /v1/strong/keys and GET /v1/eventual/keys?local=true list keys";
    Failure::new(Style::Error, StatusCode::BAD_REQUEST, words)
}

fn operation(method: Method, summary: &'static str) -> Operation {
    const READ: &[(u16, &str)] = &[
        (200, "The value; KV-Context for the next write"),
        (
            300,
            "Concurrent writes left several values: {\"siblings\": [{\"value_base64\", \"dot\", \"stamp_ms\"}]}; write with this KV-Context to settle them",
        ),
        (404, "No value, or no such keyspace"),
        (503, "Too few nodes answer"),
    ];
    const WRITTEN: &[(u16, &str)] = &[
        (200, "It is on a write quorum of disks: {\"dot\", \"siblings\"}"),
        (400, "An option or header has no meaning here; nothing was changed"),
        (413, "The value is larger than value_bytes_max"),
        (503, "Too few nodes answer, or the node is busy; nothing was changed"),
        (504, "It is unknown whether it took effect; read before trying again"),
        (507, "A disk is full; nothing was acknowledged"),
    ];
    let reads = method == Method::GET;
    Operation {
        path: "/v1/{keyspace}/keys/{*key}",
        summary,
        query: if reads {
            &[
                ("r", "how many replicas must answer"),
                ("timeout_ms", "how long to wait"),
                ("receipt", "1: tell in KV-Receipt how the answer came about"),
            ]
        } else {
            &[
                ("w", "on how many disks the write must be"),
                ("timeout_ms", "how long to wait"),
                ("receipt", "1: tell in KV-Receipt how the answer came about"),
            ]
        },
        headers: if reads {
            &[]
        } else {
            &[("KV-Context", "what the write has seen and replaces")]
        },
        body: if method == Method::PUT { super::Body::Bytes } else { super::Body::None },
        answers: if reads { READ } else { WRITTEN },
        method,
    }
}

async fn get(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Response, Failure> {
    let key = key_of(&uri)?;
    refuse_headers(&headers)?;
    let (options, receipt_wanted) = options_of(&uri, "r")?;
    let reply = app.handle.request(Request::Get { key, options }).await;
    match reply.map_err(failure)? {
        Reply::Read { values, context, receipt } => {
            let mut response = read(&values);
            add_context(&mut response, &context, values.len());
            if receipt_wanted {
                let dots = values.iter().map(|value| value.dot).collect();
                add_receipt(&mut response, &app.handle.facts(), &receipt, dots, false);
            }
            Ok(response)
        }
        other => Err(Failure::unexpected(Style::Error, &other)),
    }
}

async fn put(
    State(app): State<App>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let key = key_of(&uri)?;
    let (options, receipt) = options_of(&uri, "w")?;
    let basis = basis_of(&headers)?;
    let value = body::value(&app, &headers, body).await?;
    write(&app, Request::Put { key, value, basis, options }, receipt).await
}

async fn delete(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Response, Failure> {
    let key = key_of(&uri)?;
    let (options, receipt) = options_of(&uri, "w")?;
    let basis = basis_of(&headers)?;
    write(&app, Request::Delete { key, basis, options }, receipt).await
}

async fn write(app: &App, request: Request, receipt_wanted: bool) -> Result<Response, Failure> {
    match app.handle.request(request).await.map_err(failure)? {
        Reply::Written { dot, context, siblings, receipt } => {
            let mut response =
                Json(json!({ "dot": dot_text(dot), "siblings": siblings })).into_response();
            add_context(&mut response, &context, siblings as usize);
            if receipt_wanted {
                add_receipt(&mut response, &app.handle.facts(), &receipt, vec![dot], true);
            }
            Ok(response)
        }
        other => Err(Failure::unexpected(Style::Error, &other)),
    }
}

fn read(values: &[ReadValue]) -> Response {
    match values {
        [] => {
            let words = "there is no value under this key";
            Failure::new(Style::Error, StatusCode::NOT_FOUND, words).into()
        }
        [one] => {
            let bytes = HeaderValue::from_static("application/octet-stream");
            ([(header::CONTENT_TYPE, bytes)], one.value.clone()).into_response()
        }
        several => {
            let siblings: Vec<Value> = several
                .iter()
                .map(|value| {
                    json!({
                        "value_base64": STANDARD.encode(&value.value),
                        "dot": dot_text(value.dot),
                        "stamp_ms": value.stamp.millis(),
                    })
                })
                .collect();
            let body = Json(json!({ "siblings": siblings }));
            (StatusCode::MULTIPLE_CHOICES, body).into_response()
        }
    }
}

fn add_context(response: &mut Response, context: &Context, siblings: usize) {
    // The text of a context is base64, which any header takes.
    if let Ok(text) = HeaderValue::try_from(context.to_text()) {
        response.headers_mut().insert(CONTEXT, text);
    }
    if siblings > 1 {
        response.headers_mut().insert(SIBLINGS, HeaderValue::from(siblings));
    }
}

fn add_receipt(
    response: &mut Response,
    facts: &Facts,
    receipt: &Receipt,
    dots: Vec<Dot>,
    write: bool,
) {
    let names = |nodes: &[NodeId]| -> Vec<String> {
        nodes.iter().map(|node| facts.name_of(*node)).collect()
    };
    let acknowledged = names(&receipt.acknowledged);
    let text = json!({
        "coordinator": facts.name_of(receipt.coordinator),
        "asked": names(&receipt.asked),
        // A replica acknowledges a write after its sync.
        "fsynced": if write { acknowledged.clone() } else { Vec::new() },
        "acknowledged": acknowledged,
        "repaired": names(&receipt.repaired),
        "dots": dots.into_iter().map(dot_text).collect::<Vec<_>>(),
        "ring_epoch": receipt.epoch.0,
        "settings_version": receipt.settings.0,
    });
    if let Ok(text) = HeaderValue::try_from(text.to_string()) {
        response.headers_mut().insert(RECEIPT, text);
    }
}

/// The key of a path, whose keyspace is checked.
fn key_of(uri: &Uri) -> Result<Bytes, Failure> {
    let keyspace = uri.path().split('/').nth(2).unwrap_or_default();
    check_keyspace(keyspace)?;
    Ok(query::rest_of_path(uri, &format!("/v1/{keyspace}/keys/")).into())
}

/// That a path names the keyspace of these paths.
pub(super) fn check_keyspace(keyspace: &str) -> Result<(), Failure> {
    if keyspace == KEYSPACE {
        return Ok(());
    }
    let words = format!("there is no keyspace {keyspace:?}; there are {KEYSPACE} and strong");
    Err(Failure::new(Style::Error, StatusCode::NOT_FOUND, words))
}

/// The options of a request, and whether it wants a receipt. `quorum` is `r` or `w`.
fn options_of(uri: &Uri, quorum: &str) -> Result<(QuorumOptions, bool), Failure> {
    let mut options = QuorumOptions::default();
    let mut receipt = false;
    for (name, value) in query::pairs(uri) {
        let value = String::from_utf8_lossy(&value).into_owned();
        let number = || {
            value.parse::<u64>().ok().filter(|number| *number > 0).ok_or_else(|| {
                let words = format!(
                    "{name} must be a whole number from 1 on, not {value:?}; nothing was changed"
                );
                Failure::new(Style::Error, StatusCode::BAD_REQUEST, words)
            })
        };
        let nodes = || number().map(|number| u32::try_from(number).unwrap_or(u32::MAX));
        match name.as_str() {
            "r" if quorum == "r" => options.read_quorum = Some(nodes()?),
            "w" if quorum == "w" => options.write_quorum = Some(nodes()?),
            "timeout_ms" => options.timeout = Some(Micros::from_millis(number()?)),
            "receipt" => receipt = matches!(value.as_str(), "1" | "true"),
            _ => return Err(no_meaning(&name, &format!("{quorum}, timeout_ms and receipt"))),
        }
    }
    Ok((options, receipt))
}

/// That an option is not one of those that are known.
pub(super) fn no_meaning(name: &str, known: &str) -> Failure {
    let words = format!(
        "the option {name:?} has no meaning for this request; nothing was changed, there are {known}"
    );
    Failure::new(Style::Error, StatusCode::BAD_REQUEST, words)
}

fn refuse_headers(headers: &HeaderMap) -> Result<(), Failure> {
    match ELSEWHERE.iter().find(|name| headers.contains_key(**name)) {
        None => Ok(()),
        Some(name) => {
            let words = format!(
                "the header {name} has no meaning in keyspace eventual, which is not linearizable; nothing was changed, use KV-Context"
            );
            Err(Failure::new(Style::Error, StatusCode::BAD_REQUEST, words))
        }
    }
}

/// What a write has seen, by its headers.
fn basis_of(headers: &HeaderMap) -> Result<Basis, Failure> {
    refuse_headers(headers)?;
    let Some(text) = headers.get(CONTEXT) else { return Ok(Basis::Nothing) };
    let context = text.to_str().ok().and_then(Context::from_text);
    context.map(Basis::Context).ok_or_else(|| {
        let words = "KV-Context is not one that a read or write of this key has returned; nothing was changed, hand it back unaltered";
        Failure::new(Style::Error, StatusCode::BAD_REQUEST, words)
    })
}

fn dot_text(dot: Dot) -> String {
    format!("{}:{}", dot.actor, dot.counter)
}

fn failure(error: RequestError) -> Failure {
    Failure::of(Style::Error, &error)
}
