/**
 * What a message looks like: hue for its family and nothing else, shape for its kind, hollow for a reply.
 *
 * Hues are Okabe and Ito's, which colour-blind readers can tell apart; each theme takes the ones that
 * stand out on its ground.
 */

export type Family = 'client' | 'replication' | 'gossip' | 'membership' | 'handoff';
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
  { family: 'handoff', label: 'Hand-off', meaning: 'Objects that move to new owners' },
];

const LOOKS: Readonly<Record<string, Look>> = {
  store: { family: 'replication', shape: 'square', reply: false },
  stored: { family: 'replication', shape: 'square', reply: true },
  fetch: { family: 'replication', shape: 'circle', reply: false },
  fetched: { family: 'replication', shape: 'circle', reply: true },
  forward: { family: 'replication', shape: 'triangle', reply: false },
  forwarded: { family: 'replication', shape: 'triangle', reply: true },
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

const UNKNOWN: Look = { family: 'membership', shape: 'diamond', reply: false };

/** How a kind of message is drawn; one that the page does not know yet is a diamond. */
export function lookOf(kind: string | undefined): Look {
  return LOOKS[kind ?? ''] ?? UNKNOWN;
}
