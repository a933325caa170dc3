/** The metadata group as it is shown: leader, arcs, lanes and bands. */
import { describe, expect, it } from 'vitest';
import { NodeFlag, Role, type Frame } from '../sim/frame';
import { emptyFrame } from '../sim/sample';
import { bandsOf, bandWords, electionShare, lanesOf, leaderOf, WINDOW, windowOf } from './raft';

interface Replica { role: number; term: number; base: number; last: number; durable: number; commit: number }

function frame(...replicas: (Partial<Replica> | null)[]): Frame {
  const empty = emptyFrame(replicas.length);
  replicas.forEach((replica, node) => {
    if (replica === null) return;
    const { role = Role.follower, term = 2, base = 0, last = 0, durable = last, commit = 0 } = replica;
    empty.nodes.flags[node] = NodeFlag.up | (role === Role.leader ? NodeFlag.leader : 0);
    Object.entries({ role, term, base, last, durable, commit }).forEach(([name, value]) => {
      empty.nodes[name as keyof Replica][node] = value;
    });
  });
  return empty;
}

describe('the lanes', () => {
  const shown = frame({ role: Role.leader, base: 2, last: 7, durable: 6, commit: 4 }, { last: 5, commit: 4 }, null);

  it('tell of each entry how far it has come', () => {
    const [first, second, third] = lanesOf(shown);
    expect(first!.cells.slice(0, 8)).toEqual(['compacted', 'compacted', 'committed', 'committed', 'disk', 'disk', 'memory', 'absent']);
    expect(second!.cells.slice(3, 6)).toEqual(['committed', 'disk', 'absent']);
    expect(third!.cells.every((cell) => cell === 'absent')).toBe(true);
    expect(first).toMatchObject({ role: 'leader', leads: true, term: 2 });
  });

  it('say the same in words', () => {
    const words = lanesOf(shown).map((lane) => lane.words);
    expect(words[0]).toBe('n1, leader, term 2: 7 entries, on disk to 6, committed to 4, compacted to 2');
    expect(words[2]).toBe('n3, down');
  });

  it('show the latest entries in one window', () => {
    expect(windowOf(shown)).toEqual({ from: 1, to: WINDOW });
    expect(windowOf(frame({ last: 100 }, { last: 90 }))).toEqual({ from: 100 - WINDOW + 1, to: 100 });
    expect(lanesOf(frame({ last: 100 }, { last: 90 }))[1]!.cells).toHaveLength(WINDOW);
  });
});

describe('the leader and the arcs', () => {
  it('is the node with the flag, or nobody', () => {
    expect(leaderOf(frame({}, { role: Role.leader }))).toBe(1);
    expect(leaderOf(frame({}, {}))).toBeNull();
  });

  it('runs down over twice the timeout, in quarters with less motion', () => {
    const waiting = frame({});
    waiting.nodes.election[0] = 1_500_000;
    expect(electionShare(waiting, 0, 0)).toBeCloseTo(0.75);
    expect(electionShare(waiting, 0, 1_100_000)).toBeCloseTo(0.2);
    expect(electionShare(waiting, 0, 1_100_000, true)).toBe(0.25);
    expect(electionShare(waiting, 0, 9_000_000)).toBe(0);
    expect(electionShare(frame({ role: Role.leader }), 0, 0)).toBe(0);
    expect(electionShare(frame(null), 0, 0)).toBe(0);
  });
});

describe('the bands', () => {
  const bands = bandsOf(Float64Array.of(1e5, 0, 2, 7e6, 3, 4), 9e6);

  it('last from one election to the next, the last one to the end', () => {
    expect(bands).toEqual([{ from: 1e5, node: 0, term: 2, to: 7e6 }, { from: 7e6, node: 3, term: 4, to: 9e6 }]);
    expect(bandsOf(new Float64Array(), 9e6)).toEqual([]);
  });

  it('say who was elected last at a moment', () => {
    expect([bandWords(bands, 0), bandWords(bands, 6e6), bandWords(bands, 7e6)]).toEqual(['', 'n1, leader of term 2', 'n4, leader of term 4']);
  });
});
