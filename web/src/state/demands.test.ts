/** Verdicts about nothing are not shown. */
import type { VerdictObject } from 'kv-wasm';
import { expect, it } from 'vitest';
import { DEMANDS, telling } from './demands';

const verdict = (demand: string, judged: number, says: VerdictObject['says'] = 'holds'): VerdictObject => ({
  demand, judged, says, promised: true, promise: '', words: '', at_us: 0, operations: [], more: 0,
});

it('shows what was judged, and what is wrong even if it is long ago', () => {
  const verdicts = [verdict('latest', 9), verdict('linearizable', 0), verdict('sound', 0, 'undecided'), verdict('sessions', 0, 'wrong')];
  expect(telling(verdicts).map(({ demand }) => demand)).toEqual(['latest', 'sessions']);
  expect(telling([verdict('linearizable', 1)])).toHaveLength(1);
});

it('has words for the strong keyspace too', () => {
  expect(DEMANDS['linearizable']?.label).toBe('As if there were one copy');
});
