//! Who is in the cluster: `/v1/members`.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use kv_core::request::Request;
use serde_json::{Value, json};

use super::answer::{Failure, Style};
use super::{App, Operation, Surface, body, keys, peers, query};

/// Adds these paths.
pub(crate) fn surface(surface: Surface) -> Surface {
    const FORCE: &[(&str, &str)] =
        &[("force", "1: even if a replicated log loses its majority by it")];
    surface
        .on(
            Operation::plain(
                Method::GET,
                "/v1/members",
                "The members, and what this node thinks of them",
                super::Body::None,
                &[(200, "{\"members\": [{\"name\", \"address\", \"linked\", \"alive\", …}]}")],
            ),
            list,
        )
        .on(
            Operation::plain(
                Method::POST,
                "/v1/members",
                "Makes one cluster of this node's and that of the node at an address",
                super::Body::Json("{\"address\": \"127.0.0.1:7102\"}"),
                &[
                    (200, "{\"name\"} of the node there: they are one cluster"),
                    (400, "No address, or that of this node"),
                    (409, "It is a member already, or the two clusters cannot become one"),
                    (502, "No node can be reached there"),
                ],
            ),
            add,
        )
        .on(
            Operation {
                method: Method::DELETE,
                path: "/v1/members/{name}",
                summary: "Lets a member go, for good",
                query: FORCE,
                headers: &[],
                body: super::Body::None,
                answers: &[
                    (200, "It is no member any more, and may be switched off"),
                    (400, "An option has no meaning here"),
                    (404, "There is no such member"),
                    (409, "A replicated log would lose its majority; nothing was changed, say force=1 to do it all the same"),
                    (503, "A shard is on its way from some members to others and may need this one; nothing was changed, try again"),
                ],
            },
            remove,
        )
}

/// The members with the opinion of this node, as JSON.
pub(crate) async fn list(State(app): State<App>) -> Result<Response, Failure> {
    let view = app.handle.view().await.ok_or_else(|| Failure::stopping(Style::Error))?;
    let members = view.layout.iter().flat_map(|layout| &layout.members);
    let rows: Vec<Value> = members
        .map(|(node, member)| {
            let peer = view.peers.iter().find(|peer| peer.node == *node);
            let own = *node == view.node;
            json!({
                "name": member.name,
                "id": node.to_string(),
                "address": member.address,
                "incarnation": member.incarnation.to_string(),
                "since_epoch": member.since.0,
                "this_node": own,
                "linked": own || peer.is_some_and(|peer| peer.linked),
                "alive": own || peer.is_some_and(|peer| peer.alive),
                "silent_ms": peer.and_then(|peer| peer.silent).map(|silent| silent.as_millis()),
            })
        })
        .collect();
    Ok(Json(json!({ "members": rows })).into_response())
}

async fn add(State(app): State<App>, headers: HeaderMap, body: Body) -> Result<Response, Failure> {
    let body = body::small(Style::Error, &headers, body).await?;
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let address = body["address"].as_str().filter(|address| is_address(address));
    let Some(address) = address else {
        let words = "send {\"address\": \"HOST:PORT\"}; nothing was changed";
        return Err(Failure::new(Style::Error, StatusCode::BAD_REQUEST, words));
    };
    let peer = peers::join(&app, Style::Error, address).await?;
    Ok(Json(json!({ "name": peer.name })).into_response())
}

fn is_address(text: &str) -> bool {
    crate::config::Address::parse(text).is_ok()
}

async fn remove(
    State(app): State<App>,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Response, Failure> {
    let force = force_of(&uri)?;
    let facts = app.handle.facts();
    let members = facts.layout.iter().flat_map(|layout| &layout.members);
    let found = members.into_iter().find(|(_, member)| member.name == name);
    let Some((node, _)) = found else {
        let words = format!("there is no member {name:?}; GET /v1/members tells who is in");
        return Err(Failure::new(Style::Error, StatusCode::NOT_FOUND, words));
    };
    let reply = app.handle.request(Request::RemoveMember { node: *node, force }).await;
    reply.map_err(|error| Failure::of(Style::Error, &error))?;
    Ok(Json(json!({ "done": true })).into_response())
}

fn force_of(uri: &Uri) -> Result<bool, Failure> {
    let mut force = false;
    for (name, value) in query::pairs(uri) {
        force = match (name.as_str(), value.as_slice()) {
            ("force", b"1" | b"true") => true,
            ("force", b"0" | b"false") => false,
            ("force", _) => {
                let words = "force must be 1 or 0; nothing was changed";
                return Err(Failure::new(Style::Error, StatusCode::BAD_REQUEST, words));
            }
            _ => return Err(keys::no_meaning(&name, "force")),
        };
    }
    Ok(force)
}
