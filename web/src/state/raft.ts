/**
 * The metadata group as the page shows it: who leads, how soon others stand for election, each node's
 * log in a window that all share, and who led when.
 *
 * Pure. Times are in microseconds, indexes those of the log, which begins with 1.
 */
import { NodeFlag, Role, ROLES, type Frame } from '../sim/frame';
import { count, nodeName } from './format';

/** How many entries the window shows. */
export const WINDOW = 24;
/** With reduced motion an arc runs down in so many steps. */
const STEPS = 4;

/** What a node has of an entry, from nothing to everything. */
export type Cell = 'absent' | 'memory' | 'disk' | 'committed' | 'compacted';

/** The indexes that all lanes show, both ends included. */
export interface Window {
  readonly from: number;
  readonly to: number;
}

export interface Lane {
  readonly node: number;
  readonly up: boolean;
  /** Its role; that it is down, halted or suspended comes first. */
  readonly role: string;
  readonly leads: boolean;
  readonly term: number;
  readonly last: number;
  readonly durable: number;
  readonly commit: number;
  /** One for each index of the window. */
  readonly cells: readonly Cell[];
  /** The whole lane in words. */
  readonly words: string;
}

/** Somebody led from one election to the next. */
export interface Band {
  readonly node: number;
  readonly term: number;
  readonly from: number;
  readonly to: number;
}

/** The node that leads in the greatest term; null if none does. */
export function leaderOf(frame: Frame): number | null {
  const leader = frame.nodes.flags.findIndex((flags) => (flags & NodeFlag.leader) !== 0);
  return leader < 0 ? null : leader;
}

/** The name of a node's role. */
export function roleOf(frame: Frame, node: number): (typeof ROLES)[number] {
  return ROLES[frame.nodes.role[node] ?? 0] ?? 'none';
}

/** How much is left of the longest time a node may wait before it stands for election, from 1 to 0. */
export function electionShare(frame: Frame, node: number, view: number, calm = false): number {
  const at = frame.nodes.election[node] ?? -1;
  const longest = 2_000 * frame.electionTimeout;
  if (at < 0 || longest <= 0 || (frame.nodes.flags[node]! & NodeFlag.up) === 0) return 0;
  const share = Math.max(0, Math.min(1, (at - view) / longest));
  return calm ? Math.ceil(share * STEPS) / STEPS : share;
}

/** The latest entries up to the last that any node has. */
export function windowOf(frame: Frame): Window {
  const last = Math.max(1, ...frame.nodes.last);
  const from = Math.max(1, last - WINDOW + 1);
  return { from, to: from + WINDOW - 1 };
}

/** The logs of all nodes. */
export function lanesOf(frame: Frame): Lane[] {
  const window = windowOf(frame);
  return Array.from({ length: frame.nodes.count }, (_, node) => lane(frame, node, window));
}

function lane(frame: Frame, node: number, window: Window): Lane {
  const { nodes } = frame;
  const flags = nodes.flags[node]!;
  const up = (flags & NodeFlag.up) !== 0 && nodes.role[node] !== Role.none;
  const [base, last, durable, commit, term] = [nodes.base[node]!, nodes.last[node]!, nodes.durable[node]!, nodes.commit[node]!, nodes.term[node]!];
  const cells: Cell[] = [];
  for (let index = window.from; index <= window.to; index += 1) {
    if (!up || index > last) cells.push('absent');
    else if (index <= base) cells.push('compacted');
    else if (index <= commit) cells.push('committed');
    else cells.push(index <= durable ? 'disk' : 'memory');
  }
  const role = stateWord(flags) ?? roleOf(frame, node);
  const words = up
    ? `${nodeName(node)}, ${role}, term ${term}: ${count(last, 'entry', 'entries')}, on disk to ${durable}, committed to ${commit}${base > 0 ? `, compacted to ${base}` : ''}`
    : `${nodeName(node)}, ${role}`;
  return { node, up, role, leads: (flags & NodeFlag.leader) !== 0, term, last, durable, commit, cells, words };
}

function stateWord(flags: number): string | null {
  if ((flags & NodeFlag.halted) !== 0) return 'halted';
  if ((flags & NodeFlag.up) === 0) return 'down';
  return (flags & NodeFlag.paused) !== 0 ? 'suspended' : null;
}

/** Who led when, from the numbers of `Sim.elections`: of each election its time, the node and its term. */
export function bandsOf(elections: Float64Array, end: number): Band[] {
  const bands: Band[] = [];
  for (let i = 0; i + 2 < elections.length; i += 3) {
    const [from, node, term] = [elections[i]!, elections[i + 1]!, elections[i + 2]!];
    bands.push({ from, node, term, to: Math.max(from, elections[i + 3] ?? end) });
  }
  return bands;
}

/** Who was elected last before a moment, and may be down since, in words; nothing if nobody was. */
export function bandWords(bands: readonly Band[], at: number): string {
  const band = bands.findLast(({ from }) => from <= at);
  return band === undefined ? '' : `${nodeName(band.node)}, leader of term ${band.term}`;
}
