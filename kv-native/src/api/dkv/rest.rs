//! The services over REST, as proto3's JSON: names in lowerCamelCase, bytes in base64, and what is unset
//! is present. Any Content-Type is accepted.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde::Serialize;
use tonic::{Code, Status};

use super::proto::{GetReply, GetRequest, PutReply, PutRequest, StatusReply, StatusRequest};
use super::{base64, service};
use crate::api::body::{self, Unread};
use crate::api::{self, App, Operation, Surface, query};

const PUT: &str = "/v0/kv";
const GET: &str = "/v0/kv/key/{*key}";
const STATUS: &str = "/v0/cluster/status";

/// Adds these paths.
pub(crate) fn surface(surface: Surface) -> Surface {
    let put = Operation::plain(
        Method::POST,
        PUT,
        "Stores a value in the strong keyspace; the same as dkv.v0.KVStore/Put over gRPC",
        api::Body::Json("{\"key\": \"Zm9v\", \"value\": \"YmFy\"}"),
        &[
            (200, "{\"message\": \"success\"}: a majority has it on disk"),
            (400, "No base64, no JSON, no key, or a key or value that is too long"),
            (429, "The node has too much to do, or a disk is full; nothing was changed"),
            (503, "There is no leader or no majority; nothing was changed"),
            (504, "It is unknown whether it was stored"),
        ],
    );
    let get = Operation::plain(
        Method::GET,
        GET,
        "The value of a key of the strong keyspace, linearizable; the key in base64, standard or URL-safe",
        api::Body::None,
        &[
            (200, "{\"key\": …, \"value\": …} in base64"),
            (400, "The key is no base64, empty or too long"),
            (404, "The key is absent"),
            (503, "There is no leader or no majority"),
        ],
    );
    let status = Operation::plain(
        Method::GET,
        STATUS,
        "Who leads the strong keyspace and who follows, as far as this node knows",
        api::Body::None,
        &[(
            200,
            "{\"nodeId\": …, \"cluster\": {\"leader\": {\"id\", \"addr\"}, \"followers\": {…}}}",
        )],
    );
    let mut surface = surface.on(put, self::put).on(get, self::get).on(status, self::status);
    for path in [PUT, GET, STATUS] {
        surface.router = surface.router.route(path, any(wrong_method));
    }
    surface.router = surface.router.route("/v0/kv/key/", any(empty_key));
    for path in ["/v0", "/v0/", "/v0/{*rest}"] {
        surface.router = surface.router.route(path, any(unknown_path));
    }
    surface
}

/// A call that was not carried out, or not for certain.
struct Refused(Status);

/// An error as JSON.
#[derive(Serialize)]
struct ErrorBody<'a> {
    code: i32,
    message: &'a str,
    details: [(); 0],
}

async fn put(
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<PutReply>, Refused> {
    let limit = service::value_bytes_max(&app);
    // Four characters stand for three bytes.
    let room = limit.saturating_mul(4).div_ceil(3).saturating_add(body::WRAPPING);
    let body = body::up_to(room, &headers, body).await.map_err(|unread| match unread {
        Unread::TooLarge => service::too_large(limit),
        Unread::Broken(words) => Status::invalid_argument(words),
    })?;
    Ok(Json(service::put(&app, parsed(&body)?).await?))
}

async fn get(State(app): State<App>, uri: Uri) -> Result<Json<GetReply>, Refused> {
    let text = query::rest_of_path(&uri, "/v0/kv/key/");
    let key = base64::decode(&text).map_err(|words| {
        Status::invalid_argument(format!(
            "the key in the path must be base64, as in /v0/kv/key/Zm9v; {words}"
        ))
    })?;
    Ok(Json(service::get(&app, GetRequest { key }).await?))
}

async fn status(State(app): State<App>) -> Result<Json<StatusReply>, Refused> {
    Ok(Json(service::status(&app, StatusRequest {}).await?))
}

/// The message in a body.
fn parsed(body: &[u8]) -> Result<PutRequest, Status> {
    // A message is an object, where a list would do as well for the parser.
    let begins = body.iter().find(|byte| !byte.is_ascii_whitespace());
    let parsed = match begins {
        Some(b'{') => serde_json::from_slice(body).map_err(|error| error.to_string()),
        _ => Err("it is no object".into()),
    };
    parsed.map_err(|words| {
        Status::invalid_argument(format!(
            "the body must be JSON like {{\"key\":\"Zm9v\",\"value\":\"YmFy\"}}, with base64 for bytes; nothing was changed: {words}"
        ))
    })
}

async fn empty_key(State(app): State<App>, method: Method, uri: Uri) -> Response {
    match method {
        Method::GET => get(State(app), uri).await.into_response(),
        method => wrong_method(method, uri).await,
    }
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    let words = format!("{method} is not implemented on {}; GET /docs tells what is", uri.path());
    Refused(Status::unimplemented(words)).into_response()
}

async fn unknown_path(uri: Uri) -> Response {
    let words = format!("there is no {}; GET /docs tells what there is", uri.path());
    Refused(Status::not_found(words)).into_response()
}

/// The HTTP status of a code, as gRPC's gateways have it.
fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => {
            StatusCode::BAD_REQUEST
        }
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Cancelled | Code::Unknown | Code::Internal | Code::DataLoss => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        Self(status)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (code, message) = (self.0.code(), self.0.message());
        let body = ErrorBody { code: code.into(), message, details: [] };
        (http_status(code), Json(body)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;

    use super::super::proto::{Cluster, Node};
    use super::*;

    #[test]
    fn messages_are_proto3_json() {
        let reply = GetReply { key: Bytes::from_static(b"\xfb\xff"), value: Bytes::new() };
        assert_eq!(serde_json::to_string(&reply).unwrap(), r#"{"key":"+/8=","value":""}"#);
        let node = |id: &str| Node { id: id.into(), addr: format!("{id}:1") };
        let followers = BTreeMap::from([("b".to_owned(), node("b"))]);
        let mut status = StatusReply {
            node_id: "a".into(),
            cluster: Some(Cluster { leader: Some(node("a")), followers }),
        };
        assert_eq!(
            serde_json::to_string(&status).unwrap(),
            r#"{"nodeId":"a","cluster":{"leader":{"id":"a","addr":"a:1"},"followers":{"b":{"id":"b","addr":"b:1"}}}}"#
        );
        status.cluster = Some(Cluster::default());
        assert_eq!(
            serde_json::to_string(&status).unwrap(),
            r#"{"nodeId":"a","cluster":{"leader":null,"followers":{}}}"#
        );
    }

    #[test]
    fn a_body_is_an_object_with_base64_in_it() {
        let body = br#" {"value":null, "more":[1], "key":"-_8"}"#;
        let request = parsed(body).unwrap();
        assert_eq!((&request.key[..], &request.value[..]), (&b"\xfb\xff"[..], &b""[..]));
        assert_eq!(parsed(b"{}").unwrap(), PutRequest::default());
        let wrong = [
            "",
            "null",
            "[]",
            r#"["Zm9v","YmFy"]"#,
            "{",
            r#"{"key":"Zm9v"} x"#,
            r#"{"key":1}"#,
            r#"{"key":"a"}"#,
            r#"{"key":"Zm9v","key":"Zm9v"}"#,
            "key=Zm9v",
        ];
        for body in wrong {
            let refused = parsed(body.as_bytes()).unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument, "{body}");
        }
    }
}
