/** Tracks of branches: how the core lists them, and what belongs to the past of each. */
import type { Mark } from 'kv-wasm';
import { describe, expect, it } from 'vitest';
import { extent, firstTrack, marksOf, readTracks, sameTime, trackWords } from './tracks';

const mark = (at_us: number): Mark => ({ at_us, deed: 'fault', words: `at ${at_us}` });

describe('tracks', () => {
  // Branch 2 left branch 1 at 5 s, branch 3 left branch 2 at 7 s.
  const tracks = readTracks(Float64Array.of(2, -1, 0, 9e6, 2, 0, 5e6, 8e6, 3, 1, 7e6, 12e6, 4));
  const own = [[mark(1e6), mark(8e6)], [mark(6e6), mark(7.5e6)], [mark(11e6)]];

  it('are read as the core lists them', () => {
    expect(tracks.shown).toBe(2);
    expect(tracks.all[0]).toEqual({ parent: null, from: 0, end: 9e6, actions: 2 });
    expect(tracks.all[2]).toEqual({ parent: 1, from: 7e6, end: 12e6, actions: 4 });
    expect(extent(tracks)).toBe(12e6);
    expect(extent(firstTrack)).toBe(1e6);
  });

  it('have the past of the branch they left, and nothing that came after', () => {
    expect(marksOf(tracks, 0, own).map(({ at_us }) => at_us)).toEqual([1e6, 8e6]);
    expect(marksOf(tracks, 1, own).map(({ at_us }) => at_us)).toEqual([1e6, 6e6, 7.5e6]);
    expect(marksOf(tracks, 2, own).map(({ at_us }) => at_us)).toEqual([1e6, 6e6, 11e6]);
  });

  it('say in words where they come from', () => {
    expect(trackWords(tracks, 0)).toBe('Branch 1: from the beginning until 0:09.000, 2 actions');
    expect(trackWords(tracks, 2)).toBe('Branch 3: left branch 2 at 0:07.000, until 0:12.000, 4 actions');
    expect(sameTime(tracks, 1, 11e6)).toBe(8e6);
    expect(sameTime(tracks, 1, 4e6)).toBe(4e6);
  });
});
