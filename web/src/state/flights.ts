/**
 * Messages under way as one picks them, to lose one or to hold it up.
 *
 * Pure. Times are in microseconds. Left out: where they are drawn.
 */
import { MessageFlag, type Frame } from '../sim/frame';
import { lookOf, type Family } from '../stage/families';
import { formatSpan, nodeName } from './format';

export interface Flight {
  readonly number: number;
  readonly lost: boolean;
  /** How long until it arrives. */
  readonly left: number;
  /** From where to where it goes, and what it is. */
  readonly words: string;
}

/** So many at most can be picked from. */
const MOST = 300;

/** The message of a number at the moment `view`; null if it is not under way. */
export function flightOf(frame: Frame, number: number | null, view: number): Flight | null {
  const index = number === null ? -1 : frame.messages.number.indexOf(number);
  return index < 0 ? null : flight(frame, index, view);
}

/** The messages that will arrive, of families that are not hidden, in the order of their arrival. */
export function flightsOf(frame: Frame, view: number, hidden: ReadonlySet<Family>): Flight[] {
  const { kind, number } = frame.messages;
  return Array.from(number, (_, index) => index)
    .filter((index) => !hidden.has(lookOf(frame.kinds[kind[index]!]).family))
    .map((index) => flight(frame, index, view))
    .filter(({ lost }) => !lost)
    .sort((a, b) => a.left - b.left || a.number - b.number)
    .slice(0, MOST);
}

function flight({ messages, kinds }: Frame, index: number, view: number): Flight {
  const left = Math.max(0, messages.arrives[index]! - view);
  const kind = (kinds[messages.kind[index]!] ?? 'message').replaceAll('_', ' ');
  return {
    number: messages.number[index]!,
    lost: (messages.flags[index]! & MessageFlag.lost) !== 0,
    left,
    words: `${nodeName(messages.from[index]!)} → ${nodeName(messages.to[index]!)} ${kind}`,
  };
}

/** A message and how long it still takes. */
export function flightWords({ words, lost, left }: Flight): string {
  return lost ? `${words}, lost` : `${words}, there in ${formatSpan(left)}`;
}
