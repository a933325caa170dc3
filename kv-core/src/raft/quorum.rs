//! Counting: what a quorum has, and how an election stands.
//!
//! A quorum is a majority of the voters; while a change is under way, one of the old voters and one of
//! the new (dissertation, 4.3). Everything here is a pure function of a membership and of what is known
//! of each voter. It takes time quadratic in the number of voters, of which there are few, and no memory.

use crate::bugs::{Bug, planted};
use crate::id::Replica;
use crate::message::raft::Membership;
use crate::ordered::Set;

/// How an election stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Election {
    /// A quorum is for it.
    Won,
    /// A quorum is out of reach.
    Lost,
    /// Neither yet.
    Open,
}

/// The greatest value that a quorum has reached; the least there is if nobody votes.
pub(super) fn reached<T: Ord + Copy + Default>(
    membership: &Membership,
    value: impl Fn(Replica) -> T,
) -> T {
    if planted(Bug::LearnersCount) {
        return reached_by_majority(&membership.replicas().collect(), &value);
    }
    let new = reached_by_majority(&membership.voters, &value);
    if membership.is_joint() && !planted(Bug::JointByHalf) {
        new.min(reached_by_majority(&membership.outgoing, &value))
    } else {
        new
    }
}

/// How an election stands in which each voter was for it, against it, or has said nothing.
pub(super) fn election(
    membership: &Membership,
    vote: impl Fn(Replica) -> Option<bool>,
) -> Election {
    // A quorum of yes wins; if even those who are silent could not make one, it is lost.
    if reached(membership, |voter| vote(voter) == Some(true)) {
        Election::Won
    } else if reached(membership, |voter| vote(voter) != Some(false)) {
        Election::Open
    } else {
        Election::Lost
    }
}

fn reached_by_majority<T: Ord + Copy + Default>(
    voters: &Set<Replica>,
    value: &impl Fn(Replica) -> T,
) -> T {
    let enough = |least: T| {
        let have = voters.iter().filter(|voter| least <= value(**voter)).count();
        voters.len() / 2 < have + usize::from(planted(Bug::MajorityOneShort))
    };
    voters
        .iter()
        .map(|voter| value(*voter))
        .filter(|least| enough(*least))
        .max()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::ordered::Map;
    use alloc::vec::Vec;

    use super::*;
    use crate::id::{Incarnation, Index, NodeId};
    use crate::rng::Rng;

    fn replica(number: u64) -> Replica {
        Replica { node: NodeId(number), incarnation: Incarnation(1) }
    }

    fn membership(voters: &[u64], outgoing: &[u64]) -> Membership {
        Membership {
            voters: voters.iter().copied().map(replica).collect(),
            outgoing: outgoing.iter().copied().map(replica).collect(),
            learners: Set::new(),
        }
    }

    #[test]
    fn a_majority_decides_what_is_committed() {
        // Index of each voter, and what a majority has.
        let cases: [(&[u64], u64); 7] = [
            (&[], 0),
            (&[7], 7),
            (&[3, 7], 3),
            (&[1, 3, 7], 3),
            (&[1, 3, 7, 9], 3),
            (&[0, 0, 3, 7, 9], 3),
            (&[5, 5, 5, 1, 0], 5),
        ];
        for (indexes, expected) in cases {
            let voters: Vec<u64> = (0..indexes.len() as u64).collect();
            let found =
                reached(&membership(&voters, &[]), |voter| Index(indexes[voter.node.0 as usize]));
            assert_eq!(found, Index(expected), "{indexes:?}");
        }
    }

    #[test]
    fn a_joint_quorum_needs_both_halves() {
        let joint = membership(&[1, 2, 3], &[3, 4, 5]);
        let for_it = |yes: &[u64], no: &[u64]| {
            election(&joint, |voter| {
                let known = yes.contains(&voter.node.0) || no.contains(&voter.node.0);
                known.then(|| yes.contains(&voter.node.0))
            })
        };
        assert_eq!(for_it(&[1, 2, 3], &[]), Election::Open);
        assert_eq!(for_it(&[1, 2, 4, 5], &[3]), Election::Won);
        assert_eq!(for_it(&[2, 3, 4], &[]), Election::Won);
        assert_eq!(for_it(&[1, 2, 3], &[4, 5]), Election::Lost);
        assert_eq!(for_it(&[], &[1, 2]), Election::Lost);
    }

    /// The plain way: sort, and take the element that a majority is not below.
    fn sorted(voters: &Set<Replica>, indexes: &Map<u64, u64>) -> u64 {
        let mut all: Vec<u64> = voters.iter().map(|voter| indexes[&voter.node.0]).collect();
        all.sort_by(|a, b| b.cmp(a));
        all.get(voters.len() / 2).copied().unwrap_or_default()
    }

    #[test]
    fn it_agrees_with_the_plain_way_whatever_the_voters_are() {
        let mut rng = Rng::new(5);
        for _ in 0..20_000 {
            let pick = |rng: &mut Rng, few: u64| -> Vec<u64> {
                (0..9).filter(|_| rng.below(9) < few).collect()
            };
            let few = rng.below(9);
            let (voters, outgoing) = (pick(&mut rng, few), pick(&mut rng, few));
            let indexes: Map<u64, u64> = (0..9).map(|node| (node, rng.below(6))).collect();
            let membership = membership(&voters, &outgoing);
            let mut expected = sorted(&membership.voters, &indexes);
            if membership.is_joint() {
                expected = expected.min(sorted(&membership.outgoing, &indexes));
            }
            let found = reached(&membership, |voter| indexes[&voter.node.0]);
            assert_eq!(found, expected, "{voters:?} {outgoing:?} {indexes:?}");

            // Renaming changes nothing.
            let renamed = Membership {
                voters: membership.voters.iter().map(|voter| replica(100 - voter.node.0)).collect(),
                outgoing: membership
                    .outgoing
                    .iter()
                    .map(|voter| replica(100 - voter.node.0))
                    .collect(),
                learners: Set::new(),
            };
            assert_eq!(reached(&renamed, |voter| indexes[&(100 - voter.node.0)]), expected);
        }
    }

    #[test]
    fn an_election_is_decided_once_and_agrees_with_every_completion() {
        let mut rng = Rng::new(6);
        for _ in 0..20_000 {
            let voters: Vec<u64> = (0..6).filter(|_| rng.below(2) == 0).collect();
            let outgoing: Vec<u64> = (0..6).filter(|_| rng.below(3) == 0).collect();
            let membership = membership(&voters, &outgoing);
            let votes: Map<u64, Option<bool>> =
                (0..6).map(|node| (node, (rng.below(2) == 0).then(|| rng.below(2) == 0))).collect();
            let with = |rest: bool| {
                election(&membership, |voter| Some(votes[&voter.node.0].unwrap_or(rest)))
            };
            let expected = match (with(true), with(false)) {
                (Election::Won, Election::Won) => Election::Won,
                (Election::Lost, _) => Election::Lost,
                _ => Election::Open,
            };
            assert_eq!(election(&membership, |voter| votes[&voter.node.0]), expected);
        }
    }
}
