/** The story says what is on the screen and offers the one thing that leads on. */
import { describe, expect, it } from 'vitest';
import { NodeFlag, type Frame } from '../sim/frame';
import { emptyFrame } from '../sim/sample';
import { noDeeds, remember, story } from './story';

const quorums = { read: 2, write: 2 };
const both = (a: number, b: number): [number, number][] => [[a, b], [b, a]];

interface Wrong {
  nodes?: number;
  down?: number[];
  damaged?: number[];
  paused?: number[];
  halted?: number[];
  suspectedBy?: number;
  cuts?: [number, number][];
}

function frame({ nodes = 5, down = [], damaged = [], paused = [], halted = [], suspectedBy = 0, cuts = [] }: Wrong = {}): Frame {
  const empty = emptyFrame(nodes);
  for (let i = 0; i < nodes; i += 1) empty.nodes.flags[i] = down.includes(i) ? 0 : NodeFlag.up;
  for (const node of damaged) empty.nodes.flags[node] = NodeFlag.damaged;
  for (const node of paused) empty.nodes.flags[node]! |= NodeFlag.paused;
  for (const node of halted) empty.nodes.flags[node]! |= NodeFlag.halted;
  for (const node of [...down, ...paused, ...halted]) empty.nodes.suspectedBy[node] = suspectedBy;
  return { ...empty, isCut: (from, to) => cuts.some(([a, b]) => a === from && b === to) };
}

describe('the story', () => {
  it('begins with one thing to click', () => {
    const { words, offer } = story(frame(), noDeeds, quorums);
    expect(words).toContain('5 nodes keep every key on 3 of them');
    expect(offer).toEqual({ label: 'Kill n3 now', acts: [{ kind: 'crash', node: 2 }] });
  });

  it('claims nothing of keys before there is a cluster', () => {
    const { words, offer } = story({ ...frame(), replicas: 0 }, noDeeds, quorums);
    expect(words).toContain('5 nodes form a cluster');
    expect(offer).toBeNull();
  });

  it('counts no more replicas than there are nodes', () => {
    expect(story(frame({ nodes: 2 }), noDeeds, quorums).words).toContain('2 nodes keep every key on each of them');
    expect(story(frame({ nodes: 1 }), noDeeds, { read: 1, write: 1 }).words).toContain('One node keeps every key');
    const { words } = story(frame({ nodes: 2, down: [1] }), noDeeds, quorums);
    expect(words).toContain('A quorum of 2 of 2 leaves no spare');
    expect(story(frame({ nodes: 2, cuts: both(0, 1) }), noDeeds, quorums).words).not.toContain('others');
  });

  it('tells a fresh crash from a suspected one', () => {
    expect(story(frame({ down: [2] }), noDeeds, quorums).words).toContain('Nobody has noticed yet');
    const late = story(frame({ down: [2], suspectedBy: 4 }), noDeeds, quorums);
    expect(late.words).toContain('4 of 4 others');
    expect(late.words).toContain('2 of 3 replicas still answer');
    expect(late.offer?.acts).toEqual([{ kind: 'restart', node: 2 }]);
  });

  it('warns when no replica is to spare', () => {
    expect(story(frame({ down: [2] }), noDeeds, { read: 1, write: 3 }).words).toContain('no spare');
    expect(story(frame({ down: [0, 2] }), noDeeds, quorums).words).toContain('no quorum');
    expect(story(frame({ down: [0, 2] }), noDeeds, { read: 1, write: 1 }).words).toContain('Still every key has its quorum');
  });

  it('says so when nobody is left', () => {
    const all = { ...frame({ down: [0, 1, 2, 3, 4] }), replicas: 0 };
    expect(story(all, noDeeds, quorums).words).toBe('n1, n2, n3, n4, n5 have lost power. Nobody is left to answer, and clients are told so.');
  });

  it('counts whoever does not answer, whatever the reason', () => {
    const { words, offer } = story(frame({ down: [2], paused: [1], suspectedBy: 3 }), noDeeds, quorums);
    expect(words).toContain('n2 is suspended and n3 has lost power');
    expect(words).toContain('no quorum');
    expect(words).not.toContain('still answer');
    expect(offer?.acts).toEqual([{ kind: 'resume', node: 1 }, { kind: 'restart', node: 2 }]);
    expect(story(frame({ paused: [1] }), noDeeds, quorums).words).toContain('n2 is suspended');
    const { words: rotten, offer: again } = story(frame({ damaged: [2] }), noDeeds, quorums);
    expect(rotten).toContain('n3 cannot start, for its disk is damaged');
    expect(again?.acts).toEqual([{ kind: 'wipe', node: 2 }, { kind: 'restart', node: 2 }]);
    expect(story(frame({ damaged: [1, 2] }), noDeeds, quorums).words).toContain('n2, n3 cannot start, for their disks are damaged');
    expect(story(frame({ down: [2], cuts: both(0, 1) }), noDeeds, quorums).words).toBe(
      'n3 has lost power. Besides, n1 and n2 cannot hear each other. A request that cannot reach its quorum is refused before anything is changed.',
    );
  });

  it('says that a node has halted, and how it comes back', () => {
    const { words, offer } = story(frame({ halted: [2] }), noDeeds, quorums);
    expect(words).toContain('n3 has halted');
    expect(offer?.acts).toEqual([{ kind: 'crash', node: 2 }, { kind: 'restart', node: 2 }]);
  });

  it('tells a lost disk from lost power', () => {
    const wiped = remember(noDeeds, { turn: 'wipe', node: 2 });
    expect(story(frame({ down: [2] }), wiped, quorums).words).toContain('n3 has lost its disk');
    const again = remember(remember(wiped, { turn: 'restart', node: 2 }), { turn: 'crash', node: 2 });
    expect(story(frame({ down: [2] }), again, quorums).words).toContain('n3 has lost power');
  });

  it('goes on to the links, and then lets go', () => {
    const crashed = remember(remember(noDeeds, { turn: 'crash', node: 2 }), { turn: 'restart', node: 2 });
    expect(story(frame(), crashed, quorums).offer?.label).toBe('Cut n1 from n2');
    expect(story(frame(), remember(crashed, { turn: 'cut', node: undefined }), quorums).offer).toBeNull();
  });

  it('says what cuts come to', () => {
    const told = (cuts: [number, number][], read = 2) => story(frame({ cuts }), noDeeds, { read, write: 2 }).words;
    expect(told(both(0, 1))).toContain('n1 and n2 cannot hear each other, but the others hear both');
    expect(told([[0, 1]])).toContain('n2 no longer hears n1');
    expect(told([...both(0, 1), ...both(2, 3)])).toContain('2 links are cut, but there is a way round');
    const alone = [1, 2, 3, 4].flatMap((other) => both(0, other));
    expect(told(alone)).toBe(
      'n1 is cut off from all others. Keys are read and written only where 2 of their 3 replicas are on one side; elsewhere clients are refused, rather than told what may be old.',
    );
    expect(told(alone, 1)).toContain('One replica is enough for reads: a side goes on');
    const halves = [0, 1].flatMap((a) => [2, 3, 4].flatMap((b) => both(a, b)));
    expect(told(halves)).toContain('n1, n2 and n3, n4, n5 cannot hear each other');
    expect(told([[1, 0], [2, 0], [3, 0], [4, 0]])).toContain('messages pass one way at most');
  });
});
