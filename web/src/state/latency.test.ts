/** A latency is the middle of its bounds, there and back. */
import { expect, it } from 'vitest';
import { latencyMs, latencyOf } from './latency';

it('is given back by the bounds around it', () => {
  expect(latencyOf(220)).toEqual({ latency_min_us: 110_000, latency_max_us: 330_000 });
  for (const ms of [1, 2, 220, 5_000]) expect(latencyMs(latencyOf(ms))).toBe(ms);
});
