/**
 * The simulator's own thread: one {@link Sim} or one {@link Search}, one question at a time.
 *
 * A thrown `Error` is a refusal in the core's words. Anything else is a panic or a trap: the instance is
 * not used again, and the page gets a link that leads to the same spot.
 */
import init, { build, parse_link, Search, settings_table, Sim } from 'kv-wasm';
import wasm from '../../../kv-wasm/pkg/kv_wasm_bg.wasm?url';
import type { Begun, CallName, Calls, FromWorker, Moved, ToWorker } from './protocol';

/** How many events run between two looks at the clock. */
const STEPS_PER_SLICE = 256;
/** How many trace entries of either sort and operations the panels are given at most. */
const TRACE_MOST = 400;
const OPERATIONS_MOST = 40;

const loaded = init({ module_or_path: wasm });
let sim: Sim | null = null;
let search: Search | null = null;
/** Where a crash would be found again. */
let crashLink: string | null = null;

const calls: Calls = {
  start(config) {
    return begin(new Sim(config));
  },
  read(text) {
    return { link: parse_link(text), build: build() };
  },
  open(text) {
    crashLink = text;
    return begin(Sim.from_link(text));
  },
  advance(untilUs, budgetMs) {
    const running = present();
    crashLink = running.link_to(untilUs);
    return within(budgetMs, () => running.advance(untilUs, STEPS_PER_SLICE));
  },
  step() {
    present().step();
    return moved(true);
  },
  stepBack(budgetMs) {
    present().step_back();
    return calls.goOn(budgetMs);
  },
  seek(branch, atUs, budgetMs) {
    present().seek(branch, atUs);
    return calls.goOn(budgetMs);
  },
  goOn(budgetMs) {
    const running = present();
    return within(budgetMs, () => running.go_on(STEPS_PER_SLICE));
  },
  marks(branch) {
    return present().marks(branch);
  },
  judge() {
    const running = present();
    const began = performance.now();
    const verdicts = running.verdicts();
    return { verdicts, atUs: running.now(), tookMs: performance.now() - began };
  },
  act(act) {
    present().act(act);
    return moved(true);
  },
  glance({ node, key, link, trace, actions }) {
    const shown = present();
    return {
      node: node === null ? null : (shown.inspect(node) ?? null),
      machine: node === null ? null : (shown.machine(node) ?? null),
      key: key === null ? null : shown.key(key),
      trace: shown.trace_since(trace, TRACE_MOST),
      actions: shown.actions_since(actions),
      operations: shown.operations(OPERATIONS_MOST),
      elections: shown.elections(),
      settings: shown.settings(),
      network: shown.network(),
      link: link && {
        ...link,
        there: shown.link_settings(link.from, link.to) ?? null,
        back: shown.link_settings(link.to, link.from) ?? null,
      },
      clients: shown.clients(),
    };
  },
  refused(node, changes) {
    return present().settings_refused(node, changes) ?? null;
  },
  share() {
    return { text: present().link(), hash: present().hash() };
  },
  attack(attack, seed) {
    search ??= new Search(attack);
    return search.attack(seed);
  },
  shrink() {
    if (search === null) throw new Error('nothing was found yet');
    return search.shrink();
  },
  script() {
    return search?.script() ?? null;
  },
};

/** Plays slice by slice until something is reached, but not for longer than the budget. */
function within(budgetMs: number, play: () => boolean): Moved {
  const stop = performance.now() + budgetMs;
  let reached = play();
  while (!reached && performance.now() < stop) reached = play();
  return moved(reached);
}

function present(): Sim {
  if (sim === null) throw new Error('no run has begun yet');
  return sim;
}

function begin(next: Sim): Begun {
  sim?.free();
  sim = next;
  return { config: sim.config(), table: settings_table(), build: build(), moved: moved(true) };
}

function moved(reached: boolean): Moved {
  const running = present();
  const bytes = running.frame();
  return { reached, frame: bytes.buffer as ArrayBuffer, kinds: running.kinds(), tracks: running.tracks() };
}

/** Buffers that are handed over rather than copied. */
function handedOver(value: unknown): Transferable[] {
  const frame = (value as Partial<Begun> & Partial<Moved>).moved?.frame ?? (value as Partial<Moved> | null)?.frame;
  return frame ? [frame] : [];
}

function answer<Name extends CallName>(name: Name, parameters: Parameters<Calls[Name]>): ReturnType<Calls[Name]> {
  const call = calls[name] as (...parameters: Parameters<Calls[Name]>) => ReturnType<Calls[Name]>;
  return call(...parameters);
}

self.onmessage = async ({ data }: MessageEvent<ToWorker>) => {
  const reply = (message: FromWorker, transfer: Transferable[] = []) => self.postMessage(message, { transfer });
  try {
    await loaded;
    const value: unknown = answer(data.name, data.arguments as never);
    reply({ id: data.id, type: 'answer', value }, value === null ? [] : handedOver(value));
  } catch (error) {
    const refused = error instanceof Error && !(error instanceof WebAssembly.RuntimeError);
    const words = error instanceof Error ? error.message : String(error);
    if (refused) reply({ id: data.id, type: 'refused', words });
    else reply({ id: data.id, type: 'crashed', words, link: crashLink });
  }
};
