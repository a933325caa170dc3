/** Scales reach both ends and come back to the same value. */
import { describe, expect, it } from 'vitest';
import { isWide, positionOf, STEPS, valueAt } from './slider';

describe.each([{ min: 1, max: 9 }, { min: 20, max: 60_000 }, { min: 1, max: 67_108_864 }, { min: 0, max: 500 }])('from $min to $max', (range) => {
  it('reaches both ends', () => {
    expect([valueAt(range, 0), valueAt(range, STEPS)]).toEqual([range.min, range.max]);
    expect([positionOf(range, range.min), positionOf(range, range.max)]).toEqual([0, STEPS]);
  });

  it('never goes down on the way up', () => {
    for (let position = 1; position <= STEPS; position += 1) {
      expect(valueAt(range, position)).toBeGreaterThanOrEqual(valueAt(range, position - 1));
    }
  });
});

it('finds small whole numbers again', () => {
  const range = { min: 1, max: 9 };
  for (let value = 1; value <= 9; value += 1) expect(valueAt(range, positionOf(range, value))).toBe(value);
});

it('rounds wide ranges to numbers that one can say', () => {
  const range = { min: 20, max: 60_000 };
  expect(isWide(range)).toBe(true);
  expect(String(valueAt(range, 100)).replace(/0+$/, '').length).toBeLessThanOrEqual(2);
});
