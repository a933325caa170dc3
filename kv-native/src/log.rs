//! Log lines: what the node reports as events, written by `tracing`.

use std::io::IsTerminal;

use kv_core::event::{Cause, Event, Severity};
use tracing_subscriber::EnvFilter;

use crate::driver::Facts;

/// Sends log lines to the standard error, as far as the filter lets them through. A filter is a level
/// (`info`) or a list like `info,kv_native::transport=debug`.
pub(crate) fn init(filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        format!("the log filter {filter:?} is not understood ({error}); use error, warn, info, debug or trace")
    })?;
    let set = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .try_init();
    set.map_err(|error| format!("logging cannot be set up: {error}"))
}

/// Writes the line of an event, calling nodes by their names as far as those are known.
pub(crate) fn event(event: &Event, facts: &Facts) {
    // Most events are traces, and mostly no one looks at those: then nothing is formatted.
    let severity = event.kind.severity();
    if severity == Severity::Trace && !tracing::enabled!(tracing::Level::TRACE) {
        return;
    }
    let node = facts.hello.name.as_str();
    let cause = cause(&event.cause, facts);
    let words = event.kind.words(|node| facts.name_of(node));
    match severity {
        Severity::Trace => tracing::trace!(node, cause, "{words}"),
        Severity::Info => tracing::info!(node, cause, "{words}"),
        Severity::Warning => tracing::warn!(node, cause, "{words}"),
        Severity::Error => tracing::error!(node, cause, "{words}"),
    }
}

fn cause(cause: &Cause, facts: &Facts) -> String {
    match cause {
        Cause::Boot => "boot".into(),
        Cause::Timer => "timer".into(),
        Cause::Message { from, id } => format!("message {}:{}", facts.name_of(*from), id.0),
        Cause::Request(id) => format!("request {}", id.0),
        Cause::Synced(upto) => format!("sync {}:{}", upto.segment.0, upto.offset),
        Cause::Link(peer) => format!("link {}", facts.name_of(*peer)),
        Cause::Job(id) => format!("job {}", id.0),
    }
}
