//! What changes in the strong keyspace, live: `/v1/strong/watch`, as server-sent events.
//!
//! Each shard is asked again and again for what is behind the last revision that was told; an event is
//! all that one revision has changed, so a batch is never seen in part. The id of an event is a place in
//! the logs of all shards. A client that comes back with the last one, as browsers do by themselves in
//! `Last-Event-ID`, misses nothing and sees nothing twice.
//!
//! A shard is asked only when its last answer was taken, so a client that reads slowly costs one answer of
//! each shard and no more. If it falls behind so far that the log has gone on without it, the stream ends
//! and says so; coming back is then refused with 410.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use kv_core::error::RequestError;
use kv_core::id::{Index, ShardId};
use kv_core::request::strong::{KeyChange, StrongReply, StrongRequest};
use kv_core::request::{Reply, Request};
use kv_core::time::Micros;
use serde_json::{Value, json};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::super::answer::{Failure, Style};
use super::super::{App, Body, Operation, Surface, query};
use super::options::Options;
use super::{SHARDS_AT_ONCE, header, refused, revisions, shards, shown, unexpected};

/// Where a client that comes back wants to go on.
const LAST_EVENT_ID: &str = "last-event-id";
/// How often something is sent, if only to keep the connection.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How long a shard waits for a change before it is asked anew.
const WAIT: Micros = Micros::from_millis(10_000);
/// How long to let a shard be that cannot answer just now.
const PAUSE: Duration = Duration::from_millis(250);
/// The most changes of one answer.
const CHANGES: u32 = 100;

/// Adds this path.
pub(super) fn surface(surface: Surface) -> Surface {
    let operation = Operation {
        method: Method::GET,
        path: "/v1/strong/watch",
        summary: "Changes as they happen, as server-sent events",
        query: &[
            ("prefix", "only keys that begin so"),
            ("after", "go on behind this event id; from now on if absent"),
            ("timeout_ms", "how long each shard may take to say where watching begins"),
        ],
        headers: &[("Last-Event-ID", "the same as after, and comes before it")],
        body: Body::None,
        answers: &[
            (
                200,
                "text/event-stream: {\"shard\", \"revision\", \"changes\": [{\"key\", \"value_base64\", \"revision\", \"expires_ms\"} or {\"key\", \"deleted\": true}]}; an event named end tells why the stream ends",
            ),
            (400, "The id is not one of this cluster, or an option has no meaning here"),
            (
                410,
                "What follows that id is no longer kept: read the keys, then watch without an id",
            ),
            (503, "A shard has no leader that a majority follows, or the node is busy"),
            (504, "No answer in time"),
        ],
    };
    surface.on(operation, watch)
}

async fn watch(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Response, Failure> {
    header::refuse(&headers, &[])?;
    let options = Options::of(&uri, &["prefix", "after", "timeout_ms"])?;
    let given = match header::one(&headers, LAST_EVENT_ID)? {
        Some(id) => Some(id.to_owned()),
        None => options.after.as_deref().map(|id| String::from_utf8_lossy(id).into_owned()),
    };
    let place = start(&app, &options, given.as_deref()).await?;
    let watching = Watching::new(app, options.prefix, place);
    let events = stream::unfold(watching, async |mut watching| {
        let event = watching.next().await?;
        Some((Ok::<_, Infallible>(event), watching))
    });
    Ok(Sse::new(events).into_response())
}

/// Where watching begins in each shard: where the client says, if that is still kept, else now.
async fn start(app: &App, options: &Options, given: Option<&str>) -> Result<Vec<Index>, Failure> {
    let shards = shards(app)?;
    let given = match given {
        None => vec![None; shards.len()],
        Some(text) => place_of(text, shards.len())?.into_iter().map(Some).collect(),
    };
    let begin = async |(shard, after): (ShardId, Option<Index>)| -> Result<Index, Failure> {
        // No changes are wanted: the answer comes at once.
        let request =
            StrongRequest::Watch { shard, prefix: options.prefix.clone(), after, limit: 0 };
        let request = Request::Strong { request, timeout: options.timeout };
        match app.handle.request(request).await {
            Ok(Reply::Strong(StrongReply::Changes { upto, .. })) => Ok(after.unwrap_or(upto)),
            Ok(Reply::Strong(other)) => Err(unexpected(other)),
            Ok(other) => Err(Failure::unexpected(Style::Error, &other)),
            Err(RequestError::Conflict(words)) => {
                Err(Failure::new(Style::Error, StatusCode::GONE, words))
            }
            Err(error) => Err(Failure::of(Style::Error, &error)),
        }
    };
    let each = stream::iter(shards.into_iter().zip(given)).map(begin);
    each.buffered(SHARDS_AT_ONCE).try_collect().await
}

/// The revisions of an event id, one for each shard.
fn place_of(text: &str, shards: usize) -> Result<Vec<Index>, Failure> {
    revisions::parse(text).filter(|place| place.len() == shards).ok_or_else(|| {
        refused(format!(
            "{text:?} is not the id of an event of this cluster; hand an id back unaltered, or leave it out to watch from now on"
        ))
    })
}

/// What a shard has answered.
type Answered = (ShardId, Result<Reply, RequestError>);

/// A client that watches.
struct Watching {
    app: App,
    prefix: Bytes,
    /// Up to where everything was told, in each shard.
    place: Vec<Index>,
    /// The shards that are being asked. Dropping it withdraws the requests.
    asked: FuturesUnordered<BoxFuture<'static, Answered>>,
    /// What of the last answer is to be sent.
    events: VecDeque<Event>,
    heartbeat: Interval,
    over: bool,
}

impl Watching {
    fn new(app: App, prefix: Bytes, place: Vec<Index>) -> Self {
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let asked = FuturesUnordered::new();
        let mut watching =
            Self { app, prefix, place, asked, events: VecDeque::new(), heartbeat, over: false };
        for shard in 0..watching.place.len() {
            watching.ask(ShardId(u32::try_from(shard).unwrap_or(u32::MAX)), Duration::ZERO);
        }
        watching
    }

    /// The next event; none if the stream ends.
    async fn next(&mut self) -> Option<Event> {
        while self.events.is_empty() && !self.over {
            let mut stopping = self.app.stopping.clone();
            tokio::select! {
                biased;
                // An error means that the sender is gone, and so is the node.
                _ = stopping.wait_for(|stopping| *stopping) => self.over = true,
                Some((shard, answer)) = self.asked.next() => self.take(shard, answer),
                // The first one comes at once and tells the client where it begins.
                _ = self.heartbeat.tick() => self.events.push_back(self.event().comment("here")),
            }
        }
        self.events.pop_front()
    }

    fn ask(&mut self, shard: ShardId, pause: Duration) {
        let handle = self.app.handle.clone();
        let after = self.place.get(shard.0 as usize).copied();
        let request =
            StrongRequest::Watch { shard, prefix: self.prefix.clone(), after, limit: CHANGES };
        let request = Request::Strong { request, timeout: Some(WAIT) };
        let answered = async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            (shard, handle.request(request).await)
        };
        self.asked.push(answered.boxed());
    }

    fn take(&mut self, shard: ShardId, answer: Result<Reply, RequestError>) {
        match answer {
            Ok(Reply::Strong(StrongReply::Changes { changes, upto })) => {
                for of_one in changes.chunk_by(|one, next| one.revision == next.revision) {
                    self.tell(shard, of_one);
                }
                self.move_to(shard, upto);
                self.ask(shard, Duration::ZERO);
            }
            Ok(other) => {
                tracing::error!(?other, "an answer that fits no watch");
                self.end("internal fault: an answer that fits no request; watch again");
            }
            Err(error @ (RequestError::Invalid(_) | RequestError::Conflict(_))) => {
                self.end(&error.to_string());
            }
            // Nothing is lost: the shard is asked for the same again.
            Err(
                RequestError::Unavailable(_)
                | RequestError::Busy
                | RequestError::Full
                | RequestError::Unknown(_),
            ) => self.ask(shard, PAUSE),
        }
    }

    /// Tells what one revision has changed.
    fn tell(&mut self, shard: ShardId, changes: &[KeyChange]) {
        let Some(revision) = changes.first().map(|change| change.revision) else { return };
        self.move_to(shard, revision);
        let changes: Vec<Value> = changes.iter().map(change).collect();
        let data = json!({ "shard": shard.0, "revision": revision.0, "changes": changes });
        let event = self.event().data(data.to_string());
        self.events.push_back(event);
    }

    fn move_to(&mut self, shard: ShardId, revision: Index) {
        if let Some(place) = self.place.get_mut(shard.0 as usize) {
            *place = revision.max(*place);
        }
    }

    fn end(&mut self, words: &str) {
        let data = json!({ "error": words }).to_string();
        self.events.push_back(Event::default().event("end").data(data));
        self.over = true;
    }

    /// An event with the present place.
    fn event(&self) -> Event {
        Event::default().id(revisions::text(&self.place))
    }
}

fn change(change: &KeyChange) -> Value {
    match &change.record {
        Some(record) => shown(&change.key, record),
        None => json!({ "key": query::encoded(&change.key), "deleted": true }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_revision_for_each_shard() {
        assert_eq!(place_of("3.0", 2).unwrap(), [Index(3), Index(0)]);
        for wrong in ["3", "3.0.1", "", "x.y"] {
            assert!(place_of(wrong, 2).is_err(), "{wrong}");
        }
    }
}
