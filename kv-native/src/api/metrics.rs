//! `/metrics`: counters and gauges in the text format of Prometheus.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use kv_core::raft::GroupView;
use kv_core::storage::{LevelView, StoreView};

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
    let mut text = Families::default();
    let events: Vec<_> = view
        .counters
        .iter()
        .map(|(kind, count)| (format!("{{kind=\"{kind}\"}}"), *count))
        .collect();
    text.family("kv_events_total", "counter", "Events of the node since it was opened.", &events);
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
        text.one(name, "counter", help, counter.load(Ordering::Relaxed));
    }
    let linked = view.peers.iter().filter(|peer| peer.linked).count() as u64;
    let alive = view.peers.iter().filter(|peer| peer.alive).count() as u64;
    let members = view.layout.as_ref().map_or(0, |layout| layout.members.len() as u64);
    for (name, help, value) in [
        ("kv_members", "Members of the cluster.", members),
        ("kv_peers_linked", "Other members with a link.", linked),
        ("kv_peers_alive", "Other members thought to be alive.", alive),
        ("kv_requests_open", "Client requests under way.", view.requests_open),
        ("kv_outputs_held", "Answers that wait for a sync.", view.outputs_held),
    ] {
        text.one(name, "gauge", help, value);
    }
    groups(&view.groups, &mut text);
    storage(&view.storage, &mut text);
    let kind = HeaderValue::from_static("text/plain; version=0.0.4");
    Ok(([(header::CONTENT_TYPE, kind)], text.0).into_response())
}

fn groups(groups: &[GroupView], text: &mut Families) {
    type Rows = Vec<(String, u64)>;
    let mut families: BTreeMap<(&str, &str), Rows> = BTreeMap::new();
    for group in groups {
        for (name, help, value) in super::groups::gauges(group) {
            let label = format!("{{group=\"{}\"}}", group.group.0);
            families.entry((name, help)).or_default().push((label, value));
        }
    }
    for ((name, help), rows) in families {
        text.family(&format!("kv_raft_{name}"), "gauge", help, &rows);
    }
}

fn storage(store: &StoreView, text: &mut Families) {
    for (name, help, value) in [
        ("versions", "Versions of keys, removals and replaced ones included.", store.versions),
        ("bytes", "Bytes of all their keys and values.", store.bytes),
        ("memtable_bytes", "Bytes of the memtable that is written to.", store.memtable.1),
        ("memtables_waiting", "Memtables on their way to tables.", store.frozen.0),
        ("log_segments", "Segments of the log.", store.segments.len() as u64),
        ("log_bytes", "Bytes of the log.", store.log_bytes()),
        ("unsynced_bytes", "Bytes of the log that wait for a sync.", store.unsynced_bytes),
        ("index_bytes", "Bytes of filters and indexes in memory.", store.index_bytes),
        ("cache_bytes", "Bytes in the block cache.", store.cache.0),
        ("full", "1 while writes are refused for want of room.", store.full.into()),
        ("jobs", "Jobs under way.", store.jobs),
        ("snapshots", "Snapshots that are held.", store.snapshots),
        ("suspects", "Ranges of keys of which something was lost.", store.suspects.len() as u64),
    ] {
        text.one(&format!("kv_storage_{name}"), "gauge", help, value);
    }
    let levels = |value: fn(&LevelView) -> u64| -> Vec<_> {
        let row = |(level, view)| (format!("{{level=\"{level}\"}}"), value(view));
        store.levels.iter().enumerate().map(row).collect()
    };
    let tables = levels(|level| level.tables.len() as u64);
    text.family("kv_storage_tables", "gauge", "Tables by level.", &tables);
    text.family("kv_storage_table_bytes", "gauge", "Their bytes.", &levels(LevelView::bytes));
    let (spared, vain, found) = store.filter;
    let (_, hits, misses) = store.cache;
    let (user, log, tables) = store.written;
    for (name, label, help, rows) in [
        (
            "filter_lookups_total",
            "result",
            "Lookups in tables that the filter spared, let pass in vain, and that found a version.",
            &[("spared", spared), ("false_positive", vain), ("found", found)][..],
        ),
        (
            "cache_lookups_total",
            "result",
            "Lookups of blocks that the cache answered and did not.",
            &[("hit", hits), ("miss", misses)],
        ),
        (
            "written_bytes_total",
            "to",
            "Bytes of batches, and what of them went to the log and to tables.",
            &[("batches", user), ("log", log), ("tables", tables)],
        ),
    ] {
        let row = |(value, count): &(&str, u64)| (format!("{{{label}=\"{value}\"}}"), *count);
        let rows: Vec<_> = rows.iter().map(row).collect();
        text.family(&format!("kv_storage_{name}"), "counter", help, &rows);
    }
    let thousandths = |value: Option<u64>| value.map_or(f64::NAN, |value| value as f64 / 1_000.0);
    for (name, help, value) in [
        (
            "kv_storage_write_amplification",
            "Bytes written for each byte of batches.",
            store.write_amplification(),
        ),
        (
            "kv_storage_space_amplification",
            "Bytes of tables for each byte of the deepest level.",
            store.space_amplification(),
        ),
    ] {
        text.one(name, "gauge", help, thousandths(value));
    }
}

/// Families of metrics as text.
#[derive(Default)]
struct Families(String);

impl Families {
    fn family(&mut self, name: &str, kind: &str, help: &str, rows: &[(String, impl Display)]) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in rows {
            let _ = writeln!(self.0, "{name}{labels} {value}");
        }
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help, &[(String::new(), value)]);
    }
}
