/**
 * The courses that a run has taken: one track per branch, from where it left another to where it ends.
 *
 * Pure. Times are in microseconds. A branch has the past of the one it left, so what happened on it is
 * what happened there until then, and then its own.
 */
import type { Mark } from 'kv-wasm';
import { count, formatClock } from './format';

export interface Track {
  /** The branch it left; null for the first. */
  readonly parent: number | null;
  readonly from: number;
  readonly end: number;
  /** How many actions it holds, those of its past included. */
  readonly actions: number;
}

export interface Tracks {
  /** The branch shown. */
  readonly shown: number;
  readonly all: readonly Track[];
}

export const firstTrack: Tracks = { shown: 0, all: [{ parent: null, from: 0, end: 0, actions: 0 }] };

/** The tracks as the core lists them: see `Sim.tracks`. */
export function readTracks(numbers: Float64Array): Tracks {
  const all: Track[] = [];
  for (let i = 1; i + 3 < numbers.length; i += 4) {
    const [parent, from, end, actions] = [numbers[i]!, numbers[i + 1]!, numbers[i + 2]!, numbers[i + 3]!];
    all.push({ parent: parent < 0 ? null : parent, from, end, actions });
  }
  return { shown: numbers[0] ?? 0, all };
}

/** How far any branch goes. */
export function extent(tracks: Tracks): number {
  return Math.max(1_000_000, ...tracks.all.map(({ end }) => end));
}

/** What was done on a branch, from the beginning of the run on. */
export function marksOf(tracks: Tracks, branch: number, own: readonly (readonly Mark[])[]): Mark[] {
  const marks: Mark[][] = [];
  let until = Infinity;
  for (let at: number | null = branch; at !== null; ) {
    const track: Track | undefined = tracks.all[at];
    const limit = until;
    marks.unshift((own[at] ?? []).filter(({ at_us }) => at_us <= limit));
    if (track === undefined) break;
    until = Math.min(until, track.from);
    at = track.parent;
  }
  return marks.flat();
}

/** A branch in words. */
export function trackWords(tracks: Tracks, branch: number): string {
  const track = tracks.all[branch];
  if (track === undefined) return '';
  const name = `Branch ${branch + 1}`;
  const until = `until ${formatClock(track.end)}`;
  if (track.parent === null) return `${name}: from the beginning ${until}, ${count(track.actions, 'action')}`;
  return `${name}: left branch ${track.parent + 1} at ${formatClock(track.from)}, ${until}, ${count(track.actions, 'action')}`;
}

/** Where to go on a branch from a moment of another: the same time, if it has been there. */
export function sameTime(tracks: Tracks, branch: number, now: number): number {
  const track = tracks.all[branch];
  return track === undefined ? now : Math.min(now, track.end);
}
