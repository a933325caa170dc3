/**
 * The viewport's clock: how real time becomes simulated time.
 *
 * Times are in microseconds and keep their fraction, so that slow gears do not run fast. After a hidden
 * tab the clock does not try to catch up, and it never runs far ahead of a simulator that is behind.
 */

/** The gears, below and above real time. */
export const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64] as const;

/** Above this gear messages fly by faster than one can draw them all. */
export const EVERY_MESSAGE_UP_TO = 4;

/** The most real time that one tick stands for, in milliseconds. */
const TICK_MAX_MS = 250;
/** How many ticks the view may be ahead of the simulator. */
const AHEAD_TICKS = 2;

export interface Clock {
  readonly playing: boolean;
  readonly speed: number;
  /** The moment shown. */
  readonly view: number;
}

export const stopped: Clock = { playing: false, speed: 1, view: 0 };

/** The clock after some real time, with a simulator that has come as far as `simulated`. */
export function tick(clock: Clock, elapsedMs: number, simulated: number): Clock {
  if (!clock.playing) return clock;
  const elapsed = Math.min(Math.max(elapsedMs, 0), TICK_MAX_MS) * 1_000 * clock.speed;
  const furthest = simulated + AHEAD_TICKS * elapsed;
  return { ...clock, view: Math.max(clock.view, Math.min(clock.view + elapsed, furthest)) };
}

/** The clock at exactly the simulator's moment: after a step, an action while paused, a new run. */
export function at(clock: Clock, simulated: number): Clock {
  return { ...clock, view: simulated };
}

/** The next gear up (1) or down (-1); the same at the end. */
export function gear(speed: number, direction: 1 | -1): number {
  const index = SPEEDS.findIndex((candidate) => candidate >= speed);
  const here = index === -1 ? SPEEDS.length - 1 : index;
  return SPEEDS[here + direction] ?? speed;
}
