//! The two clocks of a node, read once per input.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kv_core::time::{Mono, Now, Wall};

/// Reads the machine's clocks. The monotonic one counts from the making of this value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    /// Starts to count.
    pub(crate) fn new() -> Self {
        Self { origin: Instant::now() }
    }

    /// Both clocks now.
    pub(crate) fn now(&self) -> Now {
        // A machine whose clock stands before 1970 gets 1970: stamps then come from the counter alone.
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { mono: Mono(micros(self.origin.elapsed())), wall: Wall(micros(wall)) }
    }

    /// The moment of a deadline, for a timer.
    pub(crate) fn instant(&self, deadline: Mono) -> Instant {
        self.origin + Duration::from_micros(deadline.0)
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
