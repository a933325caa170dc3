/** The session against a simulator that answers by hand: one question at a time, halts, links. */
import type { Act, RunConfig } from 'kv-wasm';
import { readFileSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { Crashed, Refused, type Simulator } from '../sim/client';
import type { Begun } from '../sim/protocol';
import { Session } from './session';

const hex = readFileSync(new URL('../../../kv-wasm/tests/frame.hex', import.meta.url), 'utf8');
const bytes = Uint8Array.from(hex.replace(/\s/g, '').match(/../g) ?? [], (byte) => parseInt(byte, 16));
const moved = () => ({ reached: true, frame: bytes.slice().buffer, kinds: ['store', 'heartbeats'], tracks: Float64Array.of(0, -1, 0, 9e6, 1) });
const config = { seed: '1', nodes: 3 } as RunConfig;
const begun: () => Begun = () => ({ config, table: [], build: 'aa', moved: moved() });

/** Answers are given, one by one, by the test. */
class ByHand implements Simulator {
  asked: { name: string; parameters: unknown[]; answer: (value: unknown) => void; fail: (error: Error) => void }[] = [];
  closed = false;

  call(name: string, ...parameters: unknown[]): Promise<never> {
    return new Promise((resolve, reject) => {
      this.asked.push({ name, parameters, answer: resolve as (value: unknown) => void, fail: reject });
    });
  }

  close() {
    this.closed = true;
  }
}

let simulators: ByHand[];
let session: Session;
const latest = () => simulators.at(-1)!;
const settle = () => new Promise((resolve) => setImmediate(resolve));

beforeEach(async () => {
  simulators = [];
  session = new Session(() => {
    simulators.push(new ByHand());
    return latest();
  });
  const beginning = session.begin(config);
  latest().asked[0]!.answer(begun());
  expect(await beginning).toBeNull();
});

describe('a session', () => {
  it('shows the first frame, paused', () => {
    expect(session.frame?.hash).toBe('0123456789abcdef');
    expect(session.clock).toMatchObject({ playing: false, view: 1_234_567 });
  });

  it('says why a run that has become too long has no link', async () => {
    const shared = session.share();
    latest().asked.at(-1)!.fail(new Refused('the run has become too long for a link'));
    expect(await shared).toBe('the run has become too long for a link');
    expect(session.halt).toBeNull();
  });

  it('never asks to advance twice at once', async () => {
    session.play(true);
    session.pump(0);
    session.pump(16);
    session.pump(32);
    const advances = () => latest().asked.filter(({ name }) => name === 'advance');
    expect(advances()).toHaveLength(1);
    expect(advances()[0]!.parameters[0]).toBe(1_234_567 + 16_000);
    advances()[0]!.answer(moved());
    await settle();
    session.pump(48);
    expect(advances()).toHaveLength(2);
  });

  it('is paused when what was still being played is there', async () => {
    session.play(true);
    session.pump(0);
    session.pump(16);
    let paused = false;
    void session.pause().then(() => (paused = true));
    expect(session.clock.playing).toBe(false);
    await settle();
    expect(paused).toBe(false);
    latest().asked.at(-1)!.answer(moved());
    await settle();
    expect(paused).toBe(true);
    expect(session.clock.view).toBe(session.frame!.now);
  });

  it('returns the words of a refusal and goes on', async () => {
    const acting = session.act({ kind: 'crash', node: 9 } satisfies Act);
    latest().asked.at(-1)!.fail(new Refused('there is no node 9'));
    expect(await acting).toBe('there is no node 9');
    expect(session.halt).toBeNull();
  });

  it('halts at a crash and keeps its link; a new run goes on with a new worker', async () => {
    session.play(true);
    session.pump(0);
    session.pump(16);
    latest().asked.at(-1)!.fail(new Crashed('assertion failed', 'LINK'));
    await settle();
    expect(session.halt).toEqual({ words: 'assertion failed', link: 'LINK' });
    expect(session.clock.playing).toBe(false);
    const again = session.begin(config);
    expect(simulators[0]!.closed).toBe(true);
    latest().asked[0]!.answer(begun());
    await again;
    expect(session.halt).toBeNull();
  });

  it('says whether an opened link is the same run', async () => {
    const opening = session.open('TEXT');
    const link = { build: 'aa', same_build: true, seed: '1', nodes: 3, actions: 2, until_us: 5, hash: '0123456789abcdef' };
    latest().asked[0]!.answer({ link, build: 'aa' });
    await settle();
    latest().asked[1]!.answer(begun());
    expect((await opening)?.kind).toBe('same');
  });

  it('says what is wrong with a broken link', async () => {
    const opening = session.open('TEXT');
    latest().asked[0]!.fail(new Refused('the text ends too early'));
    const verdict = await opening;
    expect(verdict?.kind).toBe('broken');
    expect(verdict?.words).toBe('This link cannot be opened: the text ends too early. A new run was started instead.');
  });

  it('says who made a link whose run cannot be played', async () => {
    const opening = session.open('TEXT');
    const link = { build: 'aa', same_build: false, seed: '1', nodes: 3, actions: 2, until_us: 5, hash: '0123456789abcdef' };
    latest().asked[0]!.answer({ link, build: 'bb' });
    await settle();
    latest().asked[1]!.fail(new Refused('n1 is down already'));
    const verdict = await opening;
    expect(verdict?.kind).toBe('broken');
    expect(verdict?.words).toContain('n1 is down already. Core build aa made it, this one is bb');
  });
});
