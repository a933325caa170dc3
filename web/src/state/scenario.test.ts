/** The sentences of "Kill the leader", from the crash to the next leader. */
import { describe, expect, it } from 'vitest';
import { NodeFlag, Role, type Frame } from '../sim/frame';
import { emptyFrame } from '../sim/sample';
import { killOf, scenario } from './scenario';

const killed = { node: 0, term: 2, at: 5e6 };

function frame(roles: number[], { term = 2, commit = 9, now = 6e6 } = {}): Frame {
  const empty = emptyFrame(roles.length);
  roles.forEach((role, node) => {
    empty.nodes.flags[node] = (role === Role.none ? 0 : NodeFlag.up) | (role === Role.leader ? NodeFlag.leader : 0);
    empty.nodes.role[node] = role;
    empty.nodes.election[node] = role === Role.follower ? 7e6 : -1;
    empty.nodes.term[node] = term;
    empty.nodes.last[node] = 9;
    empty.nodes.commit[node] = commit;
  });
  return { ...empty, now };
}

const { none, follower, learner, preCandidate, candidate, leader } = Role;
const words = (shown: Frame, playing = true, electedAt: number | null = null) => scenario(shown, killed, playing, electedAt)?.words;

describe('killing the leader', () => {
  it('takes the one that leads, if one does', () => {
    expect(killOf(frame([follower, leader]))).toEqual({ node: 1, term: 2, at: 6e6 });
    expect(killOf(frame([follower, follower]))).toBeNull();
  });

  it('tells what to watch, then who asks, who stands and who leads', () => {
    expect(words(frame([none, follower, follower]))).toMatch(/Watch the arcs.*votes\.$/);
    expect(words(frame([none, follower, follower]), false)).toContain('Press play');
    expect(words(frame([none, preCandidate, follower]))).toContain('n2 has waited long enough');
    expect(words(frame([none, follower, candidate], { term: 3 }))).toContain('n3 stands for election in term 3');
    expect(words(frame([none, follower, leader], { term: 3, commit: 8 }), true, 6.5e6)).toMatch(/^n3 leads in term 3, 1.5 s after n1 fell\..*wait/);
    expect(words(frame([none, follower, leader], { term: 3 }))).toContain('join and leave again');
  });

  it('does not promise an election where nobody is left to vote', () => {
    expect(words(frame([none, learner]))).toContain('Nobody who is left votes');
  });

  it('does not take the old leader for a new one', () => {
    expect(words(frame([none, leader, follower], { term: 2 }))).toContain('Watch the arcs');
  });

  it('offers to bring it back, and is over when it runs or had not crashed yet', () => {
    expect(scenario(frame([none, follower]), killed, true, null)?.offer?.acts).toEqual([{ kind: 'restart', node: 0 }]);
    expect(scenario(frame([follower, leader], { term: 3 }), killed, true, null)).toBeNull();
    expect(scenario(frame([none, follower], { now: 4e6 }), killed, true, null)).toBeNull();
    expect(scenario(frame([none, follower]), null, true, null)).toBeNull();
  });
});
