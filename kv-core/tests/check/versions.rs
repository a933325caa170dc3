//! Witnesses of the judges of versions, on histories drawn at random.

use kv_core::check::{Answer, End, Kind, Operation, Outcome, Verdict, Versions, dots, session};
use kv_core::id::{Epoch, Incarnation};
use kv_core::rng::{Ratio, Rng};
use kv_core::time::{Mono, Stamp};
use kv_core::version::{Clock, Context, Dot};

use super::{any_value, each_spared, value, witness};

/// Judges so many random histories; how many are wrong. Of several writes that failed with one value each
/// could have been the one that did not, so all are named and one can be spared; nothing else can.
fn judge_many(rounds: u64, judge: fn(&[Operation]) -> Verdict) -> u64 {
    let mut rng = Rng::new(31);
    let mut wrong = 0;
    for _ in 0..rounds {
        let history = small(&mut rng);
        let verdict = judge(&history);
        let Some(objection) = verdict.objection() else { continue };
        wrong += 1;
        for (removed, rest) in each_spared(&witness(&history, objection, judge)) {
            let like = |other: &Operation| other.failed() && other.kind == removed.kind;
            if !removed.failed() || !rest.iter().any(like) {
                assert_eq!(judge(&rest), Verdict::Holds, "{removed} can be spared in {objection}");
            }
        }
    }
    wrong
}

#[test]
fn witnesses_of_versions_are_minimal() {
    let wrong = judge_many(20_000, dots::check);
    assert!((2_000..19_000).contains(&wrong), "{wrong} of 20,000 are wrong");
}

#[test]
fn witnesses_of_lost_and_resurrected_values_are_minimal() {
    let wrong = judge_many(20_000, dots::check_overlapping);
    assert!((2_000..19_000).contains(&wrong), "{wrong} of 20,000 are wrong");
}

#[test]
fn witnesses_of_sessions_with_versions_are_minimal() {
    let wrong = judge_many(20_000, session::check);
    assert!((2_000..19_000).contains(&wrong), "{wrong} of 20,000 are wrong");
}

/// What two or three clients did, one after the other, with few values and dots. Each write has a dot of
/// its own.
fn small(rng: &mut Rng) -> Vec<Operation> {
    let (operations, clients) = (rng.between(2, 9), rng.between(2, 3));
    let mut free = [0; 3];
    let mut written: Vec<Dot> = Vec::new();
    let rare = Ratio { numerator: 1, denominator: 6 };
    let one = |number| {
        let client = rng.below(clients);
        let called = free[client as usize] + rng.below(3);
        let ended = called + rng.below(8);
        free[client as usize] = ended;
        let kind = match rng.below(6) {
            0..=1 => Kind::Write(any_value(rng, 3).unwrap_or_else(|| value("a"))),
            2 => Kind::Delete,
            _ => Kind::Read,
        };
        let mut dots = Vec::new();
        if kind == Kind::Read {
            dots.extend(written.iter().copied().filter(|_| rng.below(3) == 0));
        } else {
            let actor = Incarnation(rng.between(1, 2));
            let counter = written.iter().filter(|dot| dot.actor == actor).count() as u64 + 1;
            dots.push(Dot { actor, counter });
            written.extend(&dots);
        }
        let mut values = Vec::new();
        if kind == Kind::Read {
            values.extend(dots.iter().map(|_| any_value(rng, 2).unwrap_or_else(|| value("a"))));
        }
        let mut clock = Clock::default();
        let known = written.iter().filter(|_| rng.below(3) > 0);
        known.chain(&dots).for_each(|dot| clock.advance(*dot, Stamp(0)));
        let context = Context::of(b"k", clock);
        let versions = Some(Versions { dots, context, epoch: Epoch(1) });
        let outcome = match rng.below(10) {
            0 => Outcome::Unknown,
            1 | 2 => Outcome::Failed,
            3 if rng.chance(rare) => Outcome::Refused,
            _ => Outcome::Done(Answer { values, versions }),
        };
        let end = Some(End { at: Mono(ended), outcome });
        let end = end.filter(|end| end.outcome != Outcome::Unknown || rng.below(2) == 0);
        Operation { number, client, key: value("k"), kind, called: Mono(called), end }
    };
    (0..operations).map(one).collect()
}
