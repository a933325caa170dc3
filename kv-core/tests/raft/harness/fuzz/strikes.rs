//! What an attack can do.

use kv_core::id::{GroupId, Replica};
use kv_core::message::raft::RaftBody;
use kv_core::ordered::Set;
use kv_core::time::Micros;

use super::{Nemesis, Temper, voters_of};
use crate::harness::damage::Damage;

/// Something bad, or the end of something bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strike {
    Crash,
    Start,
    Restart,
    CrashLeader,
    Pause,
    Partition,
    OneWay,
    Heal,
    Weather,
    /// The leader is cut off or dies, and whoever was cut off before returns.
    Hunt,
    Change,
    /// The same, and the leader fails in the middle of it.
    FailChange,
    Transfer,
    HarmDisk,
    /// Something durable is lost.
    Damage,
    Wipe,
    Calm,
}

impl Strike {
    pub(super) const COUNT: usize = 17;

    /// All of them.
    pub(super) const ALL: [Self; Self::COUNT] = [
        Self::Crash,
        Self::Start,
        Self::Restart,
        Self::CrashLeader,
        Self::Pause,
        Self::Partition,
        Self::OneWay,
        Self::Heal,
        Self::Weather,
        Self::Hunt,
        Self::Change,
        Self::FailChange,
        Self::Transfer,
        Self::HarmDisk,
        Self::Damage,
        Self::Wipe,
        Self::Calm,
    ];
}

impl Nemesis {
    /// Something bad happens, or something bad ends.
    pub(super) fn strike(&mut self) {
        let number = self.any_host();
        let what = match self.draw_strike() {
            Strike::Crash => self.crash(number),
            Strike::Start => self.start(number),
            Strike::Restart => {
                self.crash(number);
                self.start(number)
            }
            Strike::CrashLeader => self.crash_leader(),
            Strike::Pause => {
                let paused = self.cluster.host(number).paused;
                self.cluster.pause(number, !paused && self.cluster.runs(number));
                "paused"
            }
            Strike::Partition => self.partition(),
            Strike::OneWay => {
                let other = self.any_host();
                self.cluster.network.cut(number, other);
                "one-way cut"
            }
            Strike::Heal => {
                self.cluster.network.heal();
                self.prey = None;
                if self.temper != Temper::Even {
                    self.weather();
                }
                "healed"
            }
            Strike::Weather => self.weather(),
            Strike::Hunt => self.hunt(),
            Strike::Change => {
                let group = self.any_group();
                self.change(group)
            }
            Strike::FailChange => self.fail_change(),
            Strike::Transfer => self.transfer(),
            Strike::HarmDisk => self.harm_disk(number),
            Strike::Damage => self.damage(number),
            Strike::Wipe => self.wipe(number),
            Strike::Calm => self.calm(number),
        };
        self.note(what);
    }

    fn draw_strike(&mut self) -> Strike {
        let strikes = self.temper.strikes();
        let all: u64 = strikes.iter().map(|(_, often)| often).sum();
        let mut left = self.rng.below(all);
        for (strike, often) in strikes {
            if left < often {
                return strike;
            }
            left -= often;
        }
        unreachable!("it was below the sum of all")
    }

    pub(super) fn crash(&mut self, number: u64) -> &'static str {
        self.cluster.crash(number);
        "crashed"
    }

    /// A machine is switched on. If it cannot read its disk, its owner may give it a new one.
    fn start(&mut self, number: u64) -> &'static str {
        if self.cluster.runs(number) {
            return "runs already";
        }
        self.cluster.start(number);
        if self.cluster.host(number).rotten && !self.cluster.runs(number) && self.rng.below(2) == 0
        {
            return self.begin_anew(number);
        }
        "started"
    }

    /// A machine whose disk is damaged returns with an empty one, as somebody else.
    pub(super) fn begin_anew(&mut self, number: u64) -> &'static str {
        self.cluster.wipe(number);
        self.cluster.start(number);
        "returned with an empty disk"
    }

    fn crash_leader(&mut self) -> &'static str {
        let group = self.any_group();
        if let Some(leader) = self.any_leader(group) {
            self.crash(leader);
            if self.rng.below(2) == 0 {
                self.start(leader);
            }
        }
        "leader crashed"
    }

    /// Some machines can no longer talk to the others.
    fn partition(&mut self) -> &'static str {
        let here: Vec<u64> = self.cluster.numbers().filter(|_| self.rng.below(3) == 0).collect();
        self.cut_off(&here);
        "partitioned"
    }

    fn cut_off(&mut self, here: &[u64]) {
        for &number in here {
            for other in self.cluster.numbers().filter(|other| !here.contains(other)) {
                self.cluster.network.cut(number, other);
                self.cluster.network.cut(other, number);
            }
        }
    }

    pub(super) fn weather(&mut self) -> &'static str {
        let (lost, late, echoed) = self.temper.weather(&mut self.rng);
        self.cluster.network.lost = self.rng.below(lost + 1) as u32;
        self.cluster.network.doubled = self.rng.below(lost + 1) as u32;
        self.cluster.network.late = self.rng.below(late + 1) as u32;
        self.cluster.network.echoed = self.rng.below(echoed + 1) as u32;
        "weather"
    }

    fn hunt(&mut self) -> &'static str {
        let group = self.any_group();
        let prey = self.cluster.leader(group).filter(|leader| self.prey != Some(*leader));
        let Some(leader) = prey else { return "nobody to hunt" };
        self.cluster.network.reconnect();
        match self.rng.below(6) {
            0 => {
                self.crash(leader);
                self.start(leader)
            }
            1 => self.crash(leader),
            _ => {
                self.prey = Some(leader);
                // One that stays with it confirms what is then replaced.
                let stays = (self.temper == Temper::Echo).then(|| self.any_host());
                let cut_off = |other: &u64| *other != leader && stays != Some(*other);
                for other in self.cluster.numbers().filter(cut_off) {
                    for side in [Some(leader), stays].into_iter().flatten() {
                        self.cluster.network.cut_behind(side, other);
                        self.cluster.network.cut_behind(other, side);
                    }
                }
                if self.rng.below(2) == 0 {
                    // Only what others told it before is still on its way.
                    self.cluster.network.take(|flying| flying.from.node.0 == leader);
                }
                // Its clients do not know.
                for _ in 0..self.rng.below(12) {
                    self.write_at(leader, group);
                }
                "leader cut off"
            }
        }
    }

    /// Other members: any, or all others.
    fn change(&mut self, group: GroupId) -> &'static str {
        let Some(leader) = self.any_leader(group) else { return "no change" };
        let Some(view) = self.cluster.view(leader, group) else { return "no change" };
        let all: Vec<Replica> = self.cluster.numbers().map(|n| self.cluster.replica(n)).collect();
        // A disk that lost something may lose the rest.
        let all: Vec<Replica> = all.into_iter().filter(|who| !self.gone.contains(who)).collect();
        let others: Vec<Replica> =
            all.iter().copied().filter(|replica| !view.membership.is_voter(*replica)).collect();
        let mut from = if self.rng.below(4) == 0 && !others.is_empty() { others } else { all };
        let voters = self.rng.between(1, self.temper.voters_max());
        let voters: Set<Replica> = self.rng.draw(&mut from, voters).into_iter().collect();
        let learners = self.rng.below(3);
        let learners = self.rng.draw(&mut from, learners).into_iter().collect();
        match self.cluster.change(leader, group, voters, learners) {
            Ok(()) => "change begun",
            Err(_) => "change refused",
        }
    }

    /// A leader changes the members, and fails soon after.
    fn fail_change(&mut self) -> &'static str {
        let group = self.any_group();
        let begun = self.change(group);
        if begun != "change begun" {
            return begun;
        }
        let pause = self.rng.below(4 * self.cluster.network.delay.1.0);
        self.cluster.run_for(Micros(pause));
        let Some(leader) = self.cluster.leader(group) else { return "change begun" };
        if self.rng.below(3) > 0 {
            self.cut_off(&[leader]);
            let pause = self.rng.below(20_000);
            self.cluster.run_for(Micros(pause));
        }
        if self.rng.below(2) == 0 {
            self.crash(leader);
            if self.rng.below(2) == 0 {
                self.start(leader);
            }
        }
        "leader failed in a change"
    }

    fn transfer(&mut self) -> &'static str {
        let group = self.any_group();
        let goes_on = |leader: &u64| !self.cluster.host(*leader).paused;
        let latest = self.cluster.leader(group).filter(goes_on);
        if self.temper == Temper::Echo
            && let Some(leader) = latest
            && let Some(prey) = self.prey.take_if(|prey| *prey != leader)
        {
            // Who led before is to lead again, when what was confirmed to it may still be on its way.
            self.cluster.network.reconnect();
            return self.hand_on(group, leader, prey);
        }
        let Some(leader) = self.any_leader(group) else { return "no transfer" };
        let to = self.any_host();
        self.hand_on(group, leader, to)
    }

    fn hand_on(&mut self, group: GroupId, leader: u64, to: u64) -> &'static str {
        match self.cluster.transfer(leader, group, self.cluster.replica(to)) {
            Ok(()) => "transfer begun",
            Err(_) => "transfer refused",
        }
    }

    fn harm_disk(&mut self, number: u64) -> &'static str {
        let (room, moment) = (self.rng.below(6_000), self.rng.below(12));
        let slow = self.rng.between(20_000, 400_000);
        let host = self.cluster.host_mut(number);
        match self.rng.below(4) {
            0 => {
                host.sync.1 = Micros(slow);
                "slow disk"
            }
            1 => {
                host.disk.limit(Some(host.disk.used() + room));
                "full disk"
            }
            2 => {
                host.disk.fail_next_sync();
                "failing sync"
            }
            _ => {
                host.fail_power_after(moment);
                "torn write"
            }
        }
    }

    /// A machine gets well.
    pub(super) fn calm(&mut self, number: u64) -> &'static str {
        self.cluster.pause(number, false);
        let host = self.cluster.host_mut(number);
        host.disk.mend();
        host.sync.1 = Micros(8_000);
        self.start(number)
    }

    /// A disk loses something durable, if every membership that is anywhere can do without it.
    fn damage(&mut self, number: u64) -> &'static str {
        let damaged = self.cluster.replica(number);
        if !self.can_do_without(damaged) {
            return "not damaged";
        }
        let damage = match self.rng.below(6) {
            0..2 => Damage::LogBit,
            2..4 => Damage::TableBit,
            4 => Damage::Sector,
            _ => Damage::Misread,
        };
        let host = self.cluster.host_mut(number);
        // A disk without power is asked when it is back.
        if host.shaky || !host.damage(damage) {
            return "nothing to damage";
        }
        self.lose(damaged);
        if self.rng.below(2) == 0 {
            self.crash(number);
            self.start(number);
        }
        damage.name()
    }

    /// A machine loses its disk, if every membership that is anywhere can do without it.
    fn wipe(&mut self, number: u64) -> &'static str {
        let lost = self.cluster.replica(number);
        if !self.can_do_without(lost) {
            return "not wiped";
        }
        self.crash(number);
        self.cluster.wipe(number);
        self.lose(lost);
        self.start(number);
        "wiped"
    }

    fn lose(&mut self, replica: Replica) {
        if !self.cluster.config.forgets_incarnations {
            self.gone.insert(replica);
        }
    }

    fn can_do_without(&mut self, replica: Replica) -> bool {
        if self.gone.contains(&replica) {
            return true;
        }
        let gone: Set<Replica> = self.gone.iter().copied().chain([replica]).collect();
        let mut memberships = Vec::new();
        for number in self.cluster.numbers() {
            for group in self.cluster.groups() {
                if self.cluster.view(number, group).is_some_and(|view| view.changing) {
                    return false;
                }
                if let Some(group) = self.cluster.group(number, group) {
                    memberships.extend(voters_of(group.log()));
                }
                if let Ok(Some(image)) = self.cluster.host_mut(number).durable(group) {
                    memberships.extend(voters_of(image.log()));
                }
            }
        }
        // What nobody has any more may still be on its way.
        for message in self.cluster.under_way() {
            if let RaftBody::Append { entries, .. } = &message.body {
                memberships.extend(entries.iter().flat_map(|entry| super::halves(&entry.payload)));
            }
        }
        memberships.iter().all(|voters| {
            let lost = voters.iter().filter(|voter| gone.contains(voter)).count();
            voters.is_empty() || lost <= (voters.len() - 1) / 2
        })
    }
}
