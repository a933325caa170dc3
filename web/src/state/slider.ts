/**
 * A slider's scale: wide ranges are logarithmic, so that 20 ms and 20,000 ms are both easy to reach.
 * Positions run from 0 to {@link STEPS}; values are whole numbers with at most two digits that count.
 */

export interface Range {
  readonly min: number;
  readonly max: number;
}

export const STEPS = 200;

/** Whether a range is too wide for even steps. */
export function isWide({ min, max }: Range): boolean {
  return min > 0 && max / min > 100;
}

/** The position of a value. */
export function positionOf(range: Range, value: number): number {
  const { min, max } = range;
  if (max <= min) return 0;
  const clipped = Math.min(Math.max(value, min), max);
  const share = isWide(range) ? Math.log(clipped / min) / Math.log(max / min) : (clipped - min) / (max - min);
  return Math.round(share * STEPS);
}

/** The value at a position; both ends are exact. */
export function valueAt(range: Range, position: number): number {
  const { min, max } = range;
  if (position <= 0) return min;
  if (position >= STEPS) return max;
  const share = position / STEPS;
  if (!isWide(range)) return Math.round(min + share * (max - min));
  const exact = min * (max / min) ** share;
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(exact)) - 1);
  return Math.min(max, Math.max(min, Math.round(exact / unit) * unit));
}
