/** A search tries seed after seed, and another one goes on where it ended. */
import type { Attack } from 'kv-wasm';
import { expect, it } from 'vitest';
import type { Simulator } from '../sim/client';
import { RUNS_MAX, Search, type Progress } from './search';

const attack: Attack = { nodes: 3, settings: [], demands: ['latest'], strikes: 20 };

/** Tries everything and finds nothing. */
function hunt(tried: number): Promise<{ seeds: number[]; progress: Progress }> {
  const seeds: number[] = [];
  const simulator = { call: async (_name: string, _attack: Attack, seed: number) => (seeds.push(seed), { events: 1, operations: 1 }), close() {} };
  return new Promise((resolve) => {
    new Search(attack, () => simulator as unknown as Simulator, 2, (progress) => {
      if (progress.phase === 'nothing') resolve({ seeds, progress });
    }, tried);
  });
}

it('begins with the first seed', async () => {
  const { seeds, progress } = await hunt(0);
  expect([seeds[0], seeds.at(-1), seeds.length]).toEqual([1, RUNS_MAX, RUNS_MAX]);
  expect(progress.runs).toBe(RUNS_MAX);
});

it('goes on with seeds that were not tried', async () => {
  const { seeds, progress } = await hunt(RUNS_MAX);
  expect([seeds[0], seeds.at(-1)]).toEqual([RUNS_MAX + 1, 2 * RUNS_MAX]);
  expect([progress.runs, progress.most]).toEqual([2 * RUNS_MAX, 2 * RUNS_MAX]);
});
