//! The request headers of the strong keyspace.

use axum::http::HeaderMap;

use super::super::answer::Failure;
use super::refused;

/// A causal context of another keyspace.
const CONTEXT: &str = "kv-context";
/// What must be under the key.
pub(super) const IF_MATCH: &str = "if-match";
/// What must not be under the key.
pub(super) const IF_NONE_MATCH: &str = "if-none-match";
/// The client's session.
pub(super) const SESSION: &str = "kv-session";
/// The number of a write in it.
pub(super) const SEQ: &str = "kv-seq";
/// Up to which number the client has the answers.
pub(super) const ACK: &str = "kv-ack";

/// Refuses the headers of this API that have no meaning for a request.
pub(super) fn refuse(headers: &HeaderMap, known: &[&str]) -> Result<(), Failure> {
    let all = [CONTEXT, IF_MATCH, IF_NONE_MATCH, SESSION, SEQ, ACK];
    let Some(name) = all.iter().find(|name| !known.contains(name) && headers.contains_key(**name))
    else {
        return Ok(());
    };
    let way_out = match (*name, known.is_empty()) {
        (CONTEXT, _) => "keyspace strong has no contexts, use If-Match".to_owned(),
        (_, true) => "leave it out".to_owned(),
        (_, false) => format!("there are {}", known.join(", ")),
    };
    Err(refused(format!(
        "the header {name} has no meaning for this request; nothing was changed, {way_out}"
    )))
}

/// The one value of a header; none if it is absent.
pub(super) fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Failure> {
    let mut values = headers.get_all(name).iter();
    let (first, second) = (values.next(), values.next());
    match (first.map(|value| value.to_str()), second) {
        (None, _) => Ok(None),
        (Some(Ok(text)), None) => Ok(Some(text.trim())),
        _ => Err(refused(format!("send the header {name} once, as text; nothing was changed"))),
    }
}

/// A number as a client writes it: digits and nothing else, without zeros in front.
pub(super) fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = plain && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| canonical)
}
