//! `/openapi.json`, made from the table of operations and the table of settings, and `/docs`, a page
//! that shows it. The page is part of the binary and needs no network.

use std::sync::Arc;

use axum::Json;
use axum::http::Method;
use axum::response::Html;
use kv_core::settings::{Kind, TABLE};
use serde_json::{Map, Value, json};

use super::config::shown;
use super::{Body, Operation, Surface};

const PAGE: &str = include_str!("docs.html");

/// Adds these paths.
pub(crate) fn surface(surface: Surface) -> Surface {
    let operation = Operation {
        method: Method::GET,
        path: "/docs",
        summary: "This description as a page",
        query: &[],
        headers: &[],
        body: Body::None,
        answers: &[(200, "text/html")],
    };
    surface.on(operation, async || Html(PAGE))
}

/// Answers with the document.
pub(crate) async fn openapi(document: Arc<Value>) -> Json<Value> {
    Json(Value::clone(&document))
}

/// The OpenAPI document of these operations.
pub(crate) fn document(operations: &[Operation]) -> Value {
    let mut paths = Map::new();
    for operation in operations {
        // OpenAPI has no word for a parameter that takes the rest of the path.
        let path = operation.path.replace("{*", "{");
        let methods = paths.entry(path).or_insert_with(|| json!({}));
        methods[operation.method.as_str().to_ascii_lowercase()] = described(operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "kv",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "One distributed key-value core. Every error says what was wrong and what to do.",
        },
        "paths": paths,
        "components": { "schemas": { "Settings": settings() } },
    })
}

fn described(operation: &Operation) -> Value {
    let in_path = operation.path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?.trim_start_matches('*');
        Some(
            json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }),
        )
    });
    let named = |place: &'static str, list: &'static [(&str, &str)]| {
        list.iter().map(move |(name, meaning)| {
            json!({ "name": name, "in": place, "description": meaning, "schema": { "type": "string" } })
        })
    };
    let parameters: Vec<Value> = in_path
        .chain(named("query", operation.query))
        .chain(named("header", operation.headers))
        .collect();
    let answers: Map<String, Value> = operation
        .answers
        .iter()
        .map(|(status, meaning)| (status.to_string(), json!({ "description": meaning })))
        .collect();
    let mut described =
        json!({ "summary": operation.summary, "parameters": parameters, "responses": answers });
    if let Some(content) = content(operation.body) {
        described["requestBody"] = json!({ "required": true, "content": content });
    }
    described
}

fn content(body: Body) -> Option<Value> {
    match body {
        Body::None => None,
        Body::Bytes => Some(json!({ "application/octet-stream": {} })),
        Body::Json(example) => {
            let example: Value = serde_json::from_str(example).unwrap_or_default();
            Some(json!({ "application/json": { "schema": {}, "example": example } }))
        }
        Body::Settings => {
            let schema = json!({ "$ref": "#/components/schemas/Settings" });
            Some(
                json!({ "application/json": { "schema": schema, "example": { "read_quorum": 1 } } }),
            )
        }
    }
}

/// The schema of the settings, from their table.
fn settings() -> Value {
    let property = |spec: &kv_core::settings::Spec| {
        let description = format!("{} {}", spec.meaning, spec.trade_off);
        let mut schema = match spec.kind {
            Kind::Switch => json!({ "type": "boolean" }),
            Kind::Number { min, max } => {
                json!({ "type": "integer", "minimum": min, "maximum": max })
            }
        };
        schema["description"] = description.into();
        schema["default"] = shown(spec, spec.default);
        if !spec.unit.is_empty() {
            schema["x-unit"] = spec.unit.into();
        }
        (spec.name.to_owned(), schema)
    };
    let properties: Map<String, Value> = TABLE.iter().map(property).collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_tells_of_every_operation_and_setting() {
        let operations = super::super::surface().operations;
        let document = document(&operations);
        for operation in &operations {
            let path = operation.path.replace("{*", "{");
            let method = operation.method.as_str().to_ascii_lowercase();
            let described = &document["paths"][&path][&method];
            assert_eq!(described["summary"], operation.summary, "{method} {path}");
            assert!(described["responses"].as_object().is_some_and(|answers| !answers.is_empty()));
            if let Body::Json(example) = operation.body {
                assert!(serde_json::from_str::<Value>(example).is_ok(), "{example}");
            }
        }
        let settings = &document["components"]["schemas"]["Settings"]["properties"];
        assert_eq!(settings["read_quorum"]["minimum"], 1);
        assert_eq!(settings["blocking_read_repair"]["default"], true);
        assert_eq!(settings.as_object().map(Map::len), Some(TABLE.len()));
    }
}
