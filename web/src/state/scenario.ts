/**
 * "Kill the leader": what to watch after the leader of the metadata group crashed, and what came of it.
 *
 * A pure function of the frame and of what was killed. It is over when that node runs again, or when one
 * looks at a moment before its crash.
 */
import { NodeFlag, Role, type Frame } from '../sim/frame';
import { formatSpan, nodeName } from './format';
import { leaderOf } from './raft';
import { nodesDown, type Story } from './story';

/** A leader that was killed. */
export interface Killed {
  readonly node: number;
  /** The term it led in. */
  readonly term: number;
  /** When, in microseconds. */
  readonly at: number;
}

/** What a kill of the present leader would be; null if nobody leads. */
export function killOf(frame: Frame): Killed | null {
  const node = leaderOf(frame);
  return node === null ? null : { node, term: frame.nodes.term[node]!, at: frame.now };
}

/** What to say of the scenario; null if it is over. `electedAt` is when the present leader was elected. */
export function scenario(frame: Frame, killed: Killed | null, playing: boolean, electedAt: number | null): Story | null {
  if (killed === null || frame.now < killed.at || (frame.nodes.flags[killed.node]! & NodeFlag.up) !== 0) return null;
  const name = nodeName(killed.node);
  const down = nodesDown(frame);
  const offer = {
    label: down.length > 1 ? 'Bring them back' : `Bring ${name} back`,
    acts: down.map((node) => ({ kind: 'restart' as const, node })),
  };
  const leader = leaderOf(frame);
  if (leader !== null && frame.nodes.term[leader]! > killed.term) {
    return { words: elected(frame, leader, killed, electedAt), offer };
  }
  const standing = [...frame.nodes.role].findIndex((role) => role === Role.candidate || role === Role.preCandidate);
  if (standing >= 0) {
    const asks = frame.nodes.role[standing] === Role.preCandidate;
    const words = asks
      ? `${nodeName(standing)} has waited long enough and asks whether it would be elected, before it unsettles anybody with a new term.`
      : `${nodeName(standing)} stands for election in term ${frame.nodes.term[standing]}: a majority of the voters must vote for it.`;
    return { words, offer };
  }
  const gone = `${name} led the log of changes of the cluster in term ${killed.term} and is gone`;
  const waits = frame.nodes.election.some((at) => at >= 0);
  if (!waits) return { words: `${gone}. Nobody who is left votes, so changes of the members wait until it is back.`, offer };
  const todo = playing ? '' : ' Press play.';
  return { words: `${gone}; reads and writes go on. Watch the arcs: the first timer to run out asks for votes.${todo}`, offer };
}

function elected(frame: Frame, leader: number, killed: Killed, electedAt: number | null): string {
  const after = electedAt === null || electedAt < killed.at ? '' : `, ${formatSpan(electedAt - killed.at)} after ${nodeName(killed.node)} fell`;
  const who = `${nodeName(leader)} leads in term ${frame.nodes.term[leader]}${after}.`;
  const settled = frame.nodes.commit[leader]! === frame.nodes.last[leader]!;
  return settled
    ? `${who} Its log is committed to entry ${frame.nodes.commit[leader]}, so members can join and leave again.`
    : `${who} Until a majority has its first entry on disk, changes of the members wait.`;
}
