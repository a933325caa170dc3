/** A search tries seed after seed, and another one goes on where it ended. */
import type { Attack, Found } from 'kv-wasm';
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

/** Finds something in the first run, which can be made smaller so many times; then it is a script. */
function finder(smaller: number) {
  const asked: string[] = [];
  const found = (left: number) => ({ trials: smaller - left, smallest: left === 0 }) as Found;
  let left = smaller;
  const answers: Record<string, () => unknown> = {
    attack: () => ({ events: 1, operations: 1, found: found(left) }),
    shrink: () => ({ events: 1, operations: 1, found: found((left -= 1)) }),
    script: () => `script after ${smaller - left} trials`,
  };
  const simulator = { call: async (name: string) => (asked.push(name), answers[name]!()), close: () => asked.push('close') };
  return { asked, start: () => simulator as unknown as Simulator };
}

it('makes what it finds as small as can be, and a script of that', async () => {
  const { asked, start } = finder(2);
  const last = await new Promise<Progress>((resolve) => {
    new Search(attack, start, 1, (progress) => progress.phase === 'found' && resolve(progress));
  });
  expect(asked).toEqual(['attack', 'shrink', 'shrink', 'script', 'close']);
  expect(last.found?.smallest).toBe(true);
  expect(last.script).toBe('script after 2 trials');
});

it('makes a script of what it has when it is told to stop', async () => {
  const { start } = finder(1_000);
  const last = await new Promise<Progress>((resolve) => {
    const search: Search = new Search(attack, start, 1, (progress) => {
      if (progress.phase === 'shrinking' && progress.found?.trials === 3) search.stop();
      if (progress.phase === 'found') resolve(progress);
    });
  });
  expect(last.found?.trials).toBe(3);
  expect(last.script).toBe('script after 3 trials');
});
