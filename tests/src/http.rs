//! One HTTP request on a connection of its own, and its answer.

use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::{HeaderMap, Request, Response};

/// What was answered; status 0 if nothing was.
#[derive(Debug)]
pub struct Answer {
    /// The status, or 0.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, or why there is no answer.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A header, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Whether it has this status; else what it was instead.
    pub fn is(self, status: u16) -> Result<Self, String> {
        if self.status == status {
            return Ok(self);
        }
        Err(format!("status {} instead of {status}: {}", self.status, self.text()))
    }
}

/// Sends a request and waits for the answer.
pub fn call(method: &str, url: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Answer {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        // Status 300 names siblings, not another place.
        .max_redirects(0)
        .timeout_global(Some(Duration::from_secs(10)))
        .build();
    let agent = Agent::from(config);
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if body.is_some() && !headers.iter().any(|(name, _)| *name == "content-type") {
        request = request.header("content-type", "application/json");
    }
    let answer = match body {
        Some(body) => {
            request.body(body).map_err(ureq::Error::from).and_then(|request| agent.run(request))
        }
        None => request.body(()).map_err(ureq::Error::from).and_then(|request| agent.run(request)),
    };
    match answer.and_then(read) {
        Ok(answer) => answer,
        Err(error) => {
            Answer { status: 0, headers: HeaderMap::new(), body: error.to_string().into_bytes() }
        }
    }
}

fn read(mut response: Response<ureq::Body>) -> Result<Answer, ureq::Error> {
    let body = response.body_mut().with_config().limit(256 << 20).read_to_vec()?;
    Ok(Answer { status: response.status().as_u16(), headers: response.headers().clone(), body })
}
