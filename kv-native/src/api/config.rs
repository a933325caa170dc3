//! Live settings by name: seed 000's `/config`, and the same with their table under `/v1/settings`.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use kv_core::request::Request;
use kv_core::settings::{Kind, Setting, Settings, Spec, TABLE};
use serde_json::{Map, Value, json};

use super::answer::{Failure, Style};
use super::{App, Operation, Surface, body};

/// Adds these paths.
pub(crate) fn surface(surface: Surface) -> Surface {
    const CHANGED: &[(u16, &str)] = &[
        (
            200,
            "The settings as they are now; they spread to all nodes within a few gossip intervals",
        ),
        (400, "An unknown name or a value out of range; nothing was changed"),
        (503, "Too few nodes answer; nothing was changed"),
    ];
    let none = super::Body::None;
    let some = super::Body::Settings;
    surface
        .on(
            Operation::plain(
                Method::GET,
                "/config",
                "The live settings by name",
                none,
                &[(200, "Settings")],
            ),
            async |State(app): State<App>| Json(by_name(&app.handle.facts().settings)),
        )
        .on(
            Operation::plain(
                Method::PUT,
                "/config",
                "Changes the settings that are named",
                some,
                CHANGED,
            ),
            async |State(app): State<App>, headers: HeaderMap, body: Body| {
                change(&app, Style::Detail, &headers, body).await?;
                let settings = Json(by_name(&app.handle.facts().settings));
                Ok::<Response, Failure>(settings.into_response())
            },
        )
        .on(
            Operation::plain(
                Method::GET,
                "/v1/settings",
                "The live settings with their ranges, meanings and who chose them",
                none,
                &[(200, "One row per setting")],
            ),
            async |State(app): State<App>| table(&app).await,
        )
        .on(
            Operation::plain(
                Method::PATCH,
                "/v1/settings",
                "Changes the settings that are named",
                some,
                CHANGED,
            ),
            async |State(app): State<App>, headers: HeaderMap, body: Body| {
                change(&app, Style::Error, &headers, body).await?;
                table(&app).await
            },
        )
}

/// All values by name; switches are `true` or `false`.
fn by_name(settings: &Settings) -> Value {
    let values = TABLE.iter().map(|spec| {
        let value = settings.get(spec.setting);
        (spec.name.to_owned(), shown(spec, value))
    });
    Value::Object(values.collect())
}

/// A value as JSON.
pub(crate) fn shown(spec: &Spec, value: u64) -> Value {
    match spec.kind {
        Kind::Switch => json!(value != 0),
        Kind::Number { .. } => json!(value),
    }
}

async fn table(app: &App) -> Result<Response, Failure> {
    let view = app.handle.view().await.ok_or_else(|| Failure::stopping(Style::Error))?;
    let facts = app.handle.facts();
    let rows: Vec<Value> = TABLE
        .iter()
        .map(|spec| {
            let choice = view.choices.choice(spec.setting);
            let (min, max) = match spec.kind {
                Kind::Number { min, max } => (min, max),
                Kind::Switch => (0, 1),
            };
            json!({
                "name": spec.name,
                "value": shown(spec, view.settings.get(spec.setting)),
                "default": shown(spec, spec.default),
                "min": shown(spec, min),
                "max": shown(spec, max),
                "unit": spec.unit,
                "meaning": spec.meaning,
                "trade_off": spec.trade_off,
                "chosen_on": choice.map(|choice| facts.name_of(choice.author)),
                "chosen_at_ms": choice.map(|choice| choice.stamp.millis()),
            })
        })
        .collect();
    Ok(Json(json!({ "settings": rows })).into_response())
}

async fn change(app: &App, style: Style, headers: &HeaderMap, body: Body) -> Result<(), Failure> {
    let body = body::small(style, headers, body).await?;
    let changes =
        changes_of(&body).map_err(|words| Failure::new(style, StatusCode::BAD_REQUEST, words))?;
    let reply = app.handle.request(Request::Set { changes }).await;
    reply.map(drop).map_err(|error| Failure::of(style, &error))
}

/// The changes that a body names, or words that say what is wrong with it.
fn changes_of(body: &[u8]) -> Result<Vec<(Setting, u64)>, String> {
    let named: Map<String, Value> = serde_json::from_slice(body).map_err(|error| {
        format!("the body must be a JSON object like {{\"read_quorum\": 1}}: {error}; nothing was changed")
    })?;
    let change = |(name, value): (String, Value)| {
        let setting = Setting::of_name(&name).ok_or_else(|| {
            let names: Vec<&str> = TABLE.iter().map(|spec| spec.name).collect();
            let names = names.join(", ");
            format!("there is no setting {name:?}; nothing was changed, there are {names}")
        })?;
        Ok((setting, number(setting.spec(), &value)?))
    };
    named.into_iter().map(change).collect()
}

fn number(spec: &Spec, value: &Value) -> Result<u64, String> {
    match (spec.kind, value) {
        (Kind::Switch, Value::Bool(on)) => Ok(u64::from(*on)),
        (_, Value::Number(number)) if number.is_u64() => Ok(number.as_u64().unwrap_or_default()),
        (Kind::Switch, _) => {
            Err(format!("{} must be true or false, not {value}; nothing was changed", spec.name))
        }
        (Kind::Number { min, max }, _) => Err(format!(
            "{} must be a whole number from {min} to {max}, not {value}; nothing was changed",
            spec.name
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_named_and_typed() {
        let changes = changes_of(br#"{"read_quorum": 1, "blocking_read_repair": false}"#).unwrap();
        assert!(changes.contains(&(Setting::ReadQuorum, 1)));
        assert!(changes.contains(&(Setting::BlockingReadRepair, 0)));
        for (body, word) in [
            (r#"{"nonsense": 1}"#, "there is no setting \"nonsense\""),
            (r#"{"read_quorum": -1}"#, "from 1 to 9, not -1"),
            (r#"{"read_quorum": 1.5}"#, "from 1 to 9, not 1.5"),
            (r#"{"read_quorum": "1"}"#, "from 1 to 9, not \"1\""),
            (r#"{"blocking_read_repair": "yes"}"#, "must be true or false"),
            ("[]", "must be a JSON object"),
        ] {
            let words = changes_of(body.as_bytes()).unwrap_err();
            assert!(words.contains(word) && words.contains("nothing was changed"), "{words}");
        }
    }
}
