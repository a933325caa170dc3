/**
 * The event log: what nodes did and what the reader did, in one order, bounded.
 *
 * Changes of state and single requests are kept apart, so that a busy cluster does not wash away the
 * line that says why a node went down.
 */
import type { ActionLine, TraceLine } from 'kv-wasm';
import { noDeeds, remember, type Deeds } from './story';

export interface LogLine {
  /** Unique in a run. */
  readonly id: string;
  readonly at: number;
  readonly node: number | null;
  readonly words: string;
  readonly cause: string;
  readonly weight: TraceLine['weight'] | 'you';
}

export interface Log {
  /** What the reader did, and changes of state. */
  readonly notable: readonly LogLine[];
  /** Single requests and messages. */
  readonly detail: readonly LogLine[];
  /** What to ask for next. */
  readonly trace: number;
  readonly actions: number;
  /** How many trace entries came and went unseen. */
  readonly missed: number;
  /** What all actions so far come to, also those whose lines are gone. */
  readonly deeds: Deeds;
}

export const emptyLog: Log = { notable: [], detail: [], trace: 0, actions: 0, missed: 0, deeds: noDeeds };

/** How many lines of each sort are kept. */
export const LINES_MOST = 400;

/** The log after more news. */
export function append(log: Log, trace: { next: number; missed: number; lines: TraceLine[] }, actions: ActionLine[]): Log {
  if (trace.lines.length === 0 && actions.length === 0 && trace.next === log.trace) return log;
  const mine = actions.map((line, index): LogLine => ({
    id: `a${log.actions + index}`, at: line.at_us, node: line.node ?? null, words: line.words, cause: '', weight: 'you',
  }));
  const theirs = trace.lines.map((line): LogLine => ({
    id: `t${line.index}`, at: line.at_us, node: line.node, words: line.words, cause: line.cause, weight: line.weight,
  }));
  const keep = (lines: readonly LogLine[], news: LogLine[]) => (news.length === 0 ? lines : merge(lines, news));
  return {
    notable: keep(log.notable, [...mine, ...theirs.filter(({ weight }) => weight !== 'trace')]),
    detail: keep(log.detail, theirs.filter(({ weight }) => weight === 'trace')),
    trace: trace.next,
    actions: log.actions + actions.length,
    missed: log.missed + trace.missed,
    deeds: actions.reduce(remember, log.deeds),
  };
}

/** The lines to show, newest first. */
export function visible(log: Log, filter: { node: number | null; detail: boolean }): LogLine[] {
  const lines = filter.detail ? merge(log.notable, log.detail) : log.notable;
  const wanted = filter.node === null ? lines : lines.filter(({ node }) => node === filter.node || node === null);
  return wanted.slice(-LINES_MOST).reverse();
}

/** Both in the order of time; what came first stays first. */
function merge(a: readonly LogLine[], b: readonly LogLine[]): LogLine[] {
  return [...a, ...b].sort((x, y) => x.at - y.at).slice(-LINES_MOST);
}
