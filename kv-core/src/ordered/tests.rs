//! Maps, sets and sorting beside the standard library's, over random work: the same order, answers and
//! encoded form. What they cost is for the benchmarks.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec::Vec;

use super::{CHUNK, Map, Set, sort, sort_by_key};
use crate::codec;
use crate::hash;
use crate::rng::Rng;

/// Keys are drawn from so many: enough for some chunks, so few that they are met again.
const KEYS: u64 = 300;

fn whole(map: &Map<u64, u64>) {
    let least = usize::from(map.chunks.len() > 1);
    assert!(map.chunks.iter().all(|chunk| (least..=CHUNK).contains(&chunk.len())));
    let keys: Vec<u64> = map.keys().copied().collect();
    assert!(keys.is_sorted_by(|one, next| one < next));
}

#[test]
fn a_map_behaves_like_a_tree() {
    let mut rng = Rng::new(11);
    let (mut map, mut tree) = (Map::new(), BTreeMap::new());
    for round in 0..20_000_u64 {
        let key = rng.below(KEYS);
        match rng.below(12) {
            0..5 => assert_eq!(map.insert(key, round), tree.insert(key, round)),
            5..8 => assert_eq!(map.remove(&key), tree.remove(&key)),
            8 => {
                *map.entry(key).or_insert(round) += 1;
                *tree.entry(key).or_insert(round) += 1;
            }
            9 if round % 1_000 == 0 => {
                map.clear();
                tree.clear();
            }
            9 if round % 2 == 0 => assert_eq!(map.pop_last(), tree.pop_last()),
            9 => assert_eq!(map.pop_first(), tree.pop_first()),
            _ if rng.below(20) != 0 => {
                map.get_mut(&key).into_iter().for_each(|value| *value += 1);
                tree.get_mut(&key).into_iter().for_each(|value| *value += 1);
            }
            10 => {
                map.retain(|other, _| other % 7 != key % 7);
                let left: Vec<_> = tree.extract_if(.., |other, _| other % 7 == key % 7).collect();
                map.extend(left.iter().copied().filter(|(_, value)| value % 2 == 0));
                tree.extend(left.iter().copied());
                let odd = left.into_iter().filter(|(_, value)| value % 2 == 1);
                map.extend(odd.collect::<Map<_, _>>());
                let taken = map.extract(|_, value| *value % 5 == 0);
                assert!(taken.into_iter().eq(tree.extract_if(.., |_, value| *value % 5 == 0)));
            }
            _ => {
                let (behind, rest) = (map.split_off(&key), tree.split_off(&key));
                assert!(behind.iter().eq(&rest));
                whole(&behind);
                map.extend(behind);
                tree.extend(rest);
            }
        }
        whole(&map);
        assert_eq!((map.len(), map.is_empty()), (tree.len(), tree.is_empty()));
        assert_eq!(map.get(&key), tree.get(&key));
        assert_eq!(map.contains_key(&key), tree.contains_key(&key));
        assert_eq!(map.first_key_value(), tree.first_key_value());
        assert_eq!(map.last_key_value(), tree.last_key_value());
        if round % 64 == 0 {
            assert!(map.iter().eq(&tree) && map.iter().rev().eq(tree.iter().rev()));
            assert!(map.iter_mut().eq(tree.iter_mut()) && map.clone().into_iter().eq(tree.clone()));
        }
    }
}

#[test]
fn ranges_are_those_of_a_tree_from_both_ends() {
    let mut rng = Rng::new(12);
    for count in 0..150 {
        let map: Map<u64, u64> = (0..count).map(|_| (rng.below(KEYS), rng.below(KEYS))).collect();
        let tree: BTreeMap<u64, u64> = map.iter().map(|(key, value)| (*key, *value)).collect();
        let from = rng.below(KEYS);
        let to = from + rng.below(KEYS);
        let ranges =
            [map.range(from..to), map.range(from..=to), map.range(..to), map.range(from..)];
        let others =
            [tree.range(from..to), tree.range(from..=to), tree.range(..to), tree.range(from..)];
        for (mut range, mut other) in ranges.into_iter().zip(others) {
            assert_eq!(range.len(), other.clone().count());
            assert!(range.clone().rev().eq(other.clone().rev()));
            while let Some(found) = other.next() {
                assert_eq!(range.next(), Some(found));
                assert_eq!(range.next_back(), other.next_back());
            }
            assert_eq!((range.next(), range.next_back(), range.len()), (None, None, 0));
        }
    }
}

#[test]
fn sets_compare_like_trees() {
    let mut rng = Rng::new(13);
    for _ in 0..2_000 {
        let mut draw = || (0..rng.below(5)).map(|_| rng.below(6)).collect::<Vec<_>>();
        let (one, other) = (draw(), draw());
        let sets: [Set<u64>; 2] = [one.iter().copied().collect(), other.iter().copied().collect()];
        let trees: [BTreeSet<u64>; 2] = [one.into_iter().collect(), other.into_iter().collect()];
        assert_eq!(sets[0] == sets[1], trees[0] == trees[1]);
        assert_eq!(sets[0].is_subset(&sets[1]), trees[0].is_subset(&trees[1]));
        assert_eq!(sets[0].is_disjoint(&sets[1]), trees[0].is_disjoint(&trees[1]));
        assert!(sets[0].difference(&sets[1]).eq(trees[0].difference(&trees[1])));
        assert_eq!(sets[0].first(), trees[0].first());
        assert_eq!(sets[0].last(), trees[0].last());
    }
}

#[test]
fn bytes_hashes_and_words_are_those_of_trees() {
    let tree: BTreeMap<u64, u64> = (0..100).map(|key| (key * 3, key)).collect();
    let map: Map<u64, u64> = tree.iter().map(|(key, value)| (*key, *value)).collect();
    let keys: BTreeSet<u64> = tree.keys().copied().collect();
    let set: Set<u64> = map.keys().copied().collect();
    assert_eq!(codec::encode(&map), codec::encode(&tree));
    assert_eq!(codec::encode(&set), codec::encode(&keys));
    assert_eq!(codec::decode(&codec::encode(&map)), Ok(map.clone()));
    assert_eq!(codec::decode(&codec::encode(&set)), Ok(set.clone()));
    assert_eq!(hash::of_value(&map), hash::of_value(&tree));
    assert_eq!(hash::of_value(&set), hash::of_value(&keys));
    assert_eq!(format!("{map:?} {set:?}"), format!("{tree:?} {keys:?}"));
    // Whoever sends keys out of order, or twice, is understood like by a tree.
    let bytes = codec::encode(&[(2_u64, 1_u64), (1, 2), (2, 3)][..]);
    let read: Map<u64, u64> = codec::decode(&bytes).unwrap();
    assert_eq!(
        codec::encode(&read),
        codec::encode(&codec::decode::<BTreeMap<u64, u64>>(&bytes).unwrap())
    );
}

#[test]
fn sorting_sorts() {
    let mut rng = Rng::new(14);
    for count in 0..200 {
        let mut items: Vec<u64> = (0..count).map(|_| rng.below(count / 2 + 1)).collect();
        let mut expected = items.clone();
        expected.sort_unstable();
        sort(&mut items);
        assert_eq!(items, expected);
        expected.reverse();
        sort_by_key(&mut items, |item| core::cmp::Reverse(*item));
        assert_eq!(items, expected);
    }
}
