//! `list`: every node with its health and role.

use std::thread;

use super::home::Home;
use super::look::{self, Seen};
use super::process;
use super::registry::{Entry, Registry};
use crate::cli::{End, output, say};
use crate::table::Table;

/// Prints the table.
pub(super) fn list(home: &Home) -> Result<(), End> {
    let registry = Registry::load(home)?;
    if registry.nodes.is_empty() {
        say("there are no nodes; kv mgmt -r server -c start -h 127.0.0.1:7101 starts one");
    }
    let seen = all(&registry.nodes);
    let mut table = Table::new(&["NAME", "ADDRESS", "HEALTH", "ROLE"]);
    let sharded = seen.iter().flatten().any(|seen| seen.shards().next().is_some());
    for (entry, seen) in registry.nodes.iter().zip(&seen) {
        let health = match seen {
            Some(seen) if seen.cluster.is_some() => "healthy",
            Some(_) => "joining",
            None if process::find(home, entry)?.is_some() => "silent",
            None => "down",
        };
        let role = seen.as_ref().map_or("-", |seen| role(seen, sharded));
        table.row([&entry.name, &entry.address.to_string(), health, role].map(str::to_owned));
    }
    output(table.to_string().as_bytes())
}

/// What each node says, all asked at once.
pub(super) fn all(entries: &[Entry]) -> Vec<Option<Seen>> {
    let ask = |entry: &Entry| {
        let seen = look::at(&entry.address.reachable().to_string());
        // Another node at its address is not it.
        seen.filter(|seen| seen.name == entry.name)
    };
    thread::scope(|scope| {
        let asked: Vec<_> = entries.iter().map(|entry| scope.spawn(move || ask(entry))).collect();
        asked.into_iter().map(|asked| asked.join().ok().flatten()).collect()
    })
}

/// Whether a node leads a shard of the strong keyspace. Where no node has one, who leads the cluster's
/// metadata counts.
fn role(seen: &Seen, sharded: bool) -> &'static str {
    let counts = |metadata: bool| metadata != sharded;
    let leads = seen.groups.iter().any(|group| group.leads && counts(group.is_metadata()));
    if leads { "leader" } else { "follower" }
}
