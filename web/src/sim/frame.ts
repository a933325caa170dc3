/**
 * Reads the frame that `kv-wasm/src/frame.rs` packs: a versioned header, then one column per fact.
 *
 * The layout is documented there; the same pinned bytes test both sides. Nothing is copied: columns are
 * views of the buffer, which belongs to the page once the worker has handed it over.
 */

export const FRAME_VERSION = 3;
export const HEADER_BYTES = 64;

export const NodeFlag = { up: 1, halted: 2, leader: 4, behind: 8, full: 16, paused: 32, damaged: 64 } as const;
export const MessageFlag = { lost: 1, urgent: 2 } as const;
/** What a client asked for, by number. */
export const OPERATIONS = ['get', 'put', 'delete'] as const;
/** What came of it, by number. */
export const Outcome = { open: 0, done: 1, failed: 2 } as const;
/** What a node is in the metadata group, by number. */
export const ROLES = ['none', 'follower', 'learner', 'pre-candidate', 'candidate', 'leader'] as const;
export const Role = { none: 0, follower: 1, learner: 2, preCandidate: 3, candidate: 4, leader: 5 } as const;
/** The owner of a partition that no node of this run claims. */
export const NO_OWNER = 0xffff;

/** Everything that the stage draws, at one moment. Times are in microseconds. */
export interface Frame {
  readonly now: number;
  readonly steps: number;
  /** The rolling trace hash, 16 hexadecimal digits. */
  readonly hash: string;
  /** N. */
  readonly replicas: number;
  readonly epoch: number;
  /** How long a node waits for its leader, in ms; up to twice as long by chance. */
  readonly electionTimeout: number;
  /** How many trace entries there are. */
  readonly trace: number;
  readonly nodes: NodeColumns;
  readonly messages: MessageColumns;
  readonly operations: OperationColumns;
  /** The node that claimed each partition. */
  readonly owners: Uint16Array;
  /** The names of the message kinds, by number. */
  readonly kinds: readonly string[];
  /** Whether messages from one node to another no longer arrive. */
  isCut(from: number, to: number): boolean;
  /** Whether messages from one node to another travel by settings of their own. */
  hasOwn(from: number, to: number): boolean;
}

export interface NodeColumns {
  readonly count: number;
  readonly deadline: Float64Array;
  /** When it stands for election unless it hears from a leader; -1: it does not. */
  readonly election: Float64Array;
  readonly epoch: Uint32Array;
  readonly keys: Uint32Array;
  readonly requests: Uint32Array;
  readonly held: Uint32Array;
  readonly unsynced: Uint32Array;
  readonly term: Uint32Array;
  /** Of its log in the metadata group: the last entry compacted, the last one, and up to which it is on disk and known to be committed. */
  readonly base: Uint32Array;
  readonly last: Uint32Array;
  readonly durable: Uint32Array;
  readonly commit: Uint32Array;
  readonly suspectedBy: Uint16Array;
  readonly flags: Uint8Array;
  readonly role: Uint8Array;
}

export interface MessageColumns {
  readonly count: number;
  readonly number: Float64Array;
  readonly sent: Float64Array;
  readonly arrives: Float64Array;
  readonly from: Uint16Array;
  readonly to: Uint16Array;
  readonly kind: Uint8Array;
  readonly flags: Uint8Array;
}

export interface OperationColumns {
  readonly count: number;
  readonly number: Float64Array;
  readonly called: Float64Array;
  /** -1 while open. */
  readonly answered: Float64Array;
  readonly node: Uint16Array;
  readonly operation: Uint8Array;
  readonly outcome: Uint8Array;
}

/** The frame of these bytes. Throws words if they are none: page and core are of different builds. */
export function decodeFrame(buffer: ArrayBuffer, kinds: readonly string[]): Frame {
  if (buffer.byteLength < HEADER_BYTES) throw new Error('the frame is shorter than its header');
  const header = new DataView(buffer, 0, HEADER_BYTES);
  const word = (at: number) => header.getUint32(at, true);
  if (word(0) !== FRAME_VERSION) {
    throw new Error(`the frame has version ${word(0)}, the page reads ${FRAME_VERSION}; reload the page`);
  }
  const [n, m, o, p] = [word(4), word(8), word(12), word(16)];
  const columns = new Columns(buffer);
  const f64 = {
    deadline: columns.f64(n), election: columns.f64(n), number: columns.f64(m), sent: columns.f64(m), arrives: columns.f64(m),
    operation: columns.f64(o), called: columns.f64(o), answered: columns.f64(o),
  };
  const u32 = {
    epoch: columns.u32(n), keys: columns.u32(n), requests: columns.u32(n), held: columns.u32(n),
    unsynced: columns.u32(n), term: columns.u32(n), base: columns.u32(n), last: columns.u32(n),
    durable: columns.u32(n), commit: columns.u32(n),
  };
  const u16 = {
    suspectedBy: columns.u16(n), from: columns.u16(m), to: columns.u16(m), node: columns.u16(o),
    owners: columns.u16(p),
  };
  const u8 = {
    nodeFlags: columns.u8(n), role: columns.u8(n), kind: columns.u8(m), messageFlags: columns.u8(m),
    operation: columns.u8(o), outcome: columns.u8(o),
    cuts: columns.u8(Math.ceil((n * n) / 8)), own: columns.u8(Math.ceil((n * n) / 8)),
  };
  columns.end();
  return {
    now: header.getFloat64(32, true),
    steps: header.getFloat64(40, true),
    hash: header.getBigUint64(48, true).toString(16).padStart(16, '0'),
    replicas: word(20),
    epoch: word(56),
    electionTimeout: word(60),
    trace: word(28),
    nodes: { count: n, deadline: f64.deadline, election: f64.election, ...u32, suspectedBy: u16.suspectedBy, flags: u8.nodeFlags, role: u8.role },
    messages: {
      count: m, number: f64.number, sent: f64.sent, arrives: f64.arrives,
      from: u16.from, to: u16.to, kind: u8.kind, flags: u8.messageFlags,
    },
    operations: {
      count: o, number: f64.operation, called: f64.called, answered: f64.answered,
      node: u16.node, operation: u8.operation, outcome: u8.outcome,
    },
    owners: u16.owners,
    kinds,
    isCut: (from, to) => hasBit(u8.cuts, from * n + to),
    hasOwn: (from, to) => hasBit(u8.own, from * n + to),
  };
}

function hasBit(bits: Uint8Array, bit: number): boolean {
  return (((bits[bit >> 3] ?? 0) >> (bit & 7)) & 1) === 1;
}

/** Takes columns off the buffer, one after the other. */
class Columns {
  private at = HEADER_BYTES;

  constructor(private readonly buffer: ArrayBuffer) {}

  f64(count: number) {
    return new Float64Array(this.buffer, this.take(8 * count), count);
  }

  u32(count: number) {
    return new Uint32Array(this.buffer, this.take(4 * count), count);
  }

  u16(count: number) {
    return new Uint16Array(this.buffer, this.take(2 * count), count);
  }

  u8(count: number) {
    return new Uint8Array(this.buffer, this.take(count), count);
  }

  end() {
    if (this.at !== this.buffer.byteLength) throw new Error('the frame is longer than its columns');
  }

  private take(bytes: number): number {
    const at = this.at;
    this.at += bytes;
    if (this.at > this.buffer.byteLength) throw new Error('the frame is shorter than its columns');
    return at;
  }
}
