/**
 * What a message looks like: hue for its family and nothing else, shape for its kind, hollow for a reply.
 *
 * Hues are Okabe and Ito's, which colour-blind readers can tell apart; each theme takes the ones that
 * stand out on its ground. Raft has the one that is no hue: black, and on a dark ground white.
 */

export type Family = 'client' | 'replication' | 'gossip' | 'membership' | 'handoff' | 'raft';
export type Shape = 'dot' | 'circle' | 'square' | 'triangle' | 'diamond';

export interface Look {
  readonly family: Family;
  readonly shape: Shape;
  /** A reply is drawn hollow. */
  readonly reply: boolean;
}

/** The families in the order of the legend. */
export const FAMILIES: readonly { family: Family; label: string; meaning: string }[] = [
  { family: 'client', label: 'Clients', meaning: 'Requests of clients, and what they get back' },
  { family: 'replication', label: 'Replication', meaning: 'Squares write, circles read, triangles pass a request on; replies are hollow' },
  { family: 'gossip', label: 'Gossip', meaning: 'Heartbeats and settings' },
  { family: 'membership', label: 'Membership', meaning: 'Joining, and new layouts' },
  { family: 'raft', label: 'Raft', meaning: 'The logs that put changes of the cluster and of strong keys in order: squares append, triangles ask for votes, dots say who leads; replies are hollow' },
  { family: 'handoff', label: 'Hand-off', meaning: 'Objects that move to new owners' },
];

const LOOKS: Readonly<Record<string, Look>> = {
  store: { family: 'replication', shape: 'square', reply: false },
  stored: { family: 'replication', shape: 'square', reply: true },
  fetch: { family: 'replication', shape: 'circle', reply: false },
  fetched: { family: 'replication', shape: 'circle', reply: true },
  forward: { family: 'replication', shape: 'triangle', reply: false },
  forwarded: { family: 'replication', shape: 'triangle', reply: true },
  strong_ask: { family: 'replication', shape: 'triangle', reply: false },
  strong_answer: { family: 'replication', shape: 'triangle', reply: true },
  hand_off: { family: 'handoff', shape: 'square', reply: false },
  handed_off: { family: 'handoff', shape: 'square', reply: true },
  heartbeats: { family: 'gossip', shape: 'dot', reply: false },
  settings_are: { family: 'gossip', shape: 'diamond', reply: false },
  join: { family: 'membership', shape: 'diamond', reply: false },
  join_refused: { family: 'membership', shape: 'diamond', reply: true },
  invite: { family: 'membership', shape: 'diamond', reply: false },
  propose: { family: 'membership', shape: 'triangle', reply: false },
  adopt: { family: 'membership', shape: 'square', reply: false },
};

/** The kinds of Raft; what answers one of them is called the same with `_reply` behind it. */
const RAFT: Readonly<Record<string, Shape>> = {
  pre_vote: 'triangle', vote: 'triangle', timeout_now: 'triangle', append: 'square',
  heartbeat: 'dot', commit: 'dot', stale: 'dot', read: 'circle',
  snapshot_offer: 'diamond', snapshot_chunk: 'diamond', snapshot_have: 'diamond', removed: 'diamond',
};

const UNKNOWN: Look = { family: 'membership', shape: 'diamond', reply: false };

/** How a kind of message is drawn; one that the page does not know yet is a diamond. */
export function lookOf(kind = ''): Look {
  const asked = kind.replace(/_reply$/, '');
  const shape = RAFT[asked];
  return shape === undefined ? (LOOKS[kind] ?? UNKNOWN) : { family: 'raft', shape, reply: kind !== asked };
}
