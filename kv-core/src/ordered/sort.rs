//! Sorting in little code: heapsort, at most n · log n steps, in place.
//!
//! The standard library's sorts are some times as fast and take fifteen times the code for each type.
//! These are for lists that are short or sorted seldom.
//!
//! Left out: stability. Entries that are equal may change places, in the same way everywhere.

use core::cmp::Ordering;

/// Sorts, ascending.
pub fn sort<T: Ord>(items: &mut [T]) {
    sort_by(items, T::cmp);
}

/// Sorts by a key of each, ascending.
pub fn sort_by_key<T, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) {
    sort_by(items, |one, other| key(one).cmp(&key(other)));
}

/// Sorts by an order, ascending.
pub fn sort_by<T>(items: &mut [T], order: impl Fn(&T, &T) -> Ordering) {
    let count = items.len();
    for root in (0..count / 2).rev() {
        sink(items, root, &order);
    }
    for end in (1..count).rev() {
        items.swap(0, end);
        sink(&mut items[..end], 0, &order);
    }
}

/// Lets an entry down the heap until none below it is greater.
fn sink<T>(items: &mut [T], mut place: usize, order: &impl Fn(&T, &T) -> Ordering) {
    loop {
        let mut greater = 2 * place + 1;
        if items.len() <= greater {
            return;
        }
        if greater + 1 < items.len() && order(&items[greater], &items[greater + 1]).is_lt() {
            greater += 1;
        }
        if order(&items[place], &items[greater]).is_ge() {
            return;
        }
        items.swap(place, greater);
        place = greater;
    }
}
