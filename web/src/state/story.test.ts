/** The story says what is on the screen and offers the one thing that leads on. */
import { describe, expect, it } from 'vitest';
import { NodeFlag, type Frame } from '../sim/frame';
import { emptyFrame } from '../sim/sample';
import { noDeeds, remember, story } from './story';

const quorums = { read: 2, write: 2 };

function frame({ down = [] as number[], suspectedBy = 0, cuts = [] as [number, number][] } = {}): Frame {
  const empty = emptyFrame(5);
  for (let i = 0; i < 5; i += 1) empty.nodes.flags[i] = down.includes(i) ? 0 : NodeFlag.up;
  for (const node of down) empty.nodes.suspectedBy[node] = suspectedBy;
  return { ...empty, isCut: (from, to) => cuts.some(([a, b]) => a === from && b === to) };
}

describe('the story', () => {
  it('begins with one thing to click', () => {
    const { words, offer } = story(frame(), noDeeds, quorums);
    expect(words).toContain('5 nodes keep every key on 3 of them');
    expect(offer).toEqual({ label: 'Kill n3 now', acts: [{ kind: 'crash', node: 2 }] });
  });

  it('tells a fresh crash from a suspected one', () => {
    expect(story(frame({ down: [2] }), noDeeds, quorums).words).toContain('Nobody has noticed yet');
    const late = story(frame({ down: [2], suspectedBy: 4 }), noDeeds, quorums);
    expect(late.words).toContain('4 of 4 others');
    expect(late.offer?.acts).toEqual([{ kind: 'restart', node: 2 }]);
  });

  it('warns when no replica is to spare', () => {
    expect(story(frame({ down: [2] }), noDeeds, { read: 1, write: 3 }).words).toContain('no spare');
    expect(story(frame({ down: [0, 2] }), noDeeds, quorums).words).toContain('no quorum');
    expect(story(frame({ down: [0, 2] }), noDeeds, { read: 1, write: 1 }).words).toContain('still every key has its quorum');
  });

  it('goes on to the links, and then lets go', () => {
    const crashed = remember(remember(noDeeds, { kind: 'crash', node: 2 }), { kind: 'restart', node: 2 });
    expect(story(frame(), crashed, quorums).offer?.label).toBe('Cut n1 from n2');
    expect(story(frame({ cuts: [[0, 1], [1, 0]] }), crashed, quorums).words).toContain('cannot hear each other');
    expect(story(frame({ cuts: [[0, 1]] }), crashed, quorums).words).toContain('n2 no longer hears n1');
    expect(story(frame(), remember(crashed, { kind: 'cut', from: 0, to: 1 }), quorums).offer).toBeNull();
  });
});
