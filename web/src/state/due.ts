/**
 * What happens next, so that a quiet screen is never a dead one: the message that arrives first or the
 * deadline that passes first. Clients and disks are not foreseen here.
 */
import { MessageFlag, NodeFlag, type Frame } from '../sim/frame';
import { formatSpan, nodeName } from './format';

export interface Due {
  /** When, in microseconds. */
  readonly at: number;
  /** What, without the time. */
  readonly what: string;
}

/** The next thing due after `view`; null if nothing ever is. */
export function nextDue(frame: Frame, view: number): Due | null {
  let best: Due | null = null;
  const offer = (at: number, what: () => string) => {
    if (at > view && (best === null || at < best.at)) best = { at, what: what() };
  };
  const { messages, nodes } = frame;
  for (let i = 0; i < messages.count; i += 1) {
    if ((messages.flags[i]! & MessageFlag.lost) !== 0) continue;
    offer(messages.arrives[i]!, () => {
      const kind = (frame.kinds[messages.kind[i]!] ?? 'a message').replaceAll('_', ' ');
      return `${nodeName(messages.to[i]!)} gets ${kind} from ${nodeName(messages.from[i]!)}`;
    });
  }
  for (let i = 0; i < nodes.count; i += 1) {
    const alive = (nodes.flags[i]! & NodeFlag.up) !== 0;
    if (alive && nodes.deadline[i]! >= 0) offer(nodes.deadline[i]!, () => `${nodeName(i)}’s timer`);
  }
  return best;
}

/** The same in one line. */
export function dueWords(due: Due | null, view: number): string {
  return due === null ? 'nothing is due' : `next: ${due.what} in ${formatSpan(due.at - view)}`;
}
