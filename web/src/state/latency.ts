/**
 * Latency as one number: messages take from half of it to half as much again. Pure.
 */

interface Latency {
  readonly latency_min_us: number;
  readonly latency_max_us: number;
}

/** The typical latency in ms. */
export function latencyMs({ latency_min_us, latency_max_us }: Latency): number {
  return Math.round((latency_min_us + latency_max_us) / 2_000);
}

/** The bounds around a typical latency. */
export function latencyOf(ms: number): Latency {
  return { latency_min_us: ms * 500, latency_max_us: ms * 1_500 };
}
