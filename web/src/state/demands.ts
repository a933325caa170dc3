/**
 * What one may demand of the store, and what it is called when that is not met. The judges are the
 * core's (`kv-core/src/check`); here are only the words for people.
 */

import type { VerdictObject } from 'kv-wasm';

/** The demands that the verdict strip shows, by the core's names. */
export const DEMANDS: Readonly<Record<string, { label: string; meaning: string }>> = {
  latest: {
    label: 'The latest write is seen',
    meaning: 'Whoever begins after something was written or read knows all that was known then; writes too, for they read first.',
  },
  sessions: {
    label: 'Clients see what they did',
    meaning: 'No client sees less than it wrote or saw before, on whichever node it asks.',
  },
  sound: {
    label: 'Nothing is made up',
    meaning: 'Each version is one write, what failed leaves nothing, and sound requests are accepted.',
  },
  linearizable: {
    label: 'As if there were one copy',
    meaning: 'In the strong keyspace one order of all operations explains every answer, and nothing takes effect before it was asked or after it was answered.',
  },
};

/** Those of the verdicts that say something: about nothing at all everything holds. */
export function telling(verdicts: readonly VerdictObject[]): VerdictObject[] {
  return verdicts.filter(({ judged, says }) => judged > 0 || says === 'wrong');
}

/** What only a search can demand, for it takes the end of all faults. */
export const RECOVERS = {
  label: 'It recovers',
  meaning: 'When all faults end, the cluster is whole in a few seconds, every request was answered, and all replicas agree.',
};

const TITLES: Readonly<Record<string, string>> = {
  'no lost update': 'A client missed the latest write',
  'no resurrection': 'A value that was replaced came back',
  'read your writes': 'A client did not see its own write',
  'monotonic reads': 'A client saw less than it had seen before',
  'monotonic writes': 'A client’s writes took effect out of order',
  'writes follow reads': 'A write came before what its client had read',
  'one value per dot': 'One version has two values',
  'failed writes leave nothing': 'A write that failed was done all the same',
  'sound requests are accepted': 'A sound request was refused',
  'durable before said': 'A node told what its disk did not hold',
  'answers in time': 'A request was not answered in time',
  linearizability: 'No one order explains the answers',
  recovery: 'The cluster did not recover',
  convergence: 'Replicas stayed different',
  'bounded queues': 'A queue grew without a bound',
};

/** A broken promise as a headline. */
export function headline(promise: string): string {
  return TITLES[promise] ?? `Broken promise: ${promise}`;
}
