//! Which nodes `kv mgmt` has started, in one file.
//!
//! The file is read without a lock and replaced as a whole under one, so a reader sees all of a change or
//! nothing of it, also after a loss of power. It holds what a node is started with and nothing that may
//! turn out wrong later: whether a node runs, and as which process, is looked up each time.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use serde_json::{Value, json};

use super::home::{Home, Lock};
use crate::cli::End;
use crate::config::Address;

/// The form of the file.
const VERSION: u64 = 1;

/// All nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Registry {
    /// In the order in which they came.
    pub(super) nodes: Vec<Entry>,
}

/// What a node is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its name, which no other has.
    pub(super) name: String,
    /// Where it listens, and no other does.
    pub(super) address: Address,
    /// Through whom it joins; nobody if it began as a cluster of its own.
    pub(super) join: Vec<String>,
}

impl Registry {
    /// Reads the file; no nodes if there is none.
    pub(super) fn load(home: &Home) -> Result<Self, End> {
        let path = home.registry();
        let damaged = |what: &str| {
            End::failed(format!(
                "the registry {} is damaged ({what}); nothing was changed. Mend it, or move it away: the nodes and their data stay, kv mgmt -r server -c start -h HOST takes a node that does not run in again with its data, and one that runs ends with SIGTERM",
                path.display()
            ))
        };
        match fs::read(&path) {
            Ok(bytes) => Self::parse(&bytes).map_err(|what| damaged(&what)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(End::failed(format!(
                "the registry {} cannot be read: {error}; nothing was changed",
                path.display()
            ))),
        }
    }

    /// Changes it, with no one else doing so meanwhile. An error changes nothing.
    pub(super) fn change<T>(
        home: &Home,
        change: impl FnOnce(&mut Self, &Lock) -> Result<T, End>,
    ) -> Result<T, End> {
        let lock = home.lock()?;
        change(&mut Self::load(home)?, &lock)
    }

    /// Makes it the content of the file, durably. Whoever holds the lock may.
    pub(super) fn save(&self, home: &Home, _: &Lock) -> Result<(), End> {
        replace(&home.registry(), self.text().as_bytes(), home.path()).map_err(|error| {
            End::failed(format!(
                "the registry {} cannot be written: {error}; nothing was changed",
                home.registry().display()
            ))
        })
    }

    /// The node at an address.
    pub(super) fn at(&self, address: &Address) -> Option<&Entry> {
        self.nodes.iter().find(|entry| place(&entry.address) == place(address))
    }

    /// The same, which must be there.
    pub(super) fn must_have(&self, address: &Address) -> Result<&Entry, End> {
        self.at(address).ok_or_else(|| {
            let all: Vec<String> = self.nodes.iter().map(|it| it.address.to_string()).collect();
            let all = if all.is_empty() { "none at all".into() } else { all.join(", ") };
            End::failed(format!(
                "the registry has no node at {address}; it has {all} (kv mgmt -r server -c list tells more)"
            ))
        })
    }

    /// A name that no node has, like this one.
    pub(super) fn free_name(&self, like: &str) -> String {
        let taken = |name: &str| self.nodes.iter().any(|entry| entry.name == name);
        let numbered = (2..).map(|number: u32| format!("{like}-{number}"));
        let mut names = std::iter::once(like.to_owned()).chain(numbered);
        names.find(|name| !taken(name)).unwrap_or_default()
    }

    fn text(&self) -> String {
        let node = |entry: &Entry| json!({ "name": entry.name, "address": entry.address.to_string(), "join": entry.join });
        let nodes: Vec<Value> = self.nodes.iter().map(node).collect();
        format!("{:#}\n", json!({ "version": VERSION, "nodes": nodes }))
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let document: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if document["version"] != VERSION {
            return Err(format!("its version is not {VERSION}"));
        }
        let nodes = document["nodes"].as_array().ok_or("it has no list of nodes")?;
        let mut registry = Self::default();
        for (number, node) in nodes.iter().enumerate() {
            let entry = Entry::parse(node).ok_or_else(|| format!("node {number} is none"))?;
            let twice = registry.nodes.iter().any(|other| other.name == entry.name);
            if twice || registry.at(&entry.address).is_some() {
                return Err(format!("node {number} is there twice"));
            }
            registry.nodes.push(entry);
        }
        Ok(registry)
    }
}

impl Entry {
    fn parse(node: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let join = node["join"].as_array()?.iter().map(text).collect::<Option<_>>()?;
        // The name stands in paths.
        let name = text(&node["name"]).filter(|name| crate::config::check_name(name).is_ok())?;
        Some(Self { name, address: Address::parse(node["address"].as_str()?).ok()?, join })
    }
}

/// What two ways to write one address of this machine have in common.
fn place(address: &Address) -> (String, u16) {
    let host = address.reachable().host.to_ascii_lowercase();
    (if host == "localhost" { "127.0.0.1".into() } else { host }, address.port)
}

/// Replaces a file by another, in one step that is durable.
fn replace(path: &Path, bytes: &[u8], folder: &Path) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, address: &str) -> Entry {
        let address = Address::parse(address).unwrap();
        Entry { name: name.into(), address, join: vec!["127.0.0.1:7101".into()] }
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(Some(folder.path())).unwrap();
        assert_eq!(Registry::load(&home).unwrap(), Registry::default());
        let nodes = vec![entry("a", "127.0.0.1:1"), entry("b", "[::1]:1")];
        let saved = Registry { nodes };
        saved.save(&home, &home.lock().unwrap()).unwrap();
        assert_eq!(Registry::load(&home).unwrap(), saved);
    }

    #[test]
    fn no_damage_is_taken_for_a_registry() {
        let whole = Registry { nodes: vec![entry("a", "127.0.0.1:1"), entry("b", "127.0.0.1:2")] };
        let text = whole.text();
        assert_eq!(Registry::parse(text.as_bytes()).unwrap(), whole);
        let end = text.trim_end().len();
        for cut in 0..end {
            Registry::parse(&text.as_bytes()[..cut]).unwrap_err();
        }
        for (from, to) in [
            ("\"version\": 1", "\"version\": 2"),
            ("\"b\"", "\"a\""),
            ("\"b\"", "\"../b\""),
            ("127.0.0.1:2", "localhost:1"),
            ("127.0.0.1:2", "nowhere"),
            ("\"nodes\"", "\"node\""),
            ("\"join\"", "\"joins\""),
        ] {
            Registry::parse(text.replace(from, to).as_bytes()).unwrap_err();
        }
    }

    #[test]
    fn one_address_may_be_written_in_several_ways() {
        let registry = Registry { nodes: vec![entry("a", "0.0.0.0:7101")] };
        for same in ["127.0.0.1:7101", "LOCALHOST:7101", "0.0.0.0:7101"] {
            assert!(registry.at(&Address::parse(same).unwrap()).is_some(), "{same}");
        }
        for other in ["127.0.0.1:7102", "10.0.0.1:7101"] {
            assert!(registry.at(&Address::parse(other).unwrap()).is_none(), "{other}");
        }
        assert_eq!(registry.free_name("b"), "b");
        assert_eq!(registry.free_name("a"), "a-2");
    }
}
