/** Sides are counted from the largest one, and are none where there is a way round each cut. */
import { describe, expect, it } from 'vitest';
import { emptyFrame } from '../sim/sample';
import { sidesOf } from './sides';

/** A frame in which only nodes of one group hear each other. */
const parted = (groups: string) => ({
  ...emptyFrame(groups.length),
  isCut: (from: number, to: number) => groups[from] !== groups[to],
});

describe('the sides of a network', () => {
  it('are none while it is whole, or has a way round the cut', () => {
    expect(sidesOf(emptyFrame(5))).toBeNull();
    const oneCut = { ...emptyFrame(3), isCut: (from: number, to: number) => from + to === 1 };
    expect(sidesOf(oneCut)).toBeNull();
  });

  it('begin with the largest', () => {
    expect(sidesOf(parted('aabbb'))).toEqual([1, 1, 0, 0, 0]);
    expect(sidesOf(parted('abbca'))).toEqual([0, 1, 1, 2, 0]);
  });

  it('of which there are two alike, with that of the first node', () => {
    expect(sidesOf(parted('baab'))).toEqual([0, 1, 1, 0]);
  });
});
