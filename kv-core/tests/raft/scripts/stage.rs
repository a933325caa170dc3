//! The stage on which the scripts are played; `scripts.rs` has the list of commands.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use goldenscript::{Command, Context, Runner};
use kv_core::id::{Incarnation, Index, NodeId, Replica, Term};
use kv_core::message::raft::{EntryId, RaftBody, RaftMessage};
use kv_core::ordered::Set;
use kv_core::raft::Limits;
use kv_core::sim::action::command::span_of;

use super::filter::{Filter, machine, machines};
use super::forge::{self, Pairs, number};
use super::steps::{
    Before, GROUP, compact, cut, deliver, hand, saves_at_once, start, step, sync, tell, tick,
    timeout,
};
use super::words;
use crate::harness::network::Flying;
use crate::harness::{Cluster, Config};

/// More steps than this are no way to a fixed point.
const STEPS_MAX: usize = 2_000;

/// A script being played.
#[derive(Default)]
pub(crate) struct Stage {
    cluster: Option<Cluster>,
    /// Copies of messages, by the names a script gave them.
    kept: BTreeMap<String, Vec<Flying>>,
}

type Told = Result<String, Box<dyn Error>>;
type Done = Result<(), Box<dyn Error>>;

/// A command, taken apart.
struct Words<'a> {
    name: &'a str,
    words: Vec<&'a str>,
    pairs: Pairs<'a>,
    tags: &'a BTreeSet<String>,
}

impl Runner for Stage {
    type Command = Command;

    fn run(&mut self, command: &Command, context: &Context) -> Told {
        let mut args = command.consume_args();
        let mut words = Vec::new();
        while let Some(word) = args.next_pos() {
            words.push(word);
        }
        let mut pairs = BTreeMap::new();
        while let Some((key, value)) = args.next_key() {
            pairs.insert(key, value);
        }
        let words = Words { name: &command.name, words, pairs, tags: &context.tags };
        let mut out = Vec::new();
        self.act(&words, &mut out)?;
        match &self.cluster()?.objection {
            Some(objection) => Err(format!("{}\n{objection}", out.join("\n")).into()),
            None => Ok(out.join("\n")),
        }
    }
}

impl Stage {
    fn act(&mut self, command: &Words<'_>, out: &mut Vec<String>) -> Done {
        match command.name {
            "cluster" => self.begin(command),
            "setup" => self.setup(command),
            "campaign" => self.each(command, out, |cluster, number| {
                cluster.campaign(number, GROUP);
            }),
            "timeout" => self.each(command, out, timeout),
            "tick" => self.each(command, out, tick),
            "deliver" => self.deliver(command, out),
            "drop" => self.drop_messages(command, out),
            "flying" => self.flying(command, out),
            "keep" => self.keep(command, out),
            "again" => self.again(command, out),
            "send" => self.send(command, out),
            "sync" => self.sync(command, out),
            "stabilize" => self.stabilize(command, out),
            "run" => self.pass(command, out),
            "propose" => self.propose(command, out),
            "read" => self.each(command, out, |cluster, number| cluster.read(number, GROUP)),
            "change" => self.change(command, out),
            "transfer" => self.transfer(command, out),
            "crash" => self.each(command, out, Cluster::crash),
            "restart" => self.each(command, out, start),
            "wipe" => self.each(command, out, Cluster::wipe),
            "damage" => self.each(command, out, |cluster, number| {
                cluster.host_mut(number).turn_a_bit_over();
            }),
            "cut" => self.cut(command),
            "partition" => self.partition(command),
            "heal" => {
                self.cluster_mut()?.network.heal();
                Ok(())
            }
            "compact" => self.each(command, out, compact),
            "lose" => self.each(command, out, |cluster, number| cluster.lose_state(number, GROUP)),
            "log" => self.logs(command, out),
            "state" => self.states(command, out),
            "dropped" => self.dropped(command, out),
            other => Err(format!("no command is called {other}").into()),
        }
    }

    fn cluster(&self) -> Result<&Cluster, Box<dyn Error>> {
        self.cluster.as_ref().ok_or_else(|| "there is no cluster yet".into())
    }

    fn cluster_mut(&mut self) -> Result<&mut Cluster, Box<dyn Error>> {
        self.cluster.as_mut().ok_or_else(|| "there is no cluster yet".into())
    }

    /// The machines that a command names; all, if it names none.
    fn machines(&self, command: &Words<'_>) -> Result<Vec<u64>, Box<dyn Error>> {
        if command.words.is_empty() {
            return Ok(self.cluster()?.numbers().collect());
        }
        command.words.iter().map(|word| machine(word)).collect()
    }

    /// Replicas in one word: those there are now, or `n1.2` for that of a certain disk.
    fn replicas(&self, list: Option<&&str>) -> Result<Set<Replica>, Box<dyn Error>> {
        let Some(list) = list.filter(|list| !list.is_empty()) else { return Ok(Set::new()) };
        let cluster = self.cluster()?;
        let replica = |word: &str| match word.split_once('.') {
            Some((name, disk)) => {
                let node = machine(name)?;
                let incarnation = Incarnation(1_000 * node + disk.parse::<u64>()?);
                Ok(Replica { node: NodeId(node), incarnation })
            }
            None => Ok(cluster.replica(machine(word)?)),
        };
        list.split('-').map(replica).collect()
    }

    fn replica(&self, word: &str) -> Result<Replica, Box<dyn Error>> {
        self.replicas(Some(&word))?.pop_first().ok_or_else(|| "nobody is named".into())
    }
}

/// What commands do.
impl Stage {
    fn begin(&mut self, command: &Words<'_>) -> Done {
        let pairs = &command.pairs;
        let hosts = number(pairs, "nodes")?;
        let founders =
            if pairs.contains_key("founders") { number(pairs, "founders")? } else { hosts };
        let mut limits = Limits::default();
        if pairs.contains_key("append_bytes") {
            limits.append_bytes_max = number(pairs, "append_bytes")?;
        }
        if pairs.contains_key("in_flight") {
            limits.in_flight_max = number(pairs, "in_flight")?;
        }
        if pairs.contains_key("chunks") {
            limits.chunks_in_flight = number(pairs, "chunks")?;
        }
        let seed = number(pairs, "seed")?;
        let mut cluster =
            Cluster::new(Config { seed, hosts, founders, limits, ..Config::default() });
        for number in cluster.numbers() {
            saves_at_once(&mut cluster, number);
        }
        cluster.stabilize();
        (self.cluster, self.kept) = (Some(cluster), BTreeMap::new());
        Ok(())
    }

    /// Writes a log to a disk by way of a message that a leader might have sent, and starts on it.
    fn setup(&mut self, command: &Words<'_>) -> Done {
        let [name, terms] = command.words[..] else { return Err("setup n1 1-1-2".into()) };
        let me = machine(name)?;
        let terms: Vec<u64> = terms.split('-').map(str::parse).collect::<Result<_, _>>()?;
        let last = terms.last().copied().unwrap_or_default();
        let term =
            if command.pairs.contains_key("term") { number(&command.pairs, "term")? } else { last };
        let ids =
            (1..).zip(terms).map(|(index, term)| EntryId { term: Term(term), index: Index(index) });
        let entries = ids.map(forge::entry).collect();
        let body = RaftBody::Append { prev: EntryId::default(), entries, commit: Index(0) };
        let cluster = self.cluster_mut()?;
        let other = cluster.replica(if me == 1 { 2 } else { 1 });
        hand(cluster, other, me, (cluster.replica(me).incarnation, Term(term)), body)?;
        cluster.end_sync(me);
        cluster.network.take(|flying| flying.from.node.0 == me);
        cluster.crash(me);
        start(cluster, me);
        cluster.end_sync(me);
        Ok(())
    }

    /// Does something on each machine that a command names.
    fn each(
        &mut self,
        command: &Words<'_>,
        out: &mut Vec<String>,
        act: impl Fn(&mut Cluster, u64),
    ) -> Done {
        let machines = self.machines(command)?;
        let cluster = self.cluster_mut()?;
        for number in machines {
            let what = format!("{}: {}", words::name(cluster.replica(number)), command.name);
            step(cluster, number, what, out, |cluster| act(cluster, number));
        }
        Ok(())
    }

    fn deliver(&mut self, command: &Words<'_>, out: &mut Vec<String>) -> Done {
        let filter = Filter::of(&command.pairs)?;
        let cluster = self.cluster_mut()?;
        for arrival in filter.pick(cluster) {
            deliver(cluster, arrival, out);
        }
        Ok(())
    }

    fn drop_messages(&mut self, command: &Words<'_>, out: &mut Vec<String>) -> Done {
        let filter = Filter::of(&command.pairs)?;
        let cluster = self.cluster_mut()?;
        for arrival in filter.pick(cluster) {
            let flying = cluster.network.flying.remove(&arrival);
            out.extend(flying.map(|flying| format!("{} | lost", words::flying(&flying))));
        }
        Ok(())
    }

    fn flying(&mut self, command: &Words<'_>, out: &mut Vec<String>) -> Done {
        let filter = Filter::of(&command.pairs)?;
        let cluster = self.cluster()?;
        let flying = &cluster.network.flying;
        out.extend(filter.pick(cluster).iter().map(|arrival| words::flying(&flying[arrival])));
        Ok(())
    }

    fn keep(&mut self, command: &Words<'_>, out: &mut Vec<String>) -> Done {
        let filter = Filter::of(&command.pairs)?;
        let name = command.words.first().ok_or("keep them under which name?")?;
        let cluster = self.cluster()?;
        let picked = filter.pick(cluster);
        let copies: Vec<Flying> =
            picked.iter().map(|arrival| cluster.network.flying[arrival].clone()).collect();
        out.push(format!("{} kept as {name}", copies.len()));
        self.kept.entry((*name).into()).or_default().extend(copies);
        Ok(())
    }

    fn again(&mut self, command: &Words<'_>, out: &mut Vec<String>) -> Done {
        let name = command.words.first().ok_or("which?")?;
        let mut copies = self.kept.get(*name).ok_or("nothing is kept under that name")?.clone();
        if command.tags.contains("backwards") {
            copies.reverse();
        }
        let cluster = self.cluster_mut()?;
        let (mut counts, mut lines) = (BTreeMap::new(), Vec::new());
        for copy in copies {
            let at = cluster.now;
            *counts.entry(copy.message.body.name()).or_insert(0) += 1;
            cluster.network.arrive_at(at, copy);
            let last = cluster.network.flying.range(..=(at, u64::MAX)).next_back();
            let arrival = last.map(|(arrival, _)| *arrival).ok_or("it is under way")?;
            deliver(cluster, arrival, &mut lines);
        }
        let told = lines.iter().filter(|line| line.contains(" | ") && !line.contains("nobody"));
        out.extend(told.cloned());
        let counts = counts.iter().map(|(kind, count)| format!("{count} {kind}"));
        out.push(format!("again: {}", counts.collect::<Vec<_>>().join(", ")));
        Ok(())
    }

    fn send(&mut self, command: &Words<'_>, out: &mut Vec<String>) -> Done {
        let [from, to, kind] = command.words[..] else { return Err("send n1 n2 KIND".into()) };
        let pairs = &command.pairs;
        let members = self.replicas(pairs.get("members"))?.into_iter().collect();
        let body = forge::body(kind, pairs, members)?;
        let (from, to, term) =
            (self.replica(from)?, self.replica(to)?, Term(number(pairs, "term")?));
        let message = RaftMessage { group: GROUP, to: to.incarnation, term, body: body.clone() };
        let what = words::flying(&Flying { from, to, message });
        let cluster = self.cluster_mut()?;
        let mut handed = Ok(());
        step(cluster, to.node.0, what, out, |cluster| {
            handed = hand(cluster, from, to.node.0, (to.incarnation, term), body);
        });
        handed
    }

    fn sync(&mut self, command: &Words<'_>, out: &mut Vec<String>) -> Done {
        let machines = self.machines(command)?;
        let cluster = self.cluster_mut()?;
        for number in machines {
            sync(cluster, number, out);
        }
        Ok(())
    }

    fn stabilize(&mut self, command: &Words<'_>, out: &mut Vec<String>) -> Done {
        let held = Filter::of(&command.pairs)?;
        let holds = ["from", "to", "kind"].iter().any(|name| command.pairs.contains_key(name));
        let cluster = self.cluster.as_mut().ok_or("there is no cluster yet")?;
        let name = command.pairs.get("keep");
        let mut kept = name.map(|name| self.kept.entry((*name).into()).or_default());
        for _ in 0..STEPS_MAX {
            let flying = &cluster.network.flying;
            let mut flying = flying.iter().filter(|(_, flying)| !(holds && held.matches(flying)));
            let next = flying.next().map(|(arrival, _)| *arrival);
            let syncing =
                cluster.numbers().find(|number| cluster.host(*number).sync_ends.is_some());
            match (next, syncing) {
                _ if cluster.objection.is_some() => return Ok(()),
                (Some(arrival), _) => {
                    if let Some(kept) = &mut kept {
                        kept.push(cluster.network.flying[&arrival].clone());
                    }
                    deliver(cluster, arrival, out);
                }
                (None, Some(number)) => sync(cluster, number, out),
                (None, None) => return Ok(()),
            }
        }
        Err("that comes to no end".into())
    }

    fn pass(&mut self, command: &Words<'_>, out: &mut Vec<String>) -> Done {
        let span = span_of(command.words.first().ok_or("how long?")?)?;
        let cluster = self.cluster_mut()?;
        let (before, refused) = (cluster.events.len(), cluster.clients.refused);
        cluster.run_for(span);
        for (_, number, _, event) in &cluster.events[before..] {
            out.push(format!("{} {}", words::name(cluster.replica(*number)), words::event(*event)));
        }
        if refused < cluster.clients.refused {
            out.push(format!("{} reads refused", cluster.clients.refused - refused));
        }
        Ok(())
    }

    fn propose(&mut self, command: &Words<'_>, out: &mut Vec<String>) -> Done {
        let [name] = command.words[..] else { return Err("propose n1".into()) };
        let (me, bytes) = (machine(name)?, number(&command.pairs, "bytes")?);
        let count = number::<u64>(&command.pairs, "count")?.max(1);
        let cluster = self.cluster_mut()?;
        for _ in 0..count {
            let before = Before::of(cluster, me);
            let what = match cluster.write(me, GROUP, bytes) {
                Ok(id) => format!("{name} proposes {id}"),
                Err(error) => format!("{name} proposes nothing: {}", words::refusal(&error)),
            };
            tell(cluster, me, what, &before, out);
        }
        Ok(())
    }

    fn change(&mut self, command: &Words<'_>, out: &mut Vec<String>) -> Done {
        let [name] = command.words[..] else { return Err("change n1 voters=n1-n2".into()) };
        let voters = self.replicas(command.pairs.get("voters"))?;
        let learners = self.replicas(command.pairs.get("learners"))?;
        let me = machine(name)?;
        let cluster = self.cluster_mut()?;
        let before = Before::of(cluster, me);
        let what = match cluster.change(me, GROUP, voters, learners) {
            Ok(()) => format!("{name} begins the change"),
            Err(error) => format!("{name} changes nothing: {}", words::refusal(&error)),
        };
        tell(cluster, me, what, &before, out);
        Ok(())
    }

    fn transfer(&mut self, command: &Words<'_>, out: &mut Vec<String>) -> Done {
        let [name, to] = command.words[..] else { return Err("transfer n1 n2".into()) };
        let (me, successor) = (machine(name)?, self.replica(to)?);
        let cluster = self.cluster_mut()?;
        let before = Before::of(cluster, me);
        let what = match cluster.transfer(me, GROUP, successor) {
            Ok(()) => format!("{name} hands on to {to}"),
            Err(error) => format!("{name} hands nothing on: {}", words::refusal(&error)),
        };
        tell(cluster, me, what, &before, out);
        Ok(())
    }

    fn cut(&mut self, command: &Words<'_>) -> Done {
        let pairs = &command.pairs;
        let (links, ways) = match (command.words.as_slice(), pairs.get("from"), pairs.get("to")) {
            ([one, other], None, None) => ((*one, *other), 2),
            ([], Some(from), Some(to)) => ((*from, *to), 1),
            _ => return Err("cut n1 n2, or cut from=n1 to=n2".into()),
        };
        let (from, to) = (machine(links.0)?, machine(links.1)?);
        let cluster = self.cluster_mut()?;
        cut(cluster, from, to);
        if ways == 2 {
            cut(cluster, to, from);
        }
        Ok(())
    }

    fn partition(&mut self, command: &Words<'_>) -> Done {
        let parts: Vec<Vec<u64>> =
            command.words.iter().map(|part| machines(part)).collect::<Result<_, _>>()?;
        let cluster = self.cluster_mut()?;
        cluster.network.heal();
        for from in &parts {
            for to in parts.iter().filter(|to| *to != from) {
                from.iter().for_each(|from| to.iter().for_each(|to| cut(cluster, *from, *to)));
            }
        }
        Ok(())
    }

    fn logs(&mut self, command: &Words<'_>, out: &mut Vec<String>) -> Done {
        let cluster = self.cluster()?;
        for number in self.machines(command)? {
            let name = words::name(cluster.replica(number));
            let group = cluster.group(number, GROUP);
            let log = group.map_or_else(|| " none".into(), |group| words::log(group.log()));
            out.push(format!("{name}:{log}"));
        }
        Ok(())
    }

    fn states(&mut self, command: &Words<'_>, out: &mut Vec<String>) -> Done {
        let cluster = self.cluster()?;
        for number in self.machines(command)? {
            let name = words::name(cluster.replica(number));
            out.push(match cluster.view(number, GROUP) {
                Some(view) => words::view(&view),
                None if cluster.runs(number) => format!("{name} knows nothing of the group"),
                None => format!("{name} is off"),
            });
        }
        Ok(())
    }

    fn dropped(&mut self, command: &Words<'_>, out: &mut Vec<String>) -> Done {
        let cluster = self.cluster()?;
        for number in self.machines(command)? {
            let Some(group) = cluster.group(number, GROUP) else { continue };
            let name = words::name(cluster.replica(number));
            for (what, count) in group.counters() {
                if let Some(reason) = what.strip_prefix("raft_dropped_") {
                    out.push(format!("{name} {reason}: {count}"));
                }
            }
        }
        Ok(())
    }
}
