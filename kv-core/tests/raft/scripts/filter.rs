//! Which machines and messages a command means.

use std::error::Error;

use kv_core::id::Replica;

use super::forge::Pairs;
use crate::harness::Cluster;
use crate::harness::network::{Arrival, Flying};

/// Which messages are meant.
#[derive(Default)]
pub(super) struct Filter {
    from: Option<Vec<u64>>,
    to: Option<Vec<u64>>,
    kinds: Option<Vec<String>>,
    count: Option<usize>,
}

impl Filter {
    pub(super) fn of(pairs: &Pairs<'_>) -> Result<Self, Box<dyn Error>> {
        let get = |name: &str| pairs.get(name);
        Ok(Self {
            from: get("from").map(|list| machines(list)).transpose()?,
            to: get("to").map(|list| machines(list)).transpose()?,
            kinds: get("kind").map(|list| list.split('-').map(String::from).collect()),
            count: get("count").map(|count| count.parse()).transpose()?,
        })
    }

    pub(super) fn matches(&self, flying: &Flying) -> bool {
        let is = |list: &Option<Vec<u64>>, replica: Replica| {
            list.as_ref().is_none_or(|list| list.contains(&replica.node.0))
        };
        let kind = flying.message.body.name();
        let kinds = self.kinds.as_ref();
        is(&self.from, flying.from)
            && is(&self.to, flying.to)
            && kinds.is_none_or(|kinds| kinds.iter().any(|name| name == kind))
    }

    /// The messages meant that are under way now, the oldest first.
    pub(super) fn pick(&self, cluster: &Cluster) -> Vec<Arrival> {
        let all = cluster.network.flying.iter().filter(|(_, flying)| self.matches(flying));
        all.map(|(arrival, _)| *arrival).take(self.count.unwrap_or(usize::MAX)).collect()
    }
}

/// The number of a machine.
pub(super) fn machine(word: &str) -> Result<u64, Box<dyn Error>> {
    let number = word.strip_prefix('n').and_then(|number| number.parse().ok());
    number.ok_or_else(|| format!("{word} is no machine").into())
}

/// The numbers of several in one word.
pub(super) fn machines(list: &str) -> Result<Vec<u64>, Box<dyn Error>> {
    list.split('-').map(machine).collect()
}
