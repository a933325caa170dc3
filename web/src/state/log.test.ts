/** The log keeps what matters and stays bounded. */
import type { ActionLine, TraceLine } from 'kv-wasm';
import { expect, it } from 'vitest';
import { append, emptyLog, LINES_MOST, visible } from './log';

const line = (index: number, weight: TraceLine['weight'], node = 0): TraceLine => ({ index, node, at_us: index * 10, words: `w${index}`, cause: 'c', weight });
const news = (lines: TraceLine[], missed = 0) => ({ next: lines.length ? lines.at(-1)!.index + 1 : 0, missed, lines });

it('puts what the reader did where it belongs in time', () => {
  const log = append(emptyLog, news([line(1, 'info'), line(3, 'warning', 1)]), [{ at_us: 20, node: 1, words: 'crash n2', turn: 'crash' }]);
  expect(visible(log, { node: null, detail: false }).map(({ words }) => words)).toEqual(['w3', 'crash n2', 'w1']);
  expect(visible(log, { node: 0, detail: false }).map(({ words }) => words)).toEqual(['w1']);
  expect([log.trace, log.actions]).toEqual([4, 1]);
});

it('does not let requests wash away changes of state', () => {
  let log = append(emptyLog, news([line(0, 'error')]), []);
  for (let i = 1; i < 3 * LINES_MOST; i += 1) log = append(log, news([line(i, 'trace')], 1), []);
  expect(log.detail).toHaveLength(LINES_MOST);
  expect(log.notable.map(({ words }) => words)).toEqual(['w0']);
  expect(log.missed).toBe(3 * LINES_MOST - 1);
  expect(visible(log, { node: null, detail: true })).toHaveLength(LINES_MOST);
});

it('knows what all actions come to, until it begins anew', () => {
  const act = (turn: ActionLine['turn'], node: number): ActionLine => ({ at_us: 5, node, words: turn, turn });
  let log = append(emptyLog, news([]), [act('crash', 1), act('wipe', 2)]);
  for (let i = 0; i < 2 * LINES_MOST; i += 1) log = append(log, news([]), [act('other', 0)]);
  expect(log.deeds).toEqual({ crashed: true, cut: false, wiped: [2] });
  expect(append(log, news([]), [act('restart', 2)]).deeds.wiped).toEqual([]);
  expect(emptyLog.deeds.crashed).toBe(false);
});

it('is the same log while nothing happens', () => {
  const log = append(emptyLog, news([line(5, 'info')]), []);
  expect(append(log, { next: log.trace, missed: 0, lines: [] }, [])).toBe(log);
});
