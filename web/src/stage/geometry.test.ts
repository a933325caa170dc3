/** The stage's geometry: seats, chords, pieces of the band. */
import { describe, expect, it } from 'vitest';
import { along, angleOf, bandPiece, chord, bandPieces, isNamed, planStage, seat, stopShare } from './geometry';

const plan = planStage(800, 700, 5);

describe('the plan', () => {
  it('keeps everything on the stage', () => {
    expect(plan.bandOuter).toBeLessThan(350);
    expect(plan.seats + plan.disc).toBeLessThan(plan.bandInner);
    expect(plan.labelled).toBe(true);
  });

  it('lets discs shrink rather than overlap', () => {
    const crowd = planStage(800, 700, 60);
    const [a, b] = [seat(crowd, 0, 60), seat(crowd, 1, 60)];
    expect(Math.hypot(a.x - b.x, a.y - b.y)).toBeGreaterThan(2 * crowd.disc);
    expect(crowd.labelled).toBe(false);
  });

  it('lets each of a hundred be seen and pressed', () => {
    const crowd = planStage(716, 450, 100);
    const [a, b] = [seat(crowd, 0, 100), seat(crowd, 1, 100)];
    const apart = Math.hypot(a.x - b.x, a.y - b.y);
    expect(apart).toBeGreaterThan(2 * crowd.disc);
    expect(2 * crowd.reach).toBeLessThanOrEqual(apart + 0.01);
    expect(crowd.seats + crowd.disc).toBeLessThan(crowd.bandInner);
    const named = (measures: typeof plan, nodes: number) => Array.from({ length: nodes }, (_, node) => node + 1).filter((node) => isNamed(measures, node - 1, nodes));
    expect(named(plan, 5)).toEqual([1, 2, 3, 4, 5]);
    expect(named(crowd, 100)).toEqual([1, 10, 20, 30, 40, 50, 60, 70, 80, 90]);
    expect(plan.reach).toBeGreaterThanOrEqual(22);
  });

  it('begins at the top and goes clockwise', () => {
    const [first, second] = [seat(plan, 0, 5), seat(plan, 1, 5)];
    expect(first.x).toBeCloseTo(400);
    expect(first.y).toBeLessThan(350);
    expect(second.x).toBeGreaterThan(400);
    expect(angleOf(0.25)).toBeCloseTo(0);
  });
});

describe('a chord', () => {
  it('runs from disc edge to disc edge', () => {
    const way = chord(plan, 0, 2, 5);
    const [a, b] = [seat(plan, 0, 5), seat(plan, 2, 5)];
    const [start, end] = [along(way, 0), along(way, 1)];
    expect(Math.hypot(start.x - a.x, start.y - a.y)).toBeCloseTo(plan.disc);
    expect(Math.hypot(end.x - b.x, end.y - b.y)).toBeCloseTo(plan.disc);
  });

  it('keeps the two directions apart', () => {
    const [there, back] = [along(chord(plan, 0, 2, 5), 0.5), along(chord(plan, 2, 0, 5), 0.5)];
    expect(Math.hypot(there.x - back.x, there.y - back.y)).toBeGreaterThan(15);
  });
});

describe('the band', () => {
  it('has a piece for each partition', () => {
    expect(bandPieces([0, 0, 1, 7])).toEqual([
      { owner: 0, from: 0, to: 0.25 }, { owner: 0, from: 0.25, to: 0.5 },
      { owner: 1, from: 0.5, to: 0.75 }, { owner: 7, from: 0.75, to: 1 },
    ]);
  });

  it('joins neighbours with one owner when they are many', () => {
    const owners = new Uint16Array(512).fill(3);
    owners[511] = 4;
    expect(bandPieces(owners)).toEqual([{ owner: 3, from: 0, to: 511 / 512 }, { owner: 4, from: 511 / 512, to: 1 }]);
  });

  it('draws a closed piece', () => {
    expect(bandPiece(plan, 0, 0.25)).toMatch(/^M.*A.*L.*A.*Z$/);
  });
});

it('a lost message always stops at the same spot, short of its end', () => {
  for (let number = 0; number < 1_000; number += 1) {
    expect(stopShare(number, false)).toBe(stopShare(number, false));
    expect(stopShare(number, false)).toBeGreaterThanOrEqual(0.3);
    expect(stopShare(number, false)).toBeLessThanOrEqual(0.7);
  }
});
