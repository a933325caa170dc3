//! The strong keyspace of real nodes while these are killed, stopped, restarted and exchanged.
//!
//! Clients go on all the time. `kv check` judges what they saw: one order explains it; and every key that
//! was written once and acknowledged is there at the end. `KILLS` sets how often nodes are killed, and
//! `KV_TORTURE_REPORT` names a file for the report; `cargo xtask torture` sets both.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use kv_core::rng::Rng;
use kv_tests::cluster::Cluster;
use kv_tests::history::Outcome;
use kv_tests::process::{NodeProcess, eventually};
use kv_tests::strong_load::{Load, Seen};

/// How many writes prove that a cluster is at work.
const PROOF: u64 = 40;

/// How often nodes are killed if nothing else is said.
const KILLS: u64 = 10;

fn load(cluster: &Cluster, seed: u64) -> Load {
    let load = Load::start(addresses(&cluster.nodes), seed);
    load.gets_on("at first", PROOF);
    load
}

fn addresses(nodes: &[NodeProcess]) -> Vec<String> {
    nodes.iter().map(|node| node.address.clone()).collect()
}

/// Has the history judged; returns what was seen, for people.
fn judge(name: &str, seen: &Seen) -> String {
    let verdict = seen.history().judge(&history_file(name));
    let history = seen.history();
    let [ok, failed, unknown] =
        [Outcome::Ok, Outcome::Failed, Outcome::Unknown].map(|outcome| history.count(outcome));
    assert!(ok > 200, "only {ok} operations succeeded; there was no load");
    let words = format!(
        "{ok} operations succeeded, {failed} changed nothing, {unknown} are unknown; {} keys were written once, acknowledged, and found at the end\n{}",
        seen.owned,
        verdict.trim_end()
    );
    note(name, &words);
    words
}

#[expect(clippy::print_stderr, reason = "it is what the report of a long run is made of")]
fn note(name: &str, words: &str) {
    eprintln!("{name}: {words}");
}

fn history_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("torture-{name}.jsonl"))
}

#[test]
fn kills() {
    let kills = std::env::var("KILLS").map_or(KILLS, |kills| kills.parse().expect("a number"));
    let begin = Instant::now();
    let mut cluster = Cluster::listed(&[0, 1, 2]);
    let load = load(&cluster, 1);
    let mut rng = Rng::new(1);
    // How often one, two and three nodes were killed together.
    let mut struck = [0_u64; 3];
    let mut killed = 0;
    while killed < kills {
        let together = match rng.below(10) {
            0 => 3,
            1 => 2,
            _ => 1,
        };
        let first = rng.below(3) as usize;
        let victims: Vec<usize> = (0..together).map(|more| (first + more) % 3).collect();
        for &victim in &victims {
            cluster.nodes[victim].kill();
        }
        if together == 1 {
            load.gets_on("without the node that was killed", PROOF);
        }
        for &victim in &victims {
            cluster.nodes[victim].start();
        }
        for &victim in &victims {
            cluster.nodes[victim].healthy();
        }
        load.gets_on("when all are back", PROOF);
        load.exchange_keys();
        struck[together - 1] += 1;
        killed += together as u64;
    }
    let words = judge("kills", &load.finish());
    if let Some(report) = std::env::var_os("KV_TORTURE_REPORT") {
        let [one, two, three] = struck;
        let text = format!(
            "Three nodes, {killed} times `kill -9` under load: {one} times one of them, {two} times two at once, {three} times all.\n{words}\nIt took {} s.\n",
            begin.elapsed().as_secs()
        );
        fs::write(report, text).expect("the report can be written");
    }
}

#[test]
fn each_node_in_turn_is_cut_off_and_comes_back() {
    let cluster = Cluster::listed(&[0, 1, 2]);
    let load = load(&cluster, 2);
    for cut in 0..3 {
        // One of them leads: when it wakes up, it still believes so.
        cluster.nodes[cut].pause();
        load.gets_on("by the others", PROOF);
        cluster.nodes[cut].resume();
        load.gets_on("when it is back", PROOF);
        load.exchange_keys();
    }
    judge("cut-off", &load.finish());
}

#[test]
fn without_a_majority_nothing_is_acknowledged() {
    let cluster = Cluster::listed(&[0, 1, 2]);
    let load = load(&cluster, 3);
    for left in 0..3 {
        let stopped = [(left + 1) % 3, (left + 2) % 3];
        stopped.iter().for_each(|&index| cluster.nodes[index].pause());
        let refused = |key: &str| {
            let node = &cluster.nodes[left];
            eventually(&format!("{} refuses a write", node.name), || {
                let answer = node.put(&format!("/v1/strong/keys/{key}"), b"x");
                if matches!(answer.status, 503 | 504) { Ok(()) } else { answer.is(503).map(drop) }
            });
        };
        // What was acknowledged at the last moment is told by then.
        refused("alone-1");
        let before = load.acknowledged();
        refused("alone-2");
        assert_eq!(load.acknowledged(), before, "acknowledged by one of three");
        stopped.iter().for_each(|&index| cluster.nodes[index].resume());
        load.gets_on("by all again", PROOF);
        load.exchange_keys();
    }
    judge("majority", &load.finish());
}

#[test]
fn everything_stops_and_starts_again() {
    let mut cluster = Cluster::listed(&[0, 1, 2]);
    let load = load(&cluster, 4);
    for _ in 0..2 {
        for node in &mut cluster.nodes {
            assert!(node.stop("TERM").success(), "{} stops cleanly", node.name);
        }
        for node in &mut cluster.nodes {
            node.start();
        }
        load.gets_on("after the start", PROOF);
        load.exchange_keys();
    }
    judge("restart", &load.finish());
}

#[test]
fn all_members_are_exchanged_under_load() {
    let mut cluster = Cluster::listed(&[0, 1, 2]);
    let load = load(&cluster, 5);
    for members in 4..=5 {
        cluster.join();
        cluster.settled(members);
        load.use_addresses(addresses(&cluster.nodes));
        load.gets_on("with one more", PROOF);
        load.exchange_keys();
    }
    for (gone, left) in (0..3).zip([4, 3, 2]) {
        load.use_addresses(addresses(&cluster.nodes[gone + 1..]));
        let path = format!("/v1/members/{}", cluster.nodes[gone].name);
        eventually("the member is let go", || {
            let answer = cluster.nodes[3].delete(&path);
            // When it is asked again, it may be gone already.
            if answer.status == 404 { Ok(()) } else { answer.is(200).map(drop) }
        });
        cluster.nodes[gone].kill();
        cluster.settled(left);
        load.gets_on("with one less", PROOF);
        load.exchange_keys();
    }
    judge("exchange", &load.finish());
}
