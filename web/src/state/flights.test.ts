/** Messages under way, as one picks from them. */
import { describe, expect, it } from 'vitest';
import { MessageFlag } from '../sim/frame';
import { emptyFrame } from '../sim/sample';
import { flightOf, flightsOf, flightWords } from './flights';

/** Three messages at 1 s: the first arrives last, the second is lost, the third is gossip. */
const frame = { ...emptyFrame(3, 3), kinds: ['store', 'heartbeats'] };
frame.messages.number.set([7, 8, 9]);
frame.messages.arrives.set([1_250_000, 1_100_000, 1_050_000]);
frame.messages.from.set([0, 1, 2]);
frame.messages.to.set([1, 2, 0]);
frame.messages.kind.set([0, 0, 1]);
frame.messages.flags.set([0, MessageFlag.lost, 0]);

describe('messages under way', () => {
  it('are listed in the order of their arrival, without those that never arrive', () => {
    expect(flightsOf(frame, 1_000_000, new Set()).map(({ number }) => number)).toEqual([9, 7]);
  });

  it('are left out with their family', () => {
    expect(flightsOf(frame, 1_000_000, new Set(['gossip'])).map(({ number }) => number)).toEqual([7]);
  });

  it('tell where they go and how soon they are there', () => {
    expect(flightWords(flightOf(frame, 7, 1_000_000)!)).toBe('n1 → n2 store, there in 250 ms');
    expect(flightWords(flightOf(frame, 8, 1_000_000)!)).toBe('n2 → n3 store, lost');
  });

  it('are gone when they have arrived', () => {
    expect(flightOf(frame, 6, 1_000_000)).toBeNull();
    expect(flightOf(frame, null, 1_000_000)).toBeNull();
  });
});
