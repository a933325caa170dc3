//! The commands of a server: nodes that run in the background of this machine.
//!
//! A node is in the registry before its process starts, so that no process is ever without an entry,
//! whatever happens to `kv mgmt` meanwhile. The registry is locked only while it changes and processes
//! start; waiting for nodes is done without the lock.

mod home;
mod list;
mod look;
mod process;
mod registry;

use std::net::{TcpListener, TcpStream};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use self::home::Home;
use self::registry::{Entry, Registry};
use super::MgmtArgs;
use crate::cli::{End, output, say};
use crate::config::{Address, default_name};

/// How long a node may take to become a member.
const START_WAIT: Duration = Duration::from_secs(60);
/// How long the others may take to give a new member its places.
const SETTLE_WAIT: Duration = Duration::from_secs(15);
/// How long a node may take to stop, or a killed one to end.
const STOP_WAIT: Duration = Duration::from_secs(15);
/// How long to wait between two looks.
const LOOK: Duration = Duration::from_millis(30);
/// How many members a new node is told of.
const SEEDS: usize = 3;
/// How much of its log is shown when a node does not start.
const LOG_LINES: usize = 3;

/// Does one of them.
pub(super) fn run(command: &str, args: &MgmtArgs) -> Result<(), End> {
    if command == "list" {
        return list::list(&Home::open(args.home.as_deref())?);
    }
    let host = args.host()?;
    let home = Home::open(args.home.as_deref())?;
    match command {
        "start" => start(&home, &host),
        "join" => join(&home, &host),
        "stop" => end(&home, &host, Signal::TERM, "stopped"),
        "kill" => end(&home, &host, Signal::KILL, "killed"),
        _ => restart(&home, &host),
    }
}

/// A node that founds a cluster, or that brings back one whose data is there and whose entry is not.
fn start(home: &Home, host: &Address) -> Result<(), End> {
    let (entry, found, child) = Registry::change(home, |registry, lock| {
        must_be_free(home, registry, host)?;
        let name = registry.free_name(&default_name(host.port));
        let found = home.data(&name).exists();
        let entry = Entry { name, address: host.clone(), join: Vec::new() };
        registry.nodes.push(entry.clone());
        registry.save(home, lock)?;
        Ok((entry.clone(), found, process::start(home, &entry)))
    })?;
    let members = new_member(home, &entry, child)?;
    let data = if found { " with the data that was there" } else { "" };
    tell(&entry, &format!("runs{data}, in a cluster of {}", members_words(members)))
}

/// A node that joins a cluster.
fn join(home: &Home, host: &Address) -> Result<(), End> {
    let through = host.reachable();
    let seeds = match look::at(&through.to_string()) {
        Some(seen) if seen.cluster.is_none() => {
            return Err(End::failed(format!(
                "{} at {host} is not a member of a cluster yet; nothing was changed, try again shortly",
                seen.name
            )));
        }
        Some(_) => None,
        None => Some(seeds(home)?),
    };
    let (entry, child) = Registry::change(home, |registry, lock| {
        let (address, join) = match seeds {
            None => (free_address(registry, &through)?, vec![through.to_string()]),
            Some(seeds) => (host.clone(), seeds),
        };
        must_be_free(home, registry, &address)?;
        let name = registry.free_name(&default_name(address.port));
        let data = home.data(&name);
        if data.exists() {
            return Err(End::failed(format!(
                "{} holds the data of an earlier node, which would come back instead of joining; nothing was changed. Move it away, or let kv mgmt -r server -c start -h {address} bring that node back",
                data.display()
            )));
        }
        let entry = Entry { name, address, join };
        registry.nodes.push(entry.clone());
        registry.save(home, lock)?;
        Ok((entry.clone(), process::start(home, &entry)))
    })?;
    let members = new_member(home, &entry, child)?;
    if !settled(&entry.join, members) {
        say(&format!(
            "{} is a member, and the cluster is still giving it its places: until then losing another node may stop writes",
            entry.name
        ));
    }
    tell(&entry, &format!("runs, in a cluster of {}", members_words(members)))
}

/// Ends the process of a node with a signal.
fn end(home: &Home, host: &Address, signal: Signal, how: &str) -> Result<(), End> {
    let entry = Registry::load(home)?.must_have(host)?.clone();
    let process = process::find(home, &entry)?.ok_or_else(|| {
        End::failed(format!(
            "{} at {} does not run; kv mgmt -r server -c restart -h {} brings it back",
            entry.name, entry.address, entry.address
        ))
    })?;
    ended(&entry, &process, signal)?;
    tell(&entry, &format!("is {how}; it stays a member and keeps its data"))
}

fn ended(entry: &Entry, process: &process::Process, signal: Signal) -> Result<(), End> {
    process.signal(signal)?;
    if process.ended(STOP_WAIT)? {
        return Ok(());
    }
    Err(End::failed(format!(
        "{} has not ended within {STOP_WAIT:?}; kv mgmt -r server -c kill -h {} ends it at once",
        entry.name, entry.address
    )))
}

/// Starts a node again, after stopping it if it runs.
fn restart(home: &Home, host: &Address) -> Result<(), End> {
    let entry = Registry::load(home)?.must_have(host)?.clone();
    if let Some(process) = process::find(home, &entry)? {
        ended(&entry, &process, Signal::TERM)?;
    }
    let child = Registry::change(home, |_, _| {
        // Another kv mgmt may have been faster.
        if process::find(home, &entry)?.is_some() {
            return Ok(None);
        }
        process::start(home, &entry).map(Some)
    })?;
    let members = member(home, &entry, child).map_err(|trouble| match trouble {
        Trouble::Ended(end) | Trouble::Late(end) => end,
    })?;
    tell(&entry, &format!("runs again, with its data, in a cluster of {}", members_words(members)))
}

/// That a new node can be put there.
fn must_be_free(home: &Home, registry: &Registry, address: &Address) -> Result<(), End> {
    let Some(entry) = registry.at(address) else { return Ok(()) };
    let what = if process::find(home, entry)?.is_some() {
        "and runs; kv mgmt -r server -c list shows all nodes"
    } else {
        "and does not run; kv mgmt -r server -c restart brings it back with its data"
    };
    Err(End::failed(format!(
        "{} is in the registry at {} already, {what}",
        entry.name, entry.address
    )))
}

/// Members of the one cluster that nodes of the registry are running.
fn seeds(home: &Home) -> Result<Vec<String>, End> {
    let registry = Registry::load(home)?;
    let mut seeds = Vec::new();
    let mut clusters = std::collections::BTreeSet::new();
    for (entry, seen) in registry.nodes.iter().zip(list::all(&registry.nodes)) {
        if let Some(cluster) = seen.and_then(|seen| seen.cluster) {
            clusters.insert(cluster.cluster);
            seeds.push(entry.address.reachable().to_string());
        }
    }
    match clusters.len() {
        0 => Err(End::failed(
            "no node of the registry runs, so there is no cluster to join; nothing was changed. kv mgmt -r server -c list shows all nodes, -c restart brings one back, -c start starts the first",
        )),
        1 => {
            seeds.truncate(SEEDS);
            Ok(seeds)
        }
        count => Err(End::failed(format!(
            "nodes of the registry run in {count} clusters; nothing was changed, say with -h which member to join through"
        ))),
    }
}

/// An address for a new node beside a member: of this machine, as the member's sees it, and behind its
/// port.
fn free_address(registry: &Registry, member: &Address) -> Result<Address, End> {
    let own = TcpStream::connect(member.to_string()).and_then(|stream| stream.local_addr());
    let own = own.map_err(|error| {
        End::failed(format!("{member} cannot be reached any more: {error}; nothing was changed"))
    })?;
    let host = if own.is_ipv6() { format!("[{}]", own.ip()) } else { own.ip().to_string() };
    let free = |port: &u16| {
        let address = Address { host: host.clone(), port: *port };
        registry.at(&address).is_none() && TcpListener::bind((own.ip(), *port)).is_ok()
    };
    let port = (member.port.saturating_add(1)..u16::MAX).find(free).ok_or_else(|| {
        End::failed(format!(
            "no port behind {} is free on {host}; nothing was changed, start the node at an address of your choice with -c join -h",
            member.port
        ))
    })?;
    Ok(Address { host, port })
}

/// What a started node has not become.
enum Trouble {
    /// A process any more.
    Ended(End),
    /// A member in time; it goes on trying.
    Late(End),
}

/// Waits until a node that was just put into the registry is a member, and says of how many. One that
/// does not even start leaves the registry again.
fn new_member(home: &Home, entry: &Entry, child: Result<Child, End>) -> Result<u64, End> {
    let result = child.map_err(Trouble::Ended).and_then(|child| member(home, entry, Some(child)));
    match result {
        Ok(members) => Ok(members),
        Err(Trouble::Late(end)) => Err(end),
        Err(Trouble::Ended(end)) => {
            Registry::change(home, |registry, lock| {
                registry.nodes.retain(|other| other != entry);
                registry.save(home, lock)
            })?;
            Err(end)
        }
    }
}

/// Waits until a node is a member, and says of how many. `child` is its process where this one is the
/// parent.
fn member(home: &Home, entry: &Entry, mut child: Option<Child>) -> Result<u64, Trouble> {
    let deadline = Instant::now() + START_WAIT;
    let address = entry.address.reachable().to_string();
    loop {
        if let Some(Ok(Some(status))) = child.as_mut().map(Child::try_wait) {
            return Err(Trouble::Ended(End::failed(format!(
                "{} has not started ({status}); its log, {}, ends with:{}",
                entry.name,
                home.log(&entry.name).display(),
                log_end(home, entry)
            ))));
        }
        let seen = look::at(&address).filter(|seen| seen.name == entry.name);
        if let Some(cluster) = seen.and_then(|seen| seen.cluster) {
            return Ok(cluster.members);
        }
        if deadline < Instant::now() {
            return Err(Trouble::Late(End::failed(format!(
                "{} runs at {} and has not become a member within {START_WAIT:?}; it goes on trying, which needs a majority of the cluster (kv mgmt -r server -c list shows it, its log is {})",
                entry.name,
                entry.address,
                home.log(&entry.name).display()
            ))));
        }
        thread::sleep(LOOK);
    }
}

/// Waits until a member that was there before sees all members in their places; false if that takes long.
fn settled(through: &[String], members: u64) -> bool {
    let deadline = Instant::now() + SETTLE_WAIT;
    loop {
        if through.iter().filter_map(|seed| look::at(seed)).any(|seen| seen.settled(members)) {
            return true;
        }
        if deadline < Instant::now() {
            return false;
        }
        thread::sleep(LOOK);
    }
}

fn log_end(home: &Home, entry: &Entry) -> String {
    let log = std::fs::read(home.log(&entry.name)).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    let last = lines.iter().skip(lines.len().saturating_sub(LOG_LINES));
    last.map(|line| format!("\n  | {line}")).collect()
}

fn tell(entry: &Entry, what: &str) -> Result<(), End> {
    output(format!("{} at {} {what}\n", entry.name, entry.address).as_bytes())
}

fn members_words(members: u64) -> String {
    if members == 1 { "one node".into() } else { format!("{members} nodes") }
}
