/** What cuts amount to: sides that cannot hear each other, or a way round. */
import { describe, expect, it } from 'vitest';
import type { Frame } from '../sim/frame';
import { emptyFrame } from '../sim/sample';
import { rift } from './rift';

const frame = (cuts: [number, number][], nodes = 5): Frame => ({
  ...emptyFrame(nodes), isCut: (from, to) => cuts.some(([a, b]) => a === from && b === to),
});
const both = (a: number, b: number): [number, number][] => [[a, b], [b, a]];

describe('a rift', () => {
  it('is none where nothing is cut', () => {
    expect(rift(frame([]))).toBeNull();
  });

  it('leaves one side where there is a way round', () => {
    expect(rift(frame(both(0, 1)))).toEqual({ links: [{ from: 0, to: 1 }], oneWay: false, sides: [[0, 1, 2, 3, 4]] });
    expect(rift(frame([[3, 1]]))).toMatchObject({ links: [{ from: 3, to: 1 }], oneWay: true });
  });

  it('finds who is alone and who is together', () => {
    const alone = [1, 2, 3, 4].flatMap((other) => both(0, other));
    expect(rift(frame(alone))?.sides).toEqual([[0], [1, 2, 3, 4]]);
    const halves = [0, 3].flatMap((a) => [1, 2, 4].flatMap((b) => both(a, b)));
    expect(rift(frame(halves))?.sides).toEqual([[0, 3], [1, 2, 4]]);
    expect(rift(frame(both(0, 1), 2))?.sides).toEqual([[0], [1]]);
  });

  it('needs both directions for a way round', () => {
    const deaf = [1, 2, 3, 4].map((other): [number, number] => [other, 0]);
    expect(rift(frame(deaf))).toMatchObject({ oneWay: true, sides: [[0], [1, 2, 3, 4]] });
  });
});
