//! Seed 000's `/items`: JSON values by key, in keyspace `eventual`.
//!
//! What is stored is the text of the JSON value as the client wrote it, without the white space around
//! its parts: numbers keep every digit, objects their order. A value that was written through `/v1` and
//! is no JSON is shown as a string; if it is no text either, as base64 with `"encoding":"base64"`.
//! A put reads first and replaces what it has read, so plain overwrites leave no siblings.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use kv_core::request::{Basis, QuorumOptions, Reply, Request};
use kv_core::settings::Setting;
use serde_json::json;
use serde_json::value::RawValue;

use super::answer::{Failure, Style};
use super::{App, Operation, Surface, body, query};

/// How many values stand beside each other, where there is more than one.
pub(crate) const SIBLINGS: HeaderName = HeaderName::from_static("kv-siblings");

const PATH: &str = "/items/{key}";

/// Adds these paths.
pub(crate) fn surface(surface: Surface) -> Surface {
    surface
        .on(
            Operation {
                method: Method::GET,
                path: PATH,
                summary: "The value of a key; the newest where concurrent writes left several",
                query: &[],
                headers: &[],
                body: super::Body::None,
                answers: &[(200, "{\"value\": …}"), (404, "{\"detail\": \"Item not found\"}")],
            },
            get,
        )
        .on(
            Operation {
                method: Method::PUT,
                path: PATH,
                summary: "Stores any JSON value under a key",
                query: &[],
                headers: &[],
                body: super::Body::Json("{\"value\": \"bar\"}"),
                answers: &[
                    (200, "{\"key\": …, \"value\": …}: it is on a write quorum of disks"),
                    (413, "The value is larger than value_bytes_max"),
                    (422, "The body is no JSON object with a value"),
                    (503, "Too few nodes answer; nothing was changed"),
                    (504, "It is unknown whether it was stored"),
                ],
            },
            put,
        )
}

async fn get(State(app): State<App>, uri: Uri) -> Result<Response, Failure> {
    let key = Bytes::from(query::rest_of_path(&uri, "/items/"));
    let options = QuorumOptions::default();
    let reply = app.handle.request(Request::Get { key, options }).await;
    match reply.map_err(|error| Failure::of(Style::Detail, &error))? {
        Reply::Read { values, .. } => match values.first() {
            Some(newest) => {
                let siblings = u32::try_from(values.len()).unwrap_or(u32::MAX);
                Ok(answer(siblings, format!("{{{}}}", shown(&newest.value))))
            }
            None => Err(Failure::new(Style::Detail, StatusCode::NOT_FOUND, "Item not found")),
        },
        other => Err(Failure::unexpected(Style::Detail, &other)),
    }
}

async fn put(
    State(app): State<App>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let key = Bytes::from(query::rest_of_path(&uri, "/items/"));
    let value = value_of(&body::wrapped(&app, &headers, body).await?)?;
    let limit = app.handle.facts().settings.get(Setting::ValueBytesMax);
    if value.len() as u64 > limit {
        return Err(body::too_large(Style::Detail, limit));
    }
    let name = json!(String::from_utf8_lossy(&key));
    let text = format!("{{\"key\":{name},\"value\":{value}}}");
    let value = Bytes::from(value);
    let options = QuorumOptions::default();
    let request = Request::Put { key, value, basis: Basis::ReadFirst, options };
    let reply = app.handle.request(request).await;
    match reply.map_err(|error| Failure::of(Style::Detail, &error))? {
        Reply::Written { siblings, .. } => Ok(answer(siblings, text)),
        other => Err(Failure::unexpected(Style::Detail, &other)),
    }
}

/// The text of the value in a put's body.
fn value_of(body: &[u8]) -> Result<String, Failure> {
    let fields: BTreeMap<String, Box<RawValue>> =
        serde_json::from_slice(body).map_err(|error| {
            let words = format!("the body must be a JSON object like {{\"value\": 1}}: {error}");
            Failure::malformed("json_invalid", "value", &words)
        })?;
    let value = fields.get("value").ok_or_else(|| {
        Failure::malformed("missing", "value", "Field required: send {\"value\": any JSON}")
    })?;
    Ok(compact(value.get()))
}

/// JSON without the white space between its parts.
fn compact(json: &str) -> String {
    let mut in_string = false;
    let mut escaped = false;
    json.chars()
        .filter(|&char| {
            if in_string {
                in_string = escaped || char != '"';
                escaped = char == '\\' && !escaped;
                return true;
            }
            in_string = char == '"';
            !char.is_ascii_whitespace()
        })
        .collect()
}

/// The fields that show a stored value.
fn shown(stored: &[u8]) -> String {
    if serde_json::from_slice::<&RawValue>(stored).is_ok() {
        return format!("\"value\":{}", String::from_utf8_lossy(stored));
    }
    match std::str::from_utf8(stored) {
        Ok(text) => format!("\"value\":{}", json!(text)),
        Err(_) => format!("\"value\":\"{}\",\"encoding\":\"base64\"", STANDARD.encode(stored)),
    }
}

fn answer(siblings: u32, json: String) -> Response {
    let json_type = HeaderValue::from_static("application/json");
    let mut response = ([(header::CONTENT_TYPE, json_type)], json).into_response();
    if siblings > 1 {
        response.headers_mut().insert(SIBLINGS, HeaderValue::from(siblings));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_kept_to_the_last_digit_and_without_white_space() {
        let body = br#"{"other": 1, "value" : { "b": [1.00, 12345678901234567890123],  "a": "x \" y\\" } }"#;
        let value = value_of(body).unwrap();
        assert_eq!(value, r#"{"b":[1.00,12345678901234567890123],"a":"x \" y\\"}"#);
    }

    #[test]
    fn null_is_a_value_and_nothing_is_none() {
        assert_eq!(value_of(br#"{"value":null}"#).unwrap(), "null");
        for body in [&b"{}"[..], b"", b"[1]", b"{\"value\":bar}", b"\xff"] {
            assert!(value_of(body).is_err(), "{body:?}");
        }
    }

    #[test]
    fn what_is_no_json_is_shown_all_the_same() {
        assert_eq!(shown(b"[1,2]"), r#""value":[1,2]"#);
        assert_eq!(shown(b"say \"hi\""), r#""value":"say \"hi\"""#);
        assert_eq!(shown(b"\xff\x00"), r#""value":"/wA=","encoding":"base64""#);
        assert_eq!(shown(b""), r#""value":"""#);
    }
}
