//! `kv watch`: changes as they happen.

use std::io::{BufRead, BufReader};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::node::Node;
use crate::cli::{End, WatchArgs, output, say};

/// `kv watch`. It ends when the node does; the last id that it has told is where to go on.
pub(crate) fn watch(args: &WatchArgs) -> Result<(), End> {
    let node = Node::at(&args.at);
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let mut url = node.url(&format!("/v1/strong/watch?prefix={}", encode(&args.prefix)));
    if let Some(after) = &args.after {
        url.push_str(&format!("&after={}", encode(after)));
    }
    let mut id = args.after.clone().unwrap_or_default();
    let mut end = None;
    for line in BufReader::new(node.stream(&url)?).lines() {
        let Ok(line) = line else { break };
        if let Some(told) = line.strip_prefix("id: ") {
            id = told.to_owned();
        } else if line == "event: end" {
            end = Some(String::new());
        } else if let Some(data) = line.strip_prefix("data: ") {
            match &mut end {
                Some(words) => *words = words_of(data),
                None => output(format!("{data}\n").as_bytes())?,
            }
        }
    }
    if !id.is_empty() {
        say(&format!("kv: go on with --after {id}"));
    }
    Err(End::failed(end.unwrap_or_else(|| "the node has ended the connection".into())))
}

/// Why the node ends the stream.
fn words_of(data: &str) -> String {
    let data: Value = serde_json::from_str(data).unwrap_or_default();
    data["error"].as_str().unwrap_or("the node has ended the stream").to_owned()
}
