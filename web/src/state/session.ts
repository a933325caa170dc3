/**
 * One sitting with the playground: a simulator, a clock, and the frame that is shown.
 *
 * `pump` is called once per animation frame. It moves the clock and asks the simulator to follow, never
 * with two such questions at once; what comes back replaces the frame. Knows neither DOM nor Svelte.
 */
import type { Act, Mark, RunConfig, SettingRow, SettingValue } from 'kv-wasm';
import { Crashed, Refused, type Simulator } from '../sim/client';
import { decodeFrame, type Frame } from '../sim/frame';
import type { Begun, Calls, CallName, Glance, Judgement, Moved, Question } from '../sim/protocol';
import { at, stopped, tick, type Clock } from './clock';
import { brokenLink, linkVerdict, unplayableLink, type Held, type LinkVerdict } from './link';
import { firstTrack, readTracks, type Tracks } from './tracks';

/** Real time that one question may take of the worker, so that frames keep coming. */
const BUDGET_MS = 8;
/** The same while a moment is looked for: nothing else waits for it. */
const SEEK_BUDGET_MS = 30;
/** Real time after which a new run is shown however far it has come. */
const PRELUDE_BUDGET_MS = 400;

/** The simulator is gone. */
export interface Halt {
  readonly words: string;
  /** Text of a link to the same spot. */
  readonly link: string | null;
}

export class Session {
  clock: Clock = stopped;
  frame: Frame | null = null;
  config: RunConfig | null = null;
  table: SettingRow[] = [];
  build = '';
  halt: Halt | null = null;
  /** All branches of the run, and which one is shown. */
  tracks: Tracks = firstTrack;
  /** The moment that is looked for; null if the one shown is the one wanted. */
  target: { readonly branch: number; readonly at: number } | null = null;
  /** Counts leaps in time, after which what was told before may not have happened. */
  leaps = 0;
  /** Counts runs, so that whoever keeps something of a run knows when to let it go. */
  run = 0;

  private simulator: Simulator;
  private busy = false;
  private pursuing = false;
  private last: number | null = null;
  /** What the simulator was asked to play on, and may not have done yet. */
  private playing: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly start: () => Simulator,
    /** Called when something changed that the panels show at once. */
    private readonly changed: () => void = () => {},
  ) {
    this.simulator = start();
  }

  /** A new run, shown from a time on. Returns why there is none, or null. */
  async begin(config: RunConfig, fromUs = 0): Promise<string | null> {
    this.renew();
    const run = this.run;
    return this.attempt(async () => {
      const begun = await this.simulator.call('start', config);
      const moved = fromUs > 0 ? await this.simulator.call('advance', fromUs, PRELUDE_BUDGET_MS) : begun.moved;
      if (run === this.run) this.adopt({ ...begun, moved });
    });
  }

  /** The run of a share link, paused at its end; null if it was overtaken by another run. */
  async open(text: string): Promise<LinkVerdict | null> {
    this.renew();
    const run = this.run;
    let verdict: LinkVerdict | null = null;
    let held: Held | null = null;
    const words = await this.attempt(async () => {
      held = await this.simulator.call('read', text);
      const begun = await this.simulator.call('open', text);
      if (run !== this.run) return;
      this.adopt(begun);
      verdict = linkVerdict(held, this.frame?.hash ?? '');
    });
    if (words === null) return verdict;
    return held === null ? brokenLink(words) : unplayableLink(held, words);
  }

  /** Moves everything on by the real time since the last call. */
  pump(nowMs: number): void {
    const elapsed = this.last === null ? 0 : nowMs - this.last;
    this.last = nowMs;
    if (this.frame === null || this.halt !== null) return;
    this.clock = tick(this.clock, elapsed, this.frame.now);
    if (this.busy || this.target !== null || this.clock.view <= this.frame.now) return;
    this.busy = true;
    const { run, leaps } = this;
    this.playing = this.attempt(async () => {
      const moved = await this.simulator.call('advance', this.clock.view, BUDGET_MS);
      if (leaps === this.leaps && this.target === null) this.show(moved, run);
      if (!this.clock.playing) this.changed();
    }).finally(() => {
      if (run === this.run) this.busy = false;
    });
  }

  play(playing: boolean): void {
    this.clock = { ...this.clock, playing };
    this.changed();
  }

  /** Pauses, and waits until the moment shown stays the same. */
  async pause(): Promise<void> {
    this.play(false);
    await this.playing;
    this.changed();
  }

  setSpeed(speed: number): void {
    this.clock = { ...this.clock, speed };
    this.changed();
  }

  /** Pauses and runs the next event only. */
  async step(): Promise<void> {
    this.play(false);
    const run = this.run;
    await this.attempt(async () => {
      this.show(await this.simulator.call('step'), run);
      if (this.frame) this.clock = at(this.clock, this.frame.now);
    });
    this.changed();
  }

  /** Pauses and shows what was there before the latest event. Returns the core's words if there is nothing. */
  async stepBack(): Promise<string | null> {
    this.play(false);
    const run = this.run;
    const words = await this.attempt(async () => {
      let moved = await this.simulator.call('stepBack', SEEK_BUDGET_MS);
      while (!moved.reached) moved = await this.simulator.call('goOn', SEEK_BUDGET_MS);
      this.leapTo(moved, run);
    });
    this.changed();
    return words;
  }

  /** Pauses and shows a moment of a branch, as soon as it is found; a later wish replaces it. */
  seek(branch: number, at: number): void {
    const end = this.tracks.all[branch]?.end;
    if (end === undefined || this.frame === null) return;
    this.target = { branch, at: Math.max(0, Math.min(at, end)) };
    this.clock = { ...this.clock, playing: false };
    this.changed();
    void this.pursue();
  }

  /** What was done on a branch since it began. */
  async marks(branch: number): Promise<Mark[] | null> {
    return this.ask('marks', branch);
  }

  /** What the judges say of the moment shown. */
  async judge(): Promise<Judgement | null> {
    return this.ask('judge');
  }

  /** Does things to the world. Returns the core's words if it refused, else null. */
  async act(...acts: Act[]): Promise<string | null> {
    const run = this.run;
    this.target = null;
    const words = await this.attempt(async () => {
      for (const act of acts) this.show(await this.simulator.call('act', act), run);
    });
    this.changed();
    return words;
  }

  /** Why a node would not take these changes, or null. */
  async refused(node: number, changes: SettingValue[]): Promise<string | null> {
    let refusal: string | null = null;
    const words = await this.attempt(async () => {
      refusal = await this.simulator.call('refused', node, changes);
    });
    return words ?? refusal;
  }

  /** What the panels show; null if the simulator cannot tell. */
  async glance(question: Question): Promise<Glance | null> {
    return this.ask('glance', question);
  }

  /** The run up to now as text for a link, or words that say why there is none; null if the run is over. */
  async share(): Promise<{ text: string; hash: string } | string | null> {
    let shared: { text: string; hash: string } | null = null;
    const refusal = await this.attempt(async () => {
      shared = await this.simulator.call('share');
    });
    return refusal ?? shared;
  }

  /** Looks for the target, and for the next one if that has changed by then. */
  private async pursue(): Promise<void> {
    if (this.pursuing) return;
    this.pursuing = true;
    const run = this.run;
    while (run === this.run && this.target !== null) {
      const wanted = this.target;
      const failed = await this.attempt(async () => {
        let moved = await this.simulator.call('seek', wanted.branch, wanted.at, SEEK_BUDGET_MS);
        while (!moved.reached && this.target === wanted) moved = await this.simulator.call('goOn', SEEK_BUDGET_MS);
        if (moved.reached) this.leapTo(moved, run);
      });
      if (run === this.run && (this.target === wanted || failed !== null)) this.target = null;
    }
    if (run === this.run) this.pursuing = false;
    this.changed();
  }

  private leapTo(moved: Moved, run: number): void {
    if (run !== this.run) return;
    this.leaps += 1;
    this.show(moved, run);
    if (this.frame) this.clock = at(this.clock, this.frame.now);
    this.changed();
  }

  /** What the simulator answers, or null if it cannot tell. */
  private async ask<Name extends CallName>(name: Name, ...parameters: Parameters<Calls[Name]>): Promise<ReturnType<Calls[Name]> | null> {
    let answer: ReturnType<Calls[Name]> | null = null;
    await this.attempt(async () => {
      answer = await this.simulator.call(name, ...parameters);
    });
    return answer;
  }

  /** Ends the simulator, whatever it is doing, and forgets its run. */
  private renew(): void {
    this.run += 1;
    if (this.busy || this.halt !== null || this.run > 1) {
      this.simulator.close();
      this.simulator = this.start();
    }
    this.busy = false;
    this.pursuing = false;
    this.target = null;
    this.tracks = firstTrack;
    this.halt = null;
    this.clock = { ...stopped, speed: this.clock.speed };
  }

  private adopt(begun: Begun): void {
    this.config = begun.config;
    this.table = begun.table;
    this.build = begun.build;
    this.show(begun.moved, this.run);
    if (this.frame) this.clock = at(this.clock, this.frame.now);
    this.changed();
  }

  private show(moved: Moved, run: number): void {
    if (run !== this.run) return;
    this.frame = decodeFrame(moved.frame, moved.kinds);
    this.tracks = readTracks(moved.tracks);
    // What was done while paused shows at once.
    if (!this.clock.playing) this.clock = at(this.clock, this.frame.now);
  }

  /** Null if it went well, the core's words if it refused. After a crash nothing goes on. */
  private async attempt(work: () => Promise<void>): Promise<string | null> {
    const run = this.run;
    try {
      await work();
      return null;
    } catch (error) {
      // Of a run that is over nobody wants to know any more.
      if (run !== this.run) return null;
      if (error instanceof Refused) return error.message;
      const words = error instanceof Error ? error.message : String(error);
      this.halt = { words, link: error instanceof Crashed ? error.link : null };
      this.clock = { ...this.clock, playing: false };
      this.changed();
      return words;
    }
  }
}
