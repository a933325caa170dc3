/**
 * What the page and the worker say to each other. Types of what is inspected come from the core
 * (`kv-wasm`); here is only how questions and answers travel.
 */
import type {
  Act, ActionLine, Attack, Clients, KeyObject, LinkObject, LinkSettings, MachineObject, Mark, Network, NodeObject, OperationLine,
  RunConfig, SettingRow, SettingState, SettingValue, Trace, Tried, VerdictObject,
} from 'kv-wasm';

/** Each question with its arguments and its answer. */
export interface Calls {
  /** Begins a new run. */
  start: (config: RunConfig) => Begun;
  /** What a share link holds, and the build of the core that is to play it. */
  read: (text: string) => { link: LinkObject; build: string };
  /** Plays the run of a share link to its end. */
  open: (text: string) => Begun;
  /** Runs on to a time, for at most so many milliseconds of real time. */
  advance: (untilUs: number, budgetMs: number) => Moved;
  /** Runs the next event only. */
  step: () => Moved;
  /** Looks for what was there before the latest event, as `seek` does. */
  stepBack: (budgetMs: number) => Moved;
  /** Looks for a moment of a branch; where it was not found within the budget, `goOn` goes on. */
  seek: (branch: number, atUs: number, budgetMs: number) => Moved;
  goOn: (budgetMs: number) => Moved;
  /** What was done on a branch since it began. */
  marks: (branch: number) => Mark[];
  /** What the judges say of this branch up to this moment. */
  judge: () => Judgement;
  /** Does something to the world, now. */
  act: (act: Act) => Moved;
  /** Reads what the panels show. */
  glance: (question: Question) => Glance;
  /** Why a node would not take these changes, or null. */
  refused: (node: number, changes: SettingValue[]) => string | null;
  /** The run up to now as text for a link. */
  share: () => { text: string; hash: string };
  /** Attacks the cluster of a seed; what it finds, `shrink` makes smaller step by step. */
  attack: (attack: Attack, seed: number) => Tried;
  shrink: () => Tried;
  /** The smallest run so far as a script of the core's test suite; null if it cannot be one. */
  script: () => string | null;
}

export interface Judgement {
  verdicts: VerdictObject[];
  /** Up to when operations were judged. */
  atUs: number;
  /** How long that took the worker. */
  tookMs: number;
}

export interface Begun {
  config: RunConfig;
  table: SettingRow[];
  build: string;
  moved: Moved;
}

export interface Moved {
  /** Whether the time asked for was reached within the budget. */
  reached: boolean;
  frame: ArrayBuffer;
  kinds: string[];
  /** The branch shown; then of each branch its parent or -1, its beginning and end, and its actions. */
  tracks: Float64Array;
}

/** The two nodes of a link. */
export interface Ends {
  readonly from: number;
  readonly to: number;
}

/** What each direction of a link has for itself. */
export interface OwnSettings extends Ends {
  readonly there: LinkSettings | null;
  readonly back: LinkSettings | null;
}

/** What the reader looks at. */
export interface Question {
  node: number | null;
  key: string | null;
  link: Ends | null;
  /** The trace entry and the action from which on news are wanted. */
  trace: number;
  actions: number;
}

export interface Glance {
  node: NodeObject | null;
  /** What the node runs on, even while it is down. */
  machine: MachineObject | null;
  key: KeyObject | null;
  trace: Trace;
  actions: ActionLine[];
  operations: OperationLine[];
  /** Who led the metadata group on the branch shown: of each election its time, the node and its term. */
  elections: Float64Array;
  settings: SettingState[];
  network: Network;
  /** What each direction of the link has for itself; nothing where it goes by the network. */
  link: OwnSettings | null;
  clients: Clients;
}

export type CallName = keyof Calls;

export type ToWorker = { [Name in CallName]: { id: number; name: Name; arguments: Parameters<Calls[Name]> } }[CallName];

export type FromWorker =
  | { id: number; type: 'answer'; value: unknown }
  /** The core refused; nothing changed. */
  | { id: number; type: 'refused'; words: string }
  /** The simulator has a bug and is gone; the link leads to the same spot. */
  | { id: number; type: 'crashed'; words: string; link: string | null };
