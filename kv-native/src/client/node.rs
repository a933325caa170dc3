//! One request to a node, and its answer, for the client commands.

use std::io;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use ureq::Agent;
use ureq::http::{Response, StatusCode};

use crate::cli::{AtArgs, End, KeyArgs};

/// How long to wait for a node that does not answer at all.
const WAIT: Duration = Duration::from_secs(70);
/// How large an answer may be: the largest value, or many siblings of it.
const ANSWER_BYTES_MAX: u64 = 1 << 30;

/// A node to ask.
pub(crate) struct Node {
    address: String,
    agent: Agent,
}

/// What it said.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) context: Option<String>,
    pub(crate) receipt: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Node {
    pub(crate) fn at(args: &AtArgs) -> Self {
        Self::within(args.addr.trim_start_matches("http://").trim_end_matches('/'), WAIT)
    }

    /// The node at a `HOST:PORT`, which must answer within this time.
    pub(crate) fn within(address: &str, wait: Duration) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(wait))
            .build();
        Self { address: address.to_owned(), agent: config.into() }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn key_url(&self, args: &KeyArgs, quorum: &str) -> String {
        let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let mut url =
            self.url(&format!("/v1/{}/keys/{}?", encode(&args.keyspace), encode(&args.key)));
        if let Some(nodes) = args.quorum {
            url.push_str(&format!("{quorum}={nodes}&"));
        }
        if let Some(timeout) = args.timeout_ms {
            url.push_str(&format!("timeout_ms={timeout}&"));
        }
        url.push_str(if args.receipt { "receipt=1" } else { "receipt=0" });
        url
    }

    /// Asks for an answer without an end; it is read as it comes.
    pub(super) fn stream(&self, url: &str) -> Result<impl io::Read + use<>, End> {
        let config = Agent::config_builder().http_status_as_error(false).max_redirects(0).build();
        let answer = Agent::from(config).get(url).call().map_err(|error| self.silent(&error))?;
        if answer.status() != StatusCode::OK {
            return Err(Answer::read(answer).map_err(|error| self.silent(&error))?.failure());
        }
        Ok(answer.into_body().into_reader())
    }

    pub(crate) fn call(
        &self,
        method: &str,
        url: &str,
        body: Option<&[u8]>,
        headers: &[(&str, String)],
    ) -> Result<Answer, End> {
        self.send(method, url, body, headers).map_err(|error| self.silent(&error))
    }

    /// The same for those who know better words where nothing answers.
    pub(crate) fn send(
        &self,
        method: &str,
        url: &str,
        body: Option<&[u8]>,
        headers: &[(&str, String)],
    ) -> Result<Answer, ureq::Error> {
        let mut request = ureq::http::Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let answer = match body {
            Some(body) => request
                .body(body)
                .map_err(ureq::Error::from)
                .and_then(|request| self.agent.run(request)),
            None => request
                .body(())
                .map_err(ureq::Error::from)
                .and_then(|request| self.agent.run(request)),
        };
        answer.and_then(Answer::read)
    }

    fn silent(&self, error: &ureq::Error) -> End {
        End::failed(format!(
            "{} does not answer: {error}; is a node running there? (--addr HOST:PORT asks another, kv node starts one)",
            self.address
        ))
    }
}

impl Answer {
    fn read(mut response: Response<ureq::Body>) -> Result<Self, ureq::Error> {
        let header = |name: &str| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let (context, receipt) = (header("kv-context"), header("kv-receipt"));
        let status = response.status();
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
        Ok(Self { status, context, receipt, body })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Whether a read was carried out, with or without a value.
    pub(crate) fn is_read(&self) -> bool {
        matches!(self.status, StatusCode::OK | StatusCode::MULTIPLE_CHOICES)
            || (self.status == StatusCode::NOT_FOUND && self.context.is_some())
    }

    pub(crate) fn failure(&self) -> End {
        End::failed(self.failure_words())
    }

    /// Why it was not done, in the node's words.
    pub(crate) fn failure_words(&self) -> String {
        match self.json()["error"].as_str() {
            Some(words) => words.to_owned(),
            None => format!("the node answered {}", self.status),
        }
    }
}
