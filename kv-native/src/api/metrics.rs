//! `/metrics`: counters and gauges in the text format of Prometheus.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};

use super::answer::{Failure, Style};
use super::{App, Body, Operation, Surface};

/// Adds this path.
pub(crate) fn surface(surface: Surface) -> Surface {
    let operation = Operation {
        method: Method::GET,
        path: "/metrics",
        summary: "Counters and gauges for Prometheus",
        query: &[],
        headers: &[],
        body: Body::None,
        answers: &[(200, "text/plain; version=0.0.4")],
    };
    surface.on(operation, metrics)
}

async fn metrics(State(app): State<App>) -> Result<Response, Failure> {
    let view = app.handle.view().await.ok_or_else(|| Failure::stopping(Style::Error))?;
    let mut text = String::new();
    let mut family = |name: &str, kind: &str, help: &str, rows: &[(String, u64)]| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in rows {
            let _ = writeln!(text, "{name}{labels} {value}");
        }
    };
    let one = |value| [(String::new(), value)];
    let events: Vec<_> = view
        .counters
        .iter()
        .map(|(kind, count)| (format!("{{kind=\"{kind}\"}}"), *count))
        .collect();
    family("kv_events_total", "counter", "Events of the node since it was opened.", &events);
    let counters = app.transport.counters();
    for (name, help, counter) in [
        ("kv_links_total", "Connections that became links.", &counters.links),
        (
            "kv_nonsense_total",
            "Connections closed because the peer spoke nonsense.",
            &counters.nonsense,
        ),
        ("kv_dials_failed_total", "Dials that reached no node.", &counters.dials_failed),
    ] {
        family(name, "counter", help, &one(counter.load(Ordering::Relaxed)));
    }
    let linked = view.peers.iter().filter(|peer| peer.linked).count() as u64;
    let alive = view.peers.iter().filter(|peer| peer.alive).count() as u64;
    let members = view.layout.as_ref().map_or(0, |layout| layout.members.len() as u64);
    for (name, help, value) in [
        ("kv_members", "Members of the cluster.", members),
        ("kv_peers_linked", "Other members with a link.", linked),
        ("kv_peers_alive", "Other members thought to be alive.", alive),
        (
            "kv_entries",
            "Entries of the store, those of the node itself included.",
            view.storage.keys,
        ),
        ("kv_bytes", "Bytes of keys and values in memory.", view.storage.bytes),
        ("kv_log_segments", "Segments of the log.", view.storage.segments.len() as u64),
        ("kv_unsynced_bytes", "Bytes that wait for a sync.", view.storage.unsynced_bytes),
        ("kv_disk_full", "1 while writes are refused for want of space.", view.storage.full.into()),
        ("kv_requests_open", "Client requests under way.", view.requests_open),
        ("kv_outputs_held", "Answers that wait for a sync.", view.outputs_held),
    ] {
        family(name, "gauge", help, &one(value));
    }
    let kind = HeaderValue::from_static("text/plain; version=0.0.4");
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
