//! A fixed table of timers: one slot for each purpose a machine has, no heap, no tokens.
//!
//! A machine names its timers in an enum and keeps a table of as many slots. Setting a slot again moves
//! it; a scan finds the next deadline. Left out: timers per request, which live with the request.

use crate::time::Mono;

/// As many timers as a machine has purposes.
#[derive(Clone, Debug)]
pub struct TimerTable<const N: usize>([Option<Mono>; N]);

impl<const N: usize> Default for TimerTable<N> {
    fn default() -> Self {
        Self([None; N])
    }
}

impl<const N: usize> TimerTable<N> {
    /// Starts or moves a timer. A slot that does not exist is ignored.
    pub fn set(&mut self, slot: usize, deadline: Mono) {
        if let Some(timer) = self.0.get_mut(slot) {
            *timer = Some(deadline);
        }
    }

    /// Starts a timer, or moves it if it would be due later.
    pub fn set_by(&mut self, slot: usize, deadline: Mono) {
        if let Some(timer) = self.0.get_mut(slot) {
            *timer = earliest(*timer, Some(deadline));
        }
    }

    /// Stops a timer.
    pub fn stop(&mut self, slot: usize) {
        if let Some(timer) = self.0.get_mut(slot) {
            *timer = None;
        }
    }

    /// Whether the timer runs, due or not.
    #[must_use]
    pub fn is_set(&self, slot: usize) -> bool {
        self.0.get(slot).is_some_and(Option::is_some)
    }

    /// Takes the timer if it is due: it then no longer runs.
    pub fn take_due(&mut self, slot: usize, now: Mono) -> bool {
        let due = self.0.get(slot).copied().flatten().is_some_and(|deadline| deadline <= now);
        if due {
            self.stop(slot);
        }
        due
    }

    /// The earliest deadline of all running timers.
    #[must_use]
    pub fn next(&self) -> Option<Mono> {
        self.0.iter().copied().fold(None, earliest)
    }
}

/// The earlier of two deadlines, as far as there are any.
#[must_use]
pub fn earliest(one: Option<Mono>, other: Option<Mono>) -> Option<Mono> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (deadline, None) | (None, deadline) => deadline,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_due_timer_is_taken_once() {
        let mut table = TimerTable::<2>::default();
        table.set(0, Mono(10));
        table.set(1, Mono(5));
        assert_eq!(table.next(), Some(Mono(5)));
        assert!(table.take_due(1, Mono(5)));
        assert!(!table.take_due(1, Mono(6)));
        assert!(!table.take_due(0, Mono(9)));
        assert_eq!(table.next(), Some(Mono(10)));
    }
}
