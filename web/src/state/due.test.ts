/** What happens next. */
import { expect, it } from 'vitest';
import { MessageFlag, NodeFlag } from '../sim/frame';
import { emptyFrame } from '../sim/sample';
import { dueWords, nextDue } from './due';

it('names the first arrival or deadline, but nothing lost, dead or past', () => {
  const frame = { ...emptyFrame(3, 2), kinds: ['hand_off'] };
  frame.nodes.flags.set([NodeFlag.up, 0, NodeFlag.up]);
  frame.nodes.deadline.set([900, 10, 5]);
  frame.messages.arrives.set([100, 400]);
  frame.messages.from.set([0, 2]);
  frame.messages.to.set([1, 0]);
  frame.messages.flags.set([MessageFlag.lost, 0]);
  expect(nextDue(frame, 50)).toEqual({ at: 400, what: 'n1 gets hand off from n3' });
  expect(dueWords(nextDue(frame, 450), 450)).toBe('next: n1’s timer in 450 µs');
  expect(dueWords(nextDue(frame, 1_000), 1_000)).toBe('nothing is due');
});
