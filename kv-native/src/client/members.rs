//! `kv members`: who is in, and who is to be.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;
use ureq::http::StatusCode;

use super::node::{Answer, Node};
use super::{members_table, text};
use crate::cli::{AtArgs, End, MembersCommand, output, say};

/// `kv members`.
pub(crate) fn members(at: &AtArgs, command: Option<&MembersCommand>) -> Result<(), End> {
    let node = Node::at(at);
    let members = node.url("/v1/members");
    match command {
        None => {
            let answer = done(node.call("GET", &members, None, &[])?)?;
            output(members_table(&answer.json()).to_string().as_bytes())
        }
        Some(MembersCommand::Add { address }) => {
            let body = json!({ "address": address }).to_string();
            let answer = done(node.call("POST", &members, Some(body.as_bytes()), &[])?)?;
            say(&format!("kv: {} is a member now", text(&answer.json()["name"])));
            Ok(())
        }
        Some(MembersCommand::Remove { name, force }) => {
            let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
            let url = format!("{members}/{name}?force={}", u8::from(*force));
            done(node.call("DELETE", &url, None, &[])?).map(drop)
        }
    }
}

fn done(answer: Answer) -> Result<Answer, End> {
    if answer.status == StatusCode::OK { Ok(answer) } else { Err(answer.failure()) }
}
