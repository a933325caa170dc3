/** A frame in which nothing happens, for unit tests to fill in. Never part of the page. */
import type { Frame } from './frame';

/** A frame of so many nodes, all down, with empty columns of so many messages. */
export function emptyFrame(nodes: number, messages = 0): Frame {
  return {
    now: 0, steps: 0, hash: '0'.repeat(16), replicas: 3, epoch: 1, electionTimeout: 1_000, trace: 0,
    nodes: {
      count: nodes,
      deadline: new Float64Array(nodes).fill(-1),
      election: new Float64Array(nodes).fill(-1),
      epoch: new Uint32Array(nodes), keys: new Uint32Array(nodes), requests: new Uint32Array(nodes),
      held: new Uint32Array(nodes), unsynced: new Uint32Array(nodes),
      term: new Uint32Array(nodes), base: new Uint32Array(nodes), last: new Uint32Array(nodes),
      durable: new Uint32Array(nodes), commit: new Uint32Array(nodes),
      suspectedBy: new Uint16Array(nodes), flags: new Uint8Array(nodes), role: new Uint8Array(nodes),
    },
    messages: {
      count: messages,
      number: new Float64Array(messages), sent: new Float64Array(messages), arrives: new Float64Array(messages),
      from: new Uint16Array(messages), to: new Uint16Array(messages),
      kind: new Uint8Array(messages), flags: new Uint8Array(messages),
    },
    operations: {
      count: 0,
      number: new Float64Array(), called: new Float64Array(), answered: new Float64Array(),
      node: new Uint16Array(), operation: new Uint8Array(), outcome: new Uint8Array(),
    },
    owners: new Uint16Array(),
    kinds: [],
    isCut: () => false,
    hasOwn: () => false,
  };
}
