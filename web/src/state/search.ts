/**
 * A search for a run that breaks a demand: seeds tried by a pool of workers, until one objects; then that
 * run is made small. Knows neither DOM nor Svelte.
 *
 * Each worker has its own instance of the core. Whoever finds something first goes on to shrink it, and
 * the others end. Stopping while it shrinks keeps the smallest run so far; last of all that becomes a script.
 */
import type { Attack, Found } from 'kv-wasm';
import type { Simulator } from '../sim/client';

export interface Progress {
  readonly phase: 'trying' | 'shrinking' | 'found' | 'nothing' | 'failed';
  /** How many runs were tried, those of searches that this one goes on from included. */
  readonly runs: number;
  /** After how many it ends. */
  readonly most: number;
  /** How many simulator events they had, per second of real time. */
  readonly rate: number;
  readonly found: Found | null;
  /** What was found as a script of the core's test suite; null if it cannot be one. */
  readonly script: string | null;
  /** Why it failed. */
  readonly words: string;
}

/** After so many runs more without an objection the search ends. */
export const RUNS_MAX = 1_000;

export class Search {
  progress: Progress;

  private readonly pool: Simulator[];
  private events = 0;
  private seed: number;
  /** Whether what was found is small enough. */
  private enough = false;
  private readonly began = performance.now();

  constructor(
    readonly attack: Attack,
    start: () => Simulator,
    workers: number,
    private readonly changed: (progress: Progress) => void,
    /** How many seeds were tried before; it goes on with the next ones. */
    tried = 0,
  ) {
    this.seed = tried;
    this.progress = { phase: 'trying', runs: tried, most: tried + RUNS_MAX, rate: 0, found: null, script: null, words: '' };
    this.pool = Array.from({ length: Math.max(1, workers) }, start);
    for (const worker of this.pool) void this.work(worker);
  }

  /** Ends it as soon as it can; what was found by then stays. */
  stop(): void {
    this.enough = true;
    if (this.progress.phase === 'trying') this.end({ phase: 'nothing' });
  }

  private async work(worker: Simulator): Promise<void> {
    try {
      while (this.progress.phase === 'trying' && this.seed < this.progress.most) {
        this.seed += 1;
        const tried = await worker.call('attack', this.attack, this.seed);
        if (this.progress.phase !== 'trying') return;
        this.count(tried.events);
        if (tried.found) return await this.shrink(worker, tried.found);
      }
      if (this.progress.phase === 'trying' && this.progress.runs >= this.progress.most) this.end({ phase: 'nothing' });
    } catch (error) {
      // Workers that were ended fail too; of them nobody wants to know.
      const running = this.progress.phase === 'trying' || this.progress.phase === 'shrinking';
      if (running) this.end({ phase: 'failed', words: error instanceof Error ? error.message : String(error) });
    }
  }

  private async shrink(worker: Simulator, first: Found): Promise<void> {
    for (const other of this.pool) if (other !== worker) other.close();
    let found: Found | undefined = first;
    this.tell({ phase: 'shrinking', found });
    while (!found.smallest && !this.enough) {
      found = (await worker.call('shrink')).found ?? found;
      this.tell({ found });
    }
    this.end({ phase: 'found', script: await worker.call('script') });
  }

  private count(events: number): void {
    this.events += events;
    const seconds = (performance.now() - this.began) / 1_000;
    this.tell({ runs: this.progress.runs + 1, rate: this.events / Math.max(seconds, 0.001) });
  }

  private end(last: Partial<Progress>): void {
    this.progress = { ...this.progress, ...last };
    for (const worker of this.pool) worker.close();
    this.changed(this.progress);
  }

  private tell(news: Partial<Progress>): void {
    this.progress = { ...this.progress, ...news };
    this.changed(this.progress);
  }
}
