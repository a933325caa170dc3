//! The client commands: `/v1` of a node, for people.
//!
//! The result goes to the standard output, everything else to the standard error, so that `kv get` may
//! stand in a pipe. In keyspace eventual a put or delete replaces what a read shows at that moment; in
//! strong it replaces what is there, unless a condition says otherwise.

mod members;
pub(crate) mod node;
mod scan;
mod watch;

pub(crate) use members::members;
pub(crate) use scan::scan;
pub(crate) use watch::watch;

use std::io::{self, IsTerminal, Read};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use ureq::http::StatusCode;

use self::node::{Answer, Node};
use crate::cli::{AtArgs, End, KeyArgs, PutArgs, output, say};
use crate::table::{Table, bytes_words};

/// The keyspace whose writes need no context.
const STRONG: &str = "strong";

/// `kv get`.
pub(crate) fn get(args: &KeyArgs, stale: bool) -> Result<(), End> {
    let node = Node::at(&args.at);
    let mut url = node.key_url(args, "r");
    if stale {
        url.push_str("&read=stale");
    }
    let answer = node.call("GET", &url, None, &[])?;
    tell_receipt(args, &answer);
    match answer.status {
        StatusCode::OK => {
            output(&answer.body)?;
            end_line(&answer.body)
        }
        StatusCode::MULTIPLE_CHOICES => {
            let siblings = siblings_of(&answer.json())?;
            say(&format!(
                "kv: concurrent writes left {} values; put one to settle them",
                siblings.len()
            ));
            for value in siblings {
                output(&value)?;
                output(b"\n")?;
            }
            Ok(())
        }
        _ => Err(answer.failure()),
    }
}

/// `kv put`.
pub(crate) fn put(args: &KeyArgs, value: Option<&str>, options: &PutArgs) -> Result<(), End> {
    let mut piped = Vec::new();
    let value = match value {
        Some(value) if value != "-" => value.as_bytes(),
        _ => {
            io::stdin().read_to_end(&mut piped).map_err(|error| {
                End::failed(format!("the value cannot be read from the standard input: {error}"))
            })?;
            piped.as_slice()
        }
    };
    let mut headers = tag_of(options.if_match);
    if options.if_absent {
        headers.push(("if-none-match", "*".into()));
    }
    let ttl = options.ttl.map(|seconds| format!("&ttl_ms={}", seconds.saturating_mul(1_000)));
    write(args, "PUT", &ttl.unwrap_or_default(), headers, Some(value))
}

/// `kv delete`.
pub(crate) fn delete(args: &KeyArgs, if_match: Option<u64>) -> Result<(), End> {
    write(args, "DELETE", "", tag_of(if_match), None)
}

/// A header of a request.
type Header = (&'static str, String);

fn tag_of(revision: Option<u64>) -> Vec<Header> {
    revision.iter().map(|revision| ("if-match", format!("\"{revision}\""))).collect()
}

fn write(
    args: &KeyArgs,
    method: &str,
    query: &str,
    mut headers: Vec<Header>,
    value: Option<&[u8]>,
) -> Result<(), End> {
    let node = Node::at(&args.at);
    if args.keyspace != STRONG {
        headers.extend(context(&node, args)?.map(|context| ("kv-context", context)));
    }
    let url = node.key_url(args, "w") + query;
    let answer = node.call(method, &url, value, &headers)?;
    tell_receipt(args, &answer);
    if answer.status == StatusCode::OK { Ok(()) } else { Err(answer.failure()) }
}

/// What is under a key, for a write that replaces it.
fn context(node: &Node, args: &KeyArgs) -> Result<Option<String>, End> {
    let seen = node.call("HEAD", &node.key_url(&args.without_quorum(), "r"), None, &[])?;
    if !seen.is_read() {
        // A HEAD has no body, so the reason is asked for again.
        return Err(node.call("GET", &node.key_url(args, "r"), None, &[])?.failure());
    }
    Ok(seen.context)
}

/// `kv settings`.
pub(crate) fn settings(at: &AtArgs, name: Option<&str>, value: Option<&str>) -> Result<(), End> {
    let node = Node::at(at);
    let url = node.url("/v1/settings");
    let answer = match (name, value) {
        (Some(name), Some(value)) => {
            let value: Value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
            let mut change = serde_json::Map::new();
            change.insert(name.to_owned(), value);
            let body = Value::Object(change).to_string();
            node.call("PATCH", &url, Some(body.as_bytes()), &[])?
        }
        _ => node.call("GET", &url, None, &[])?,
    };
    if answer.status != StatusCode::OK {
        return Err(answer.failure());
    }
    let document = answer.json();
    let rows = document["settings"].as_array().map(Vec::as_slice).unwrap_or_default();
    match name {
        None => output(table_of(rows).to_string().as_bytes()),
        Some(name) => match rows.iter().find(|row| row["name"] == name) {
            Some(row) => output(one_setting(row).as_bytes()),
            None => {
                Err(End::failed(format!("there is no setting {name:?}; kv settings lists all")))
            }
        },
    }
}

fn table_of(rows: &[Value]) -> Table {
    let mut table = Table::new(&["SETTING", "VALUE", "DEFAULT", "RANGE", "MEANING"]);
    for row in rows {
        table.row([
            text(&row["name"]),
            with_unit(&row["value"], &row["unit"]),
            text(&row["default"]),
            range(row),
            text(&row["meaning"]),
        ]);
    }
    table
}

fn one_setting(row: &Value) -> String {
    let chosen = match row["chosen_on"].as_str() {
        Some(node) => format!("chosen on {node}"),
        None if row["value"] == row["default"] => "never changed".into(),
        None => "changed together with the layout of the cluster".into(),
    };
    format!(
        "{} = {}\n\n  {}\n  {}\n\n  range {}, default {}, {chosen}\n",
        text(&row["name"]),
        with_unit(&row["value"], &row["unit"]),
        text(&row["meaning"]),
        text(&row["trade_off"]),
        range(row),
        text(&row["default"]),
    )
}

fn range(row: &Value) -> String {
    if row["value"].is_boolean() {
        return "false or true".into();
    }
    format!("{} to {}", row["min"], row["max"])
}

fn with_unit(value: &Value, unit: &Value) -> String {
    format!("{} {}", text(value), text(unit)).trim_end().to_owned()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `kv status`.
pub(crate) fn status(at: &AtArgs) -> Result<(), End> {
    let node = Node::at(at);
    let answers = [node.url("/v1/status"), node.url("/v1/members")]
        .map(|url| node.call("GET", &url, None, &[]));
    let [status, members] = answers;
    let (status, members) = (status?, members?);
    for answer in [&status, &members] {
        if answer.status != StatusCode::OK {
            return Err(answer.failure());
        }
    }
    output(status_text(&status.json(), &members.json()).as_bytes())
}

fn status_text(status: &Value, members: &Value) -> String {
    let (node, storage) = (&status["node"], &status["storage"]);
    let mut words = format!(
        "node     {} at {}, boot {}, version {}\n",
        text(&node["name"]),
        text(&node["address"]),
        node["boot"],
        text(&node["version"])
    );
    match &status["cluster"] {
        Value::Null => words.push_str("cluster  not a member of one yet\n"),
        cluster => {
            let moving = if cluster["moving"].is_null() { "" } else { ", partitions are moving" };
            words.push_str(&format!(
                "cluster  {} of {} members, epoch {}{moving}\n",
                text(&cluster["id"]),
                cluster["members"],
                cluster["epoch"],
            ));
        }
    }
    for group in status["groups"].as_array().map(Vec::as_slice).unwrap_or_default() {
        words.push_str(&group_text(group));
    }
    words.push_str(&storage_text(storage));
    words.push('\n');
    words + &members_table(members).to_string()
}

/// The members in the opinion of the node that was asked.
fn members_table(members: &Value) -> Table {
    let mut table = Table::new(&["MEMBER", "ADDRESS", "STATE", "LAST HEARD"]);
    for member in members["members"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let state = match (member["alive"] == true, member["linked"] == true) {
            _ if member["this_node"] == true => "this node",
            (true, true) => "up",
            (true, false) => "no link",
            (false, _) => "suspected",
        };
        let heard = match member["silent_ms"].as_u64() {
            Some(silent) => format!("{silent} ms ago"),
            None if member["this_node"] == true => String::new(),
            None => "never".into(),
        };
        table.row([text(&member["name"]), text(&member["address"]), state.into(), heard]);
    }
    table
}

/// One Raft group in a line: who leads it, and how far this node is behind.
fn group_text(group: &Value) -> String {
    let names = |list: &Value| -> String {
        let names = list.as_array().map(Vec::as_slice).unwrap_or_default();
        names.iter().map(text).collect::<Vec<_>>().join(" ")
    };
    let leader = match &group["leader"] {
        Value::Null => "no leader known".into(),
        leader => format!("led by {}", text(leader)),
    };
    let title = match &group["shard"] {
        Value::Null => "metadata".into(),
        shard => format!("shard {shard}"),
    };
    format!(
        "{title:<8} {leader}, term {}, this node is {}, applied {} of {} committed; voters {}\n",
        group["term"],
        text(&group["role"]),
        group["applied"],
        group["commit"],
        names(&group["voters"]),
    )
}

fn storage_text(storage: &Value) -> String {
    let full = if storage["full"] == true { ", DISK FULL" } else { "" };
    let levels = storage["levels"].as_array().map(Vec::as_slice).unwrap_or_default();
    let count = |level: &Value| level["tables"].as_array().map_or(0, Vec::len);
    let bytes = |value: &Value| bytes_words(value.as_u64().unwrap_or_default());
    let mut words = format!(
        "storage  {} versions, {} in {} tables, {} in memtables, {} of log{full}\n",
        storage["entries"],
        bytes(&storage["table_bytes"]),
        levels.iter().map(count).sum::<usize>(),
        bytes(&storage["memtable"]["bytes"]),
        bytes(&storage["log_bytes"]),
    );
    let known = [
        storage["write_amplification"]
            .as_f64()
            .map(|times| format!("write amplification {times:.1}")),
        percent(&storage["cache"]["hit_rate"]).map(|share| format!("cache hits {share}")),
        percent(&storage["filter"]["false_positive_rate"])
            .map(|share| format!("filters wrong {share}")),
    ];
    let known: Vec<String> = known.into_iter().flatten().collect();
    if !known.is_empty() {
        words.push_str(&format!("         {}\n", known.join(", ")));
    }
    let suspects = storage["suspects"].as_array().map_or(0, Vec::len);
    if suspects > 0 {
        words.push_str(&format!(
            "         {suspects} RANGES OF KEYS ARE DAMAGED; kv storage verify tells where\n"
        ));
    }
    words
}

/// A share of one in percent, if it is known.
fn percent(share: &Value) -> Option<String> {
    share.as_f64().map(|share| format!("{:.1} %", share * 100.0))
}

impl KeyArgs {
    /// For the read before a write, which has a quorum of its own.
    fn without_quorum(&self) -> Self {
        Self { quorum: None, ..self.clone() }
    }
}

fn tell_receipt(args: &KeyArgs, answer: &Answer) {
    if let (true, Some(receipt)) = (args.receipt, &answer.receipt) {
        say(receipt);
    }
}

fn siblings_of(answer: &Value) -> Result<Vec<Vec<u8>>, End> {
    let siblings = answer["siblings"].as_array().map(Vec::as_slice).unwrap_or_default();
    let decode = |sibling: &Value| STANDARD.decode(sibling["value_base64"].as_str()?).ok();
    let values: Option<Vec<_>> = siblings.iter().map(decode).collect();
    values
        .ok_or_else(|| End::failed("the node's answer cannot be read; is it of the same release?"))
}

/// Ends the line for a person; a pipe gets the bytes of the value and nothing else.
fn end_line(shown: &[u8]) -> Result<(), End> {
    if io::stdout().is_terminal() && !shown.ends_with(b"\n") { output(b"\n") } else { Ok(()) }
}
