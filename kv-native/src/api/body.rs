//! Request bodies: bounded, and refused in words.

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use kv_core::settings::Setting;

use super::App;
use super::answer::{Failure, Style};

/// How much of a body that is too large is still read, so that the client comes to read the answer.
const DRAINED_MAX: usize = 96 << 20;
/// What JSON may add around a value.
pub(crate) const WRAPPING: u64 = 4_096;
/// What the JSON of a batch may add around its values: keys and names of fields.
const BATCH_WRAPPING: u64 = 4 << 20;
/// Where a body does not hold a value.
const SMALL: u64 = 64 << 10;

/// Reads a body that is a value.
pub(crate) async fn value(app: &App, headers: &HeaderMap, body: Body) -> Result<Bytes, Failure> {
    let limit = app.handle.facts().settings.get(Setting::ValueBytesMax);
    read(Style::Error, headers, body, limit, limit).await
}

/// Reads a body of JSON around a value.
pub(crate) async fn wrapped(app: &App, headers: &HeaderMap, body: Body) -> Result<Bytes, Failure> {
    let limit = app.handle.facts().settings.get(Setting::ValueBytesMax);
    read(Style::Detail, headers, body, limit.saturating_add(WRAPPING), limit).await
}

/// Reads a body of JSON around several values in base64, which together may be as large as one.
pub(crate) async fn batch(app: &App, headers: &HeaderMap, body: Body) -> Result<Bytes, Failure> {
    let limit = app.handle.facts().settings.get(Setting::ValueBytesMax);
    let encoded = limit.div_ceil(3).saturating_mul(4).saturating_add(BATCH_WRAPPING);
    read(Style::Error, headers, body, encoded, limit).await
}

/// Reads a body that holds no value.
pub(crate) async fn small(style: Style, headers: &HeaderMap, body: Body) -> Result<Bytes, Failure> {
    read(style, headers, body, SMALL, SMALL).await
}

/// That a value is larger than the limit.
pub(crate) fn too_large(style: Style, limit: u64) -> Failure {
    let words = format!(
        "the value is larger than value_bytes_max, {limit} bytes; nothing was changed, store it in parts or raise the setting"
    );
    Failure::new(style, StatusCode::PAYLOAD_TOO_LARGE, words)
}

async fn read(
    style: Style,
    headers: &HeaderMap,
    body: Body,
    limit: u64,
    told: u64,
) -> Result<Bytes, Failure> {
    up_to(limit, headers, body).await.map_err(|unread| match unread {
        Unread::TooLarge => too_large(style, told),
        Unread::Broken(words) => Failure::new(style, StatusCode::BAD_REQUEST, words),
    })
}

/// Why a body was not read.
#[derive(Debug)]
pub(crate) enum Unread {
    /// It is larger than the limit.
    TooLarge,
    /// It did not arrive whole, as these words say.
    Broken(String),
}

/// Reads a body of at most so many bytes.
pub(crate) async fn up_to(limit: u64, headers: &HeaderMap, body: Body) -> Result<Bytes, Unread> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut stream = body.into_data_stream();
    let mut bytes = BytesMut::new();
    let mut seen = 0_usize;
    // A client that waits for leave to send needs no draining.
    let drain = !headers.contains_key(header::EXPECT);
    if announced(headers).is_some_and(|length| length > limit) && !drain {
        return Err(Unread::TooLarge);
    }
    while let Some(part) = stream.next().await {
        let part = part.map_err(|error| {
            Unread::Broken(format!("the body did not arrive whole ({error}); nothing was changed"))
        })?;
        seen = seen.saturating_add(part.len());
        if seen <= limit {
            bytes.extend_from_slice(&part);
        } else {
            bytes.clear();
            if !drain || seen > DRAINED_MAX {
                break;
            }
        }
    }
    if seen > limit { Err(Unread::TooLarge) } else { Ok(bytes.freeze()) }
}

fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
