//! `kv scan`: many keys, one a line.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use ureq::http::StatusCode;

use super::STRONG;
use super::node::Node;
use crate::cli::{End, ScanArgs, output};

/// `kv scan`. A key is percent-encoded where it is not plain; a value that is not one line of text is
/// shown as base64.
pub(crate) fn scan(args: &ScanArgs) -> Result<(), End> {
    let node = Node::at(&args.at);
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let path = format!("/v1/{}/keys?prefix={}", encode(&args.keyspace), encode(&args.prefix));
    let read = if args.stale { "&read=stale" } else { "" };
    let first = node.url(&path) + read;
    if args.keyspace != STRONG {
        let answer = node.call("GET", &format!("{first}&local=true"), None, &[])?;
        return match answer.status {
            StatusCode::OK => output(&answer.body),
            _ => Err(answer.failure()),
        };
    }
    let mut url = first.clone();
    loop {
        let answer = node.call("GET", &url, None, &[])?;
        if answer.status != StatusCode::OK {
            return Err(answer.failure());
        }
        let page = answer.json();
        let records = page["records"].as_array().map(Vec::as_slice).unwrap_or_default();
        let lines: String = records.iter().map(line).collect();
        output(lines.as_bytes())?;
        let Some(next) = page["next"].as_str() else { return Ok(()) };
        url = format!("{first}&after={next}");
    }
}

fn line(record: &Value) -> String {
    let base64 = record["value_base64"].as_str().unwrap_or_default();
    let bytes = STANDARD.decode(base64).unwrap_or_default();
    let value = String::from_utf8(bytes).ok().filter(|text| !text.contains(char::is_control));
    let value = value.unwrap_or_else(|| format!("base64:{base64}"));
    format!("{}\t{value}\n", record["key"].as_str().unwrap_or_default())
}
