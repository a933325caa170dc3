/** The page's side of the pinned frame; the core's side is tested in `kv-wasm/src/frame.rs`. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { decodeFrame, MessageFlag, NodeFlag, NO_OWNER, Outcome, Role } from './frame';

const hex = readFileSync(new URL('../../../kv-wasm/tests/frame.hex', import.meta.url), 'utf8');
const pinned = () => Uint8Array.from(hex.replace(/\s/g, '').match(/../g) ?? [], (byte) => parseInt(byte, 16)).buffer;

describe('the pinned frame', () => {
  const frame = decodeFrame(pinned(), ['store', 'heartbeats']);

  it('has the moment in its header', () => {
    expect(frame).toMatchObject({ now: 1_234_567, steps: 890, replicas: 3, epoch: 3, electionTimeout: 1_000, trace: 77 });
    expect(frame.hash).toBe('0123456789abcdef');
  });

  it('has the nodes', () => {
    const { nodes } = frame;
    expect(nodes.count).toBe(3);
    expect([...nodes.deadline]).toEqual([1_500_000, -1, 1_600_000]);
    expect([...nodes.keys]).toEqual([12, 0, 12]);
    expect([...nodes.epoch, ...nodes.requests, ...nodes.held]).toEqual([3, 0, 3, 1, 0, 1, 2, 0, 2]);
    expect([...nodes.unsynced]).toEqual([4096, 0, 4096]);
    expect([...nodes.suspectedBy]).toEqual([0, 2, 0]);
    expect([...nodes.flags]).toEqual([NodeFlag.up | NodeFlag.leader, 0, NodeFlag.up | NodeFlag.behind | NodeFlag.paused]);
  });

  it('has the replicas of the metadata group', () => {
    const { nodes } = frame;
    expect([...nodes.role]).toEqual([Role.leader, Role.none, Role.follower]);
    expect([...nodes.election]).toEqual([-1, -1, 2_500_000]);
    expect([...nodes.term, ...nodes.base]).toEqual([4, 0, 4, 6, 0, 6]);
    expect([...nodes.last, ...nodes.durable, ...nodes.commit]).toEqual([11, 0, 11, 10, 0, 10, 9, 0, 9]);
  });

  it('has the messages', () => {
    const { messages } = frame;
    expect([...messages.number]).toEqual([41, 42]);
    expect([...messages.sent, ...messages.arrives]).toEqual([1_200_000, 1_210_000, 1_300_000, 1_310_000]);
    expect([...messages.from, ...messages.to]).toEqual([0, 2, 2, 1]);
    expect([...messages.kind].map((kind) => frame.kinds[kind])).toEqual(['heartbeats', 'store']);
    expect([...messages.flags]).toEqual([MessageFlag.urgent, MessageFlag.lost]);
  });

  it('has the operations', () => {
    const { operations } = frame;
    expect([...operations.number, ...operations.called]).toEqual([9, 10, 1_000_000, 1_230_000]);
    expect([...operations.answered]).toEqual([1_100_000, -1]);
    expect([...operations.node, ...operations.operation]).toEqual([2, 0, 1, 0]);
    expect([...operations.outcome]).toEqual([Outcome.done, Outcome.open]);
  });

  it('has owners, cuts and links of their own', () => {
    expect([...frame.owners]).toEqual([0, 1, 2, 0, 1, 2, 0, NO_OWNER]);
    const ways = [0, 1, 2].flatMap((from) => [0, 1, 2].map((to) => [from, to] as const));
    expect(ways.filter(([from, to]) => frame.isCut(from, to))).toEqual([[0, 1], [2, 0]]);
    expect(ways.filter(([from, to]) => frame.hasOwn(from, to))).toEqual([[1, 2]]);
  });
});

describe('bytes that are no frame', () => {
  it('are refused in words', () => {
    expect(() => decodeFrame(new ArrayBuffer(3), [])).toThrow('shorter than its header');
    expect(() => decodeFrame(pinned().slice(0, -1), [])).toThrow('shorter than its columns');
    const other = new Uint8Array(pinned());
    other[0] = 9;
    expect(() => decodeFrame(other.buffer, [])).toThrow('version 9');
  });
});
