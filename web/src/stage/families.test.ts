/** Every kind of message has a look; those of Raft are a family of their own. */
import { expect, it } from 'vitest';
import { lookOf } from './families';

it('tells families and replies apart', () => {
  expect(lookOf('vote')).toEqual({ family: 'raft', shape: 'triangle', reply: false });
  expect(lookOf('append_reply')).toEqual({ family: 'raft', shape: 'square', reply: true });
  expect(lookOf('heartbeat').family).toBe('raft');
  expect(lookOf('heartbeats').family).toBe('gossip');
  expect(lookOf('stored')).toEqual({ family: 'replication', shape: 'square', reply: true });
  expect(lookOf('strong_answer')).toEqual({ family: 'replication', shape: 'triangle', reply: true });
  expect(lookOf('of another release').family).toBe('membership');
});
