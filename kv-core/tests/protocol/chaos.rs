//! Clusters that form, merge and grow while nodes restart, links fail and messages are lost.

use std::cell::RefCell;

use kv_core::id::RequestId;
use kv_core::io::Founding;
use kv_core::request::Request;
use kv_core::rng::{Ratio, Rng};
use kv_core::settings::Setting;

use crate::net::{Net, get, id, is_written, put, values};

const NODES: usize = 3;

/// A run of one seed: faults for a while, then all is well again.
struct Chaos {
    net: Net,
    rng: Rng,
    up: [bool; NODES],
    /// Where each write was asked for, and its key.
    writes: Vec<(usize, RequestId, String)>,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let loss = [0, 30, 200][(seed % 3) as usize];
        let mut rng = Rng::new(seed);
        let mut net = Net::new();
        let way = rng.below(3);
        for index in 0..NODES {
            let founding = match way {
                0 => Founding::Alone,
                1 if index > 0 => Founding::Join,
                1 => Founding::Alone,
                _ => Founding::Listed { nodes: (0..NODES).map(id).collect() },
            };
            net.add_with(founding, seed);
        }
        let losses = RefCell::new(Rng::stream(seed, 1));
        net.hold = Box::new(move |_| losses.borrow_mut().chance(Ratio::per_mille(loss)));
        Self { net, rng, up: [true; NODES], writes: Vec::new() }
    }

    fn fault(&mut self, step: u64) {
        let [a, b] = [self.rng.below(NODES as u64) as usize, self.rng.below(NODES as u64) as usize];
        match self.rng.below(9) {
            0 if self.up[a] => {
                self.net.crash(a);
                self.up[a] = false;
            }
            0 | 1 if !self.up[a] => {
                self.net.start(a);
                self.up[a] = true;
            }
            2 if a != b && self.up[a] && self.up[b] => self.net.unlink(a, b),
            3 | 4 if a != b && self.up[a] && self.up[b] => self.net.link(a, b),
            5 if a != b && self.up[a] => {
                self.net.request(a, Request::AddPeer { peer: id(b) });
            }
            6 if self.up[a] => {
                let replicas = self.rng.between(2, 4);
                let changes = vec![(Setting::Replicas, replicas)];
                self.net.request(a, Request::Set { changes });
            }
            _ if self.up[a] => {
                let key = format!("k{step}");
                let request = self.net.request(a, put(&key, "v"));
                self.writes.push((a, request, key));
            }
            _ => {}
        }
        let pause = self.rng.below(600);
        self.net.run(pause);
    }

    /// Ends all faults and lets the nodes find together.
    fn heal(&mut self) {
        self.net.hold = Box::new(|_| false);
        for index in 0..NODES {
            if !self.up[index] {
                self.net.start(index);
                self.up[index] = true;
            }
        }
        self.net.link_all();
        self.net.run(15_000);
        for index in 1..NODES {
            let together = |net: &Net| {
                net.layout(0).is_some_and(|layout| layout.members.contains_key(&id(index)))
            };
            for from in [0, index, 0, index] {
                if !together(&self.net) {
                    let peer = id(if from == 0 { index } else { 0 });
                    self.net.ask(from, Request::AddPeer { peer }).ok();
                    self.net.run(2_000);
                }
            }
        }
        self.net.run(15_000);
    }
}

#[test]
fn whatever_happened_on_the_way_all_end_in_one_cluster_that_holds_every_acknowledged_write() {
    let mut acked = 0;
    for seed in 0..300 {
        let mut chaos = Chaos::new(seed);
        for step in 0..40 {
            chaos.fault(step);
        }
        chaos.heal();
        let layout = chaos.net.layout(0);
        for index in 0..NODES {
            let mine = chaos.net.layout(index);
            assert_eq!(mine, layout, "seed {seed} n{}", index + 1);
            let mine = mine.unwrap_or_else(|| panic!("seed {seed}: n{} is in none", index + 1));
            assert_eq!(mine.moving, None, "seed {seed}");
            assert_eq!(mine.members.len(), NODES, "seed {seed}");
        }
        for (node, request, key) in &chaos.writes {
            if is_written(chaos.net.answer(*node, *request)) {
                acked += 1;
                for index in 0..NODES {
                    let read = chaos.net.ask(index, get(key));
                    assert_eq!(values(&read), ["v"], "seed {seed} {key} n{}", index + 1);
                }
            }
        }
    }
    assert!(acked > 1_000, "the faults left {acked} acknowledged writes to look for");
}
