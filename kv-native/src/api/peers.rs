//! Seed 000's `/peers`, and the health it reports.
//!
//! A peer is named by its URL, but known by the node that answers there: `0.0.0.0`, `localhost` and
//! `127.0.0.1` with one port are one node, and so are two host names of it.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use kv_core::error::RequestError;
use kv_core::id::NodeId;
use kv_core::message::Hello;
use kv_core::request::Request;
use serde_json::{Value, json};

use super::answer::{Failure, Style};
use super::{App, Operation, Surface, body};
use crate::driver::{Control, Facts};
use crate::transport::DialError;

const KNOWN: &str = "This peer has already been added";

/// Adds these paths.
pub(crate) fn surface(surface: Surface) -> Surface {
    let get = |path, summary, answer: &'static [(u16, &'static str)]| Operation {
        method: Method::GET,
        path,
        summary,
        query: &[],
        headers: &[],
        body: super::Body::None,
        answers: answer,
    };
    surface
        .on(
            get(
                "/healthcheck",
                "Whether this node answers",
                &[(200, "{\"message\": \"I'm alive\"}")],
            ),
            || async { Json(json!({ "message": "I'm alive" })) },
        )
        .on(get("/peers", "The other members", &[(200, "{\"peers\": [URL, …]}")]), list)
        .on(
            get(
                "/peers/healthcheck",
                "Whether each of the other members can be reached from this one",
                &[(200, "{URL: \"success\" or \"failure\", …}")],
            ),
            health,
        )
        .on(
            Operation {
                method: Method::POST,
                path: "/peers",
                summary: "Makes one cluster of this node's and that of another node",
                query: &[],
                headers: &[],
                body: super::Body::Json("{\"peer_url\": \"http://127.0.0.1:7102\"}"),
                answers: &[
                    (200, "{\"message\": …}: they are one cluster"),
                    (400, "It is this node itself"),
                    (409, "It is a member already, or the two clusters cannot become one"),
                    (422, "The body names no URL"),
                    (502, "No node can be reached there; nothing was recorded"),
                ],
            },
            add,
        )
}

async fn list(State(app): State<App>) -> Json<Value> {
    let urls: Vec<String> = others(&app.handle.facts()).into_keys().collect();
    Json(json!({ "peers": urls }))
}

async fn health(State(app): State<App>) -> Json<Value> {
    let facts = app.handle.facts();
    // A link is a connection on which something was heard within the last seconds.
    let linked =
        |node: NodeId| if facts.linked.contains_key(&node) { "success" } else { "failure" };
    let health: BTreeMap<String, &str> =
        others(&facts).into_iter().map(|(url, node)| (url, linked(node))).collect();
    Json(json!(health))
}

/// The other members by their URLs.
fn others(facts: &Facts) -> BTreeMap<String, NodeId> {
    let members = facts.layout.iter().flat_map(|layout| &layout.members);
    members
        .filter(|(node, _)| **node != facts.hello.node)
        .map(|(node, member)| (format!("http://{}", member.address), *node))
        .collect()
}

async fn add(State(app): State<App>, headers: HeaderMap, body: Body) -> Result<Response, Failure> {
    let body = body::small(Style::Detail, &headers, body).await?;
    let address = address_of(&body)?;
    join(&app, Style::Detail, &address).await?;
    let message = "The peer has been successfully added.";
    Ok(Json(json!({ "message": message })).into_response())
}

/// Makes one cluster of this node's and that of the node at an address. Returns who is there.
pub(crate) async fn join(app: &App, style: Style, address: &str) -> Result<Hello, Failure> {
    let known = || Failure::new(style, StatusCode::CONFLICT, KNOWN);
    let itself =
        || Failure::new(style, StatusCode::BAD_REQUEST, "You cannot add yourself as a peer");
    if app.own_addresses.iter().any(|own| normal(own) == normal(address)) {
        return Err(itself());
    }
    let facts = app.handle.facts();
    let members = facts.layout.iter().flat_map(|layout| layout.members.values());
    if members.into_iter().any(|member| normal(&member.address) == normal(address)) {
        return Err(known());
    }
    let peer = match app.transport.dial(address, None).await {
        Ok(peer) => peer,
        Err(DialError::Myself) => return Err(itself()),
        Err(error @ (DialError::Unreachable(_) | DialError::Refused(_))) => {
            let words = format!("{error}; nothing was recorded, start a node there and try again");
            return Err(Failure::new(style, StatusCode::BAD_GATEWAY, words));
        }
    };
    if is_member(&app.handle.facts(), peer.node) {
        return Err(known());
    }
    let result = app.handle.request(Request::AddPeer { peer: peer.node }).await;
    let Err(error) = result else { return Ok(peer) };
    if matches!(error, RequestError::Conflict(_)) && !is_member(&app.handle.facts(), peer.node) {
        app.handle.control(Control::Unlink(peer.node));
    }
    Err(Failure::of(style, &error))
}

fn is_member(facts: &Facts, node: NodeId) -> bool {
    facts.layout.as_ref().is_some_and(|layout| layout.members.contains_key(&node))
}

/// The `HOST:PORT` of the body's `peer_url`.
fn address_of(body: &[u8]) -> Result<String, Failure> {
    let field = "peer_url";
    let body: Value = serde_json::from_slice(body).map_err(|error| {
        let words =
            format!("the body must be like {{\"peer_url\": \"http://HOST:PORT\"}}: {error}");
        Failure::malformed("json_invalid", field, &words)
    })?;
    let Some(url) = body.get(field) else {
        let words = "Field required: send {\"peer_url\": \"http://HOST:PORT\"}";
        return Err(Failure::malformed("missing", field, words));
    };
    url.as_str().and_then(host_and_port).ok_or_else(|| {
        let words = format!("{url} is no URL of the form http://HOST:PORT");
        Failure::malformed("url_parsing", field, &words)
    })
}

fn host_and_port(url: &str) -> Option<String> {
    let url: Uri = url.trim().parse().ok()?;
    let plain = url.scheme_str() == Some("http") && url.path() == "/" && url.query().is_none();
    let authority = url.authority().filter(|_| plain)?;
    // An authority may also hold a user's name, and a port that is no number.
    let port = match authority.as_str().strip_prefix(authority.host())? {
        "" => 80,
        port => port.strip_prefix(':')?.parse::<u16>().ok().filter(|port| *port > 0)?,
    };
    (!authority.host().is_empty()).then(|| format!("{}:{port}", authority.host()))
}

/// An address in which all names of this machine are one.
fn normal(address: &str) -> String {
    let Some((host, port)) = address.rsplit_once(':') else { return address.to_owned() };
    let host = match host.to_ascii_lowercase().as_str() {
        "0.0.0.0" | "localhost" | "127.0.0.1" | "[::]" | "[::1]" => "127.0.0.1".to_owned(),
        other => other.to_owned(),
    };
    format!("{host}:{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_named_by_a_plain_url() {
        let address =
            |url: &str| address_of(json!({ "peer_url": url }).to_string().as_bytes()).ok();
        assert_eq!(address("http://127.0.0.1:7102"), Some("127.0.0.1:7102".into()));
        assert_eq!(address("http://node-2:80/"), Some("node-2:80".into()));
        assert_eq!(address("http://node-2"), Some("node-2:80".into()));
        assert_eq!(address("http://[::1]:7102"), Some("[::1]:7102".into()));
        for url in [
            "",
            "nonsense",
            "127.0.0.1:7102",
            "https://a:1",
            "http://",
            "http://a:0",
            "http://a:x",
            "http://a:99999",
            "http://u@a:1",
            "http://a:1/path",
            "http://a:1?q",
        ] {
            assert_eq!(address(url), None, "{url}");
        }
        assert!(address_of(b"{\"peer_url\": 5}").is_err());
        assert!(address_of(b"[]").is_err());
        assert!(address_of(b"{").is_err());
    }

    #[test]
    fn all_names_of_this_machine_are_one() {
        assert_eq!(normal("localhost:7101"), normal("0.0.0.0:7101"));
        assert_eq!(normal("LOCALHOST:7101"), normal("[::1]:7101"));
        assert_ne!(normal("localhost:7101"), normal("localhost:7102"));
    }
}
