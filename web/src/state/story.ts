/**
 * The one sentence above the stage, and the one thing to do next.
 *
 * A pure function of what is on the screen and what the reader has done so far. It waits for what
 * happens, never for time. Left out: lessons, which come with their own steps.
 */
import type { Act } from 'kv-wasm';
import { NodeFlag, type Frame } from '../sim/frame';
import { count, nodeName } from './format';

export interface Story {
  readonly words: string;
  readonly offer: { readonly label: string; readonly acts: Act[] } | null;
}

/** What the reader has done in this run. */
export interface Deeds {
  readonly crashed: boolean;
  readonly restarted: boolean;
  readonly cut: boolean;
  readonly mended: boolean;
}

export const noDeeds: Deeds = { crashed: false, restarted: false, cut: false, mended: false };

/** The deeds after another action. */
export function remember(deeds: Deeds, act: Act): Deeds {
  switch (act.kind) {
    case 'crash': return { ...deeds, crashed: true };
    case 'restart': return { ...deeds, restarted: true };
    case 'cut': case 'partition': return { ...deeds, cut: true };
    case 'mend': case 'heal': return { ...deeds, mended: true };
    default: return deeds;
  }
}

/** R and W, as the cluster has them now. */
export interface Quorums {
  readonly read: number;
  readonly write: number;
}

/** What to say now. */
export function story(frame: Frame, deeds: Deeds, quorums: Quorums): Story {
  const down = nodesDown(frame);
  const cut = firstCut(frame);
  if (down.length > 1) return manyDown(frame, down, quorums);
  if (down.length === 1) return oneDown(frame, down[0]!, quorums);
  if (cut !== null) return linkCut(cut);
  const { nodes, replicas } = frame;
  const victim = Math.min(2, nodes.count - 1);
  if (!deeds.crashed) {
    return {
      words: `${nodes.count} nodes keep every key on ${replicas} of them while clients read and write. Take one away and see who notices.`,
      offer: { label: `Kill ${nodeName(victim)} now`, acts: [{ kind: 'crash', node: victim }] },
    };
  }
  if (!deeds.cut && nodes.count > 1) {
    return {
      words: 'It read its log back: nothing that was acknowledged is lost, and reads mend what it missed. Now let two nodes stop hearing each other.',
      offer: { label: 'Cut n1 from n2', acts: [{ kind: 'cut', from: 0, to: 1 }, { kind: 'cut', from: 1, to: 0 }] },
    };
  }
  return {
    words: 'All is whole again. Click any node or line, drag any setting. Share copies a link to exactly this run.',
    offer: null,
  };
}

function oneDown(frame: Frame, node: number, quorums: Quorums): Story {
  const name = nodeName(node);
  const needed = Math.max(quorums.read, quorums.write);
  const spare = frame.replicas - needed;
  const suspects = frame.nodes.suspectedBy[node]!;
  const others = frame.nodes.count - 1;
  const offer = { label: `Bring ${name} back`, acts: [{ kind: 'restart', node } satisfies Act] };
  if (spare < 1) {
    return { words: `${name} is down, and a quorum of ${needed} of ${frame.replicas} leaves no spare: keys that ${name} holds fail until it is back or the quorum is lowered.`, offer };
  }
  if (suspects * 2 > others) {
    return { words: `${suspects} of ${others} others have not heard of ${name} for too long and suspect it. That is only an opinion: ${name} still owns its keys, and ${needed} of ${frame.replicas} replicas still answer.`, offer };
  }
  return { words: `${name} has lost power. Nobody has noticed yet, and nobody needs to: ${needed} of ${frame.replicas} replicas are enough for reads and writes.`, offer };
}

function manyDown(frame: Frame, down: number[], quorums: Quorums): Story {
  const names = down.map(nodeName).join(', ');
  const needed = Math.max(quorums.read, quorums.write);
  const fatal = down.length > frame.replicas - needed;
  const words = fatal
    ? `${names} are down. Keys with more than ${count(frame.replicas - needed, 'replica')} among them have no quorum: clients are told so, and nothing is acknowledged that is not safe.`
    : `${names} are down, and still every key has its quorum.`;
  return { words, offer: { label: 'Bring them back', acts: down.map((node) => ({ kind: 'restart', node })) } };
}

function linkCut(cut: Cut): Story {
  const [a, b] = [nodeName(cut.from), nodeName(cut.to)];
  const words = cut.both
    ? `${a} and ${b} cannot hear each other, but the others hear both: gossip goes round the gap, so nobody is suspected for long.`
    : `${b} no longer hears ${a}, while ${a} still hears ${b}: failures like this one make honest nodes disagree.`;
  return { words, offer: { label: 'Heal the network', acts: [{ kind: 'heal' }] } };
}

interface Cut {
  from: number;
  to: number;
  both: boolean;
}

function firstCut(frame: Frame): Cut | null {
  const nodes = frame.nodes.count;
  for (let from = 0; from < nodes; from += 1) {
    for (let to = 0; to < nodes; to += 1) {
      if (frame.isCut(from, to)) return { from, to, both: frame.isCut(to, from) };
    }
  }
  return null;
}

/** The places of the nodes that are down. */
export function nodesDown(frame: Frame): number[] {
  const places = Array.from({ length: frame.nodes.count }, (_, place) => place);
  return places.filter((place) => (frame.nodes.flags[place]! & NodeFlag.up) === 0);
}
