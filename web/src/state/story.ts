/**
 * The one sentence above the stage, and the one thing to do next.
 *
 * A pure function of what is on the screen and what was done up to then. It waits for what happens,
 * never for time, and claims nothing of a moment in which several things are broken but what they are.
 * Left out: lessons, which come with their own steps.
 */
import type { Act, ActionLine } from 'kv-wasm';
import { NodeFlag, type Frame } from '../sim/frame';
import { count, nodeName } from './format';
import { rift, type Rift } from './rift';

export interface Story {
  readonly words: string;
  readonly offer: { readonly label: string; readonly acts: Act[] } | null;
}

/** What was done up to the moment shown, on the branch shown. */
export interface Deeds {
  readonly crashed: boolean;
  readonly cut: boolean;
  /** The nodes that lost their disks and were not started since. */
  readonly wiped: readonly number[];
}

export const noDeeds: Deeds = { crashed: false, cut: false, wiped: [] };

/** The deeds after another action. */
export function remember(deeds: Deeds, { turn, node }: Pick<ActionLine, 'turn' | 'node'>): Deeds {
  const others = deeds.wiped.filter((other) => other !== node);
  switch (turn) {
    case 'crash': return { ...deeds, crashed: true };
    case 'restart': return { ...deeds, wiped: others };
    case 'wipe': return { ...deeds, wiped: node === undefined ? others : [...others, node] };
    case 'cut': return { ...deeds, cut: true };
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
  const silent = nodesSilent(frame, deeds);
  const torn = rift(frame);
  if (silent.length > 0 && torn !== null) return bothBroken(silent, torn);
  if (silent.length > 1) return manySilent(frame, silent, quorums);
  if (silent.length === 1) return oneSilent(frame, silent[0]!, quorums);
  if (torn !== null) return linksCut(frame, torn, quorums);
  const { nodes } = frame;
  if (frame.replicas === 0) return { words: nodes.count === 1 ? 'One node founds a cluster.' : `${nodes.count} nodes form a cluster: n1 founds it, and the others join.`, offer: null };
  const victim = Math.min(2, nodes.count - 1);
  if (!deeds.crashed) {
    const copies = copiesOf(frame);
    const where = copies < nodes.count ? `on ${copies} of them` : 'on each of them';
    const words = nodes.count === 1
      ? 'One node keeps every key while clients read and write. Take it away and see what they are told.'
      : `${nodes.count} nodes keep every key ${where} while clients read and write. Take one away and see who notices.`;
    return { words, offer: { label: `Kill ${nodeName(victim)} now`, acts: [{ kind: 'crash', node: victim }] } };
  }
  if (!deeds.cut && nodes.count > 1) {
    return {
      words: 'Whoever comes back with its disk reads its log: nothing that was acknowledged is lost, and reads mend what it missed. Now let two nodes stop hearing each other.',
      offer: { label: 'Cut n1 from n2', acts: [{ kind: 'cut', from: 0, to: 1 }, { kind: 'cut', from: 1, to: 0 }] },
    };
  }
  return {
    words: 'All is whole again. Click any node or line, drag any setting. Share copies a link to exactly this run.',
    offer: null,
  };
}

/** Why a node answers nobody. */
type Reason = 'down' | 'damaged' | 'wiped' | 'halted' | 'suspended';

interface Silent {
  readonly node: number;
  readonly reason: Reason;
}

/** What is wrong with a node, in words behind its name. */
const REASONS: Readonly<Record<Reason, string>> = {
  down: 'has lost power',
  damaged: 'cannot start, for its disk is damaged',
  wiped: 'has lost its disk',
  halted: 'has halted, for its disk failed it',
  suspended: 'is suspended',
};

/** The nodes that answer nobody. */
function nodesSilent(frame: Frame, deeds: Deeds): Silent[] {
  const silent: Silent[] = [];
  for (let node = 0; node < frame.nodes.count; node += 1) {
    const flags = frame.nodes.flags[node]!;
    if ((flags & NodeFlag.halted) !== 0) silent.push({ node, reason: 'halted' });
    else if ((flags & NodeFlag.damaged) !== 0) silent.push({ node, reason: 'damaged' });
    else if ((flags & NodeFlag.up) === 0) silent.push({ node, reason: deeds.wiped.includes(node) ? 'wiped' : 'down' });
    else if ((flags & NodeFlag.paused) !== 0) silent.push({ node, reason: 'suspended' });
  }
  return silent;
}

/** What makes a node answer again. One that has halted runs, and must be switched off first; one with a
    damaged disk gets an empty one. */
function revival({ node, reason }: Silent): Act[] {
  if (reason === 'suspended') return [{ kind: 'resume', node }];
  if (reason === 'damaged') return [{ kind: 'wipe', node }, { kind: 'restart', node }];
  return reason === 'halted' ? [{ kind: 'crash', node }, { kind: 'restart', node }] : [{ kind: 'restart', node }];
}

/** On how many nodes each key is: a small cluster has fewer than N. */
function copiesOf({ nodes, replicas }: Frame): number {
  return Math.min(nodes.count, replicas);
}

function oneSilent(frame: Frame, silent: Silent, quorums: Quorums): Story {
  const { node, reason } = silent;
  const name = nodeName(node);
  const needed = Math.max(quorums.read, quorums.write);
  const copies = copiesOf(frame);
  const spare = copies - needed;
  const suspects = frame.nodes.suspectedBy[node]!;
  const others = frame.nodes.count - 1;
  const what = `${name} ${REASONS[reason]}.`;
  const label = reason === 'suspended' ? `Let ${name} go on` : reason === 'damaged' ? 'Empty its disk, restart' : `Bring ${name} back`;
  const offer = { label, acts: revival(silent) };
  if (others === 0) return { words: `${what} Nobody else has the keys: clients are told so until it is back.`, offer };
  if (spare < 1) {
    return { words: `${what} A quorum of ${needed} of ${copies} leaves no spare: keys that ${name} holds fail until it is back or the quorum is lowered.`, offer };
  }
  if (reason === 'damaged') return { words: `${what} It stays down rather than forget what it promised. With an empty disk it is a new node that is given everything anew: ${copies - 1} of ${copies} replicas still have it.`, offer };
  if (suspects * 2 > others) {
    return { words: `${what} ${suspects} of ${others} others have not heard of it for too long and suspect it. That is only an opinion: ${name} still owns its keys, and ${copies - 1} of ${copies} replicas still answer.`, offer };
  }
  if (reason === 'wiped') return { words: `${what} Started again it is a new node of the same name, and is given everything anew: ${copies - 1} of ${copies} replicas still have it.`, offer };
  return { words: `${what} Nobody has noticed yet, and nobody needs to: ${needed} of ${copies} replicas are enough for reads and writes.`, offer };
}

function manySilent(frame: Frame, silent: readonly Silent[], quorums: Quorums): Story {
  const needed = Math.max(quorums.read, quorums.write);
  const spare = Math.max(0, copiesOf(frame) - needed);
  const what = silentWords(silent);
  const offer = { label: 'Bring them back', acts: silent.flatMap(revival) };
  if (silent.length === frame.nodes.count) return { words: `${what} Nobody is left to answer, and clients are told so.`, offer };
  const words = silent.length > spare
    ? `${what} Keys with ${spare === 0 ? 'a replica' : `more than ${count(spare, 'replica')}`} among them have no quorum: clients are told so, and nothing is acknowledged that is not safe.`
    : `${what} Still every key has its quorum.`;
  return { words, offer };
}

/** Who does not answer and why, as one sentence. */
function silentWords(silent: readonly Silent[]): string {
  const [first, ...more] = silent.map(({ reason }) => reason);
  if (first !== undefined && more.every((reason) => reason === first)) {
    const plural = REASONS[first].replace(/^has /, 'have ').replace(/^is /, 'are ').replace('its disk is', 'their disks are').replace('its disk', 'their disks').replace('failed it', 'failed them');
    return silent.length === 1 ? `${nodeName(silent[0]!.node)} ${REASONS[first]}.` : `${names(silent.map(({ node }) => node))} ${plural}.`;
  }
  const each = silent.map(({ node, reason }) => `${nodeName(node)} ${REASONS[reason].replace(',', '')}`);
  return `${each.slice(0, -1).join(', ')} and ${each.at(-1)}.`;
}

function bothBroken(silent: readonly Silent[], torn: Rift): Story {
  return {
    words: `${silentWords(silent)} Besides, ${riftWords(torn)}. A request that cannot reach its quorum is refused before anything is changed.`,
    offer: { label: 'Make all whole', acts: [...silent.flatMap(revival), { kind: 'heal' }] },
  };
}

function linksCut(frame: Frame, torn: Rift, quorums: Quorums): Story {
  const offer = { label: 'Heal the network', acts: [{ kind: 'heal' } satisfies Act] };
  const what = riftWords(torn);
  if (torn.sides.length < 2) {
    const round = torn.links.length === 1 ? 'but the others hear both' : 'but there is a way round each gap';
    const words = torn.oneWay
      ? `${what}: failures like this one make honest nodes disagree.`
      : `${what}, ${round}: gossip goes round, so nobody is suspected for long.`;
    return { words: begun(words), offer };
  }
  const copies = copiesOf(frame);
  const [least, most] = [Math.min(quorums.read, quorums.write), Math.max(quorums.read, quorums.write)];
  const words = least < 2
    ? `${what}. One replica is enough for ${most < 2 ? 'reads and writes' : quorums.read < 2 ? 'reads' : 'writes'}: a side goes on with them where it has one, and misses what is written on the other.`
    : `${what}. Keys are read and written only where ${most} of their ${copies} replicas are on one side; elsewhere clients are refused, rather than told what may be old.`;
  return { words: begun(words), offer };
}

/** Words as a sentence; a node's name stays as it is. */
function begun(words: string): string {
  return /^n\d/.test(words) ? words : words.charAt(0).toUpperCase() + words.slice(1);
}

/** What the cuts amount to, to stand within a sentence. */
function riftWords({ links, sides, oneWay }: Rift): string {
  const { from, to } = links[0]!;
  const [a, b] = [nodeName(from), nodeName(to)];
  if (sides.length < 2 && links.length > 1) return `${count(links.length, 'link')} are cut${oneWay ? ', some of them one way' : ''}`;
  if (links.length === 1) return oneWay ? `${b} no longer hears ${a}, while ${a} still hears ${b}` : `${a} and ${b} cannot hear each other`;
  if (oneWay) return `between ${sidesWords(sides)} messages pass one way at most`;
  const alone = sides.length === 2 ? sides.find(({ length }) => length === 1) : undefined;
  if (alone !== undefined) return `${names(alone)} is cut off from all others`;
  return sides.length > 4 ? `the network has fallen into ${sides.length} parts` : `${sidesWords(sides)} cannot hear each other`;
}

function sidesWords(sides: readonly (readonly number[])[]): string {
  const each = sides.map(names);
  return sides.length > 4 ? `${sides.length} parts of the network` : `${each.slice(0, -1).join('; ')} and ${each.at(-1)}`;
}

/** Names in a row; of many only how many. */
function names(nodes: readonly number[]): string {
  return nodes.length > 6 ? count(nodes.length, 'node') : nodes.map(nodeName).join(', ');
}

/** The places of the nodes that are down. */
export function nodesDown(frame: Frame): number[] {
  const places = Array.from({ length: frame.nodes.count }, (_, place) => place);
  return places.filter((place) => (frame.nodes.flags[place]! & NodeFlag.up) === 0);
}
