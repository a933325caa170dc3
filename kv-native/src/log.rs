//! Log lines: what the node reports as events, written by `tracing`.

use std::io::IsTerminal;

use kv_core::event::{Cause, Event, EventKind, Severity};
use kv_core::id::NodeId;
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

/// Writes the line of an event. Nodes in it are ids; their names stand beside as far as known.
pub(crate) fn event(event: &Event, facts: &Facts) {
    // Most events are traces, and mostly no one looks at those: then nothing is formatted.
    if event.kind.severity() == Severity::Trace && !tracing::enabled!(tracing::Level::TRACE) {
        return;
    }
    let node = facts.hello.name.as_str();
    let cause = cause(&event.cause);
    let peer = peer(&event.kind).map(|peer| facts.name_of(peer));
    let kind = &event.kind;
    match kind.severity() {
        Severity::Trace => tracing::trace!(node, peer, cause, "{kind}"),
        Severity::Info => tracing::info!(node, peer, cause, "{kind}"),
        Severity::Warning => tracing::warn!(node, peer, cause, "{kind}"),
        Severity::Error => tracing::error!(node, peer, cause, "{kind}"),
    }
}

fn cause(cause: &Cause) -> String {
    match cause {
        Cause::Boot => "boot".into(),
        Cause::Timer => "timer".into(),
        Cause::Message { from, id } => format!("message {from}:{}", id.0),
        Cause::Request(id) => format!("request {}", id.0),
        Cause::Synced(upto) => format!("sync {}:{}", upto.segment.0, upto.offset),
        Cause::Link(peer) => format!("link {peer}"),
        Cause::Job(id) => format!("job {}", id.0),
    }
}

/// The other node that an event is about.
fn peer(kind: &EventKind) -> Option<NodeId> {
    match kind {
        EventKind::LinkUp(node)
        | EventKind::LinkDown(node)
        | EventKind::Trusted(node)
        | EventKind::Suspected { node, .. }
        | EventKind::HandedOff { to: node, .. }
        | EventKind::SettingChanged { author: node, .. }
        | EventKind::Repaired { replica: node, .. }
        | EventKind::Dropped { from: node, .. } => Some(*node),
        _ => None,
    }
}
