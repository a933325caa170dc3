//! What every search for a witness does: it finds the moment, and leaves out what can be spared.

use alloc::vec::Vec;
use core::ops::Range;

use crate::ordered;

/// The earliest of some moments at which a history is wrong, as far as it was known then. At the last of
/// them it is.
pub(super) fn first_moment<M: Ord + Copy + Default>(
    mut moments: Vec<M>,
    mut is_wrong: impl FnMut(M) -> bool,
) -> M {
    ordered::sort(&mut moments);
    moments.dedup();
    let (mut low, mut high) = (0, moments.len().saturating_sub(1));
    while low < high {
        let middle = usize::midpoint(low, high);
        if is_wrong(moments[middle]) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    moments.get(low).copied().unwrap_or_default()
}

/// Leaves out larger and then smaller parts, the first ones first, until nothing more can be spared (Zeller
/// and Hildebrandt, "Simplifying and isolating failure-inducing input", 2002). `without` gives what is left
/// without a part, if that still shows the same.
pub(super) fn shrink<T>(
    mut kept: Vec<T>,
    mut without: impl FnMut(&[T], Range<usize>) -> Option<Vec<T>>,
) -> Vec<T> {
    let mut part = kept.len().next_power_of_two();
    loop {
        let mut start = 0;
        let mut changed = false;
        while start < kept.len() {
            let end = kept.len().min(start + part);
            if let Some(rest) = without(&kept, start..end) {
                kept = rest;
                changed = true;
            } else {
                start = end;
            }
        }
        if part == 1 && !changed {
            return kept;
        }
        part = part.div_ceil(2);
    }
}
