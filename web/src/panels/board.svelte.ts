/**
 * What the panels show and what they can do: the session, seen through Svelte.
 *
 * The stage is drawn for every animation frame straight from the session; panels read the fields here,
 * which change ten times a second. Everything the reader does goes through a method of this class.
 */
import type { Act, KeyObject, LinkSettings, Mark, RunConfig, SettingRow, SettingValue, VerdictObject } from 'kv-wasm';
import { startWorker } from '../sim/client';
import { NodeFlag, type Frame } from '../sim/frame';
import type { Ends, Glance, Judgement, OwnSettings } from '../sim/protocol';
import type { Family } from '../stage/families';
import type { Hover, StageChoice } from '../stage/stage';
import { gear, stopped, type Clock } from '../state/clock';
import { formatClock, nodeName } from '../state/format';
import { linkAddress, linkText, type LinkVerdict } from '../state/link';
import { flightsOf, type Flight } from '../state/flights';
import { append, emptyLog, type Log } from '../state/log';
import { bandsOf, type Band } from '../state/raft';
import { killOf, type Killed } from '../state/scenario';
import { Search, type Progress } from '../state/search';
import { Session, type Halt } from '../state/session';
import { nodesDown, noDeeds, type Deeds, type Quorums } from '../state/story';
import { firstTrack, marksOf, sameTime, type Tracks } from '../state/tracks';

/** How often panels are refreshed, in ms. */
const REFRESH_MS = 100;
/** How far a new run is played before it is shown: by then the nodes have found each other and hold keys. */
const PRELUDE_US = 9_000_000;

/** The judges rest at least so long, in ms, and so many times as long as they worked. */
const JUDGES_REST_MS = 500;
const JUDGES_REST_TIMES = 12;

/** How often a search breaks or mends something in each run. */
const STRIKES = 20;

/** What shares a place on a wide screen: what happened, and the log of the metadata group. */
export type Pane = 'log' | 'raft';
export type Tab = 'clients' | 'settings' | 'inspector' | Pane;
/** Which directions of a link are meant. */
export type Way = 'both' | 'there' | 'back';

/** How a run begins if nobody says otherwise: slow enough to watch, busy enough to mean something. */
export function freshConfig(nodes = 5, seed = randomSeed()): RunConfig {
  return {
    seed,
    nodes,
    partitions: 64,
    shards: 1,
    network: {
      latency_min_us: 120_000, latency_max_us: 320_000, loss_per_mille: 0,
      stragglers_per_mille: 0, straggle: 10, duplication_per_mille: 0, reordering_per_mille: 0,
    },
    sync_us: 8_000,
    settings: [],
    workload: { clients: 40, per_second: 3, keys: 12, writes_per_mille: 550 },
  };
}

/** A seed from the browser's own generator. */
export function randomSeed(): string {
  const words = crypto.getRandomValues(new Uint32Array(2));
  return [...words].map((word) => word.toString(16).padStart(8, '0')).join('').replace(/^0+(?=.)/, '');
}

export class Board {
  frame = $state.raw<Frame | null>(null);
  clock = $state.raw<Clock>(stopped);
  glance = $state.raw<Glance | null>(null);
  config = $state.raw<RunConfig | null>(null);
  table = $state.raw<SettingRow[]>([]);
  build = $state('');
  /** What was done up to the moment shown. */
  deeds = $state.raw<Deeds>(noDeeds);
  halt = $state.raw<Halt | null>(null);
  tracks = $state.raw<Tracks>(firstTrack);
  /** The time of the moment that is looked for, if one is. */
  sought = $state<number | null>(null);
  /** What was done on each branch since it began. */
  marks = $state.raw<readonly (readonly Mark[])[]>([]);
  judgement = $state.raw<Judgement | null>(null);
  /** The demand whose verdict is told in full. */
  verdict = $state<string | null>(null);
  /** Whether the panel of the search is open, and how far the search has come. */
  searching = $state(false);
  search = $state.raw<Progress | null>(null);
  log = $state.raw<Log>(emptyLog);
  notice = $state.raw<LinkVerdict | null>(null);
  /** Words that pass: a refusal, a copied link. */
  toast = $state('');
  /** The node in the inspector. */
  node = $state<number | null>(0);
  key = $state<string | null>(null);
  hover = $state.raw<Hover | null>(null);
  /** The link that was touched last, for the choice of one-way cuts. */
  touched = $state.raw<Ends | null>(null);
  /** The nodes picked for one side of a partition; shown on the stage while they are. */
  side = $state.raw<readonly number[]>([]);
  /** The message that was picked to be lost or held up. */
  message = $state<number | null>(null);
  /** Whether the list of messages takes the keyboard's focus when it is shown next. */
  pickFocus = $state(false);
  /** Whether what can be done to a link takes the focus when it is shown next. */
  linkFocus = $state(false);
  hidden = $state.raw<ReadonlySet<Family>>(new Set());
  tab = $state<Tab>('clients');
  pane = $state<Pane>('log');
  /** The leader of the metadata group that was killed last. */
  killed = $state.raw<Killed | null>(null);
  help = $state(false);

  readonly session = new Session(startWorker, () => this.mirror());
  /** Moves the keyboard's focus to a node; the stage sets it. */
  focusNode: (node: number) => void = () => {};

  private choice: StageChoice = { node: 0, side: [], owners: [], key: null, hidden: new Set(), message: null };
  private refreshed = 0;
  private glancing = false;
  private judging = false;
  private judgesRestUntil = 0;
  /** Of which moment the judgement is: the run, its leaps, and how far it had come. */
  private judged = '';
  private leaps = 0;
  /** How many actions each branch had when its marks were read. */
  private marked: number[] = [];
  private hunt: Search | null = null;
  private toastTimer: ReturnType<typeof setTimeout> | undefined;

  /** Opens what the address says, or begins afresh. */
  async enter(): Promise<void> {
    const text = linkText(location.hash);
    if (text === null) return this.begin(freshConfig());
    this.notice = { kind: 'replaying', words: 'Replaying the run of this link…' };
    const verdict = await this.session.open(text);
    if (verdict === null) return;
    this.forget();
    if (verdict.kind === 'broken' && this.halt === null) await this.begin(freshConfig());
    this.notice = this.halt === null ? verdict : null;
  }

  /** A new run, at once under way. */
  async begin(config: RunConfig): Promise<void> {
    this.notice = null;
    const refused = await this.session.begin(config, PRELUDE_US);
    this.forget();
    if (refused !== null && this.halt === null) this.say(refused);
    if (refused === null) this.session.play(true);
  }

  /** Once per animation frame. */
  pump(nowMs: number): { frame: Frame; clock: Clock; choice: StageChoice } | null {
    this.session.pump(nowMs);
    if (nowMs - this.refreshed >= REFRESH_MS) {
      this.refreshed = nowMs;
      this.mirror();
      void this.look();
      void this.judge(nowMs);
    }
    const { frame, clock } = this.session;
    return frame && { frame, clock, choice: this.chosen() };
  }

  toggle(): void {
    this.session.play(!this.session.clock.playing);
  }

  /** The messages under way that the stage shows, the one that arrives first before the others. */
  flights(): Flight[] {
    return this.frame === null ? [] : flightsOf(this.frame, this.clock.view, this.hidden);
  }

  /** Pauses and picks the message after the one that is picked; at first one in the middle, for it is half-way. */
  async pickNext(): Promise<void> {
    await this.session.pause();
    const flights = this.flights();
    const here = flights.findIndex(({ number }) => number === this.message);
    const next = flights[here < 0 ? flights.length >> 1 : (here + 1) % flights.length];
    if (next === undefined) return this.say('No message is under way right now.');
    this.message = next.number;
    this.pickFocus = true;
  }

  step(): void {
    void this.session.step();
  }

  async stepBack(): Promise<void> {
    const refused = await this.session.stepBack();
    if (refused !== null && this.halt === null) this.say(refused);
  }

  /** Goes to a moment of a branch, of the shown one if none is named. */
  seek(at: number, branch = this.session.tracks.shown): void {
    this.session.seek(branch, at);
    this.mirror();
  }

  /** Goes so far ahead or back on the branch shown. */
  leap(us: number): void {
    this.seek((this.session.target?.at ?? this.session.clock.view) + us);
  }

  /** Shows another branch, at the same time if it has been there. */
  switchTo(branch: number): void {
    const { tracks, clock } = this.session;
    if (tracks.all[branch] !== undefined) this.seek(sameTime(tracks, branch, clock.view), branch);
  }

  /** Everything that was done on the branch shown, its past included. */
  marksShown(): Mark[] {
    return marksOf(this.tracks, this.tracks.shown, this.marks);
  }

  /** Who led the metadata group on the branch shown, up to its end. */
  bands(): Band[] {
    const elections = this.glance?.elections;
    return elections === undefined ? [] : bandsOf(elections, this.tracks.all[this.tracks.shown]?.end ?? 0);
  }

  /** Shows the event log or the Raft log. */
  open(pane: Pane): void {
    this.pane = pane;
    this.tab = pane;
  }

  /** Crashes the leader of the metadata group, and shows the logs. */
  async killLeader(): Promise<void> {
    const killed = this.session.frame && killOf(this.session.frame);
    if (killed === null) {
      this.say('Nobody leads the metadata group right now. Wait for an election.');
    } else if (await this.act({ kind: 'crash', node: killed.node })) {
      this.killed = killed;
      this.open('raft');
    }
  }

  /** Tells a verdict in full; where the judges object, goes to the moment. */
  tell(verdict: VerdictObject): void {
    this.searching = false;
    this.verdict = this.verdict === verdict.demand ? null : verdict.demand;
    if (this.verdict !== null && verdict.says === 'wrong') this.seek(verdict.at_us);
  }

  /** Attacks clusters with the settings of this one until one breaks a demand. */
  hunting(demands: string[]): void {
    const settings = (this.glance?.settings ?? [])
      .filter(({ name, value }) => value !== this.table.find((row) => row.name === name)?.default)
      .map(({ name, value }): SettingValue => ({ name, value }));
    const attack = { nodes: this.frame?.nodes.count ?? 5, settings, demands, strikes: STRIKES };
    const workers = (navigator.hardwareConcurrency || 2) - 1;
    this.session.play(false);
    // The same question again is a wish for other runs.
    const tried = JSON.stringify(attack) === JSON.stringify(this.hunt?.attack) ? this.hunt?.progress.runs : 0;
    this.hunt = new Search(attack, startWorker, workers, (progress) => (this.search = progress), tried);
    this.search = this.hunt.progress;
  }

  stopHunting(): void {
    this.hunt?.stop();
  }

  shift(direction: 1 | -1): void {
    this.session.setSpeed(gear(this.session.clock.speed, direction));
  }

  /** Crashes a node that is up, restarts one that is down. */
  async flip(node: number): Promise<void> {
    const frame = this.session.frame;
    if (frame === null) return;
    const down = nodesDown(frame).includes(node);
    await this.act({ kind: down ? 'restart' : 'crash', node });
  }

  /** Cuts a link or, if any direction of it is cut, mends it. One way only means one direction only. */
  async flipLink(from: number, to: number, oneWay: boolean): Promise<void> {
    const frame = this.session.frame;
    if (frame === null) return;
    this.touch(from, to);
    const ways = oneWay ? [[from, to] as const] : [[from, to] as const, [to, from] as const];
    const cut = ways.filter(([a, b]) => frame.isCut(a, b));
    const acts: Act[] = cut.length > 0
      ? cut.map(([a, b]) => ({ kind: 'mend', from: a, to: b }))
      : ways.map(([a, b]) => ({ kind: 'cut', from: a, to: b }));
    await this.act(...acts);
  }

  /** Makes a link cut in exactly these directions. */
  async setLink(from: number, to: number, there: boolean, back: boolean): Promise<void> {
    const frame = this.session.frame;
    if (frame === null) return;
    const acts: Act[] = [];
    for (const [a, b, wanted] of [[from, to, there], [to, from, back]] as const) {
      if (frame.isCut(a, b) !== wanted) acts.push({ kind: wanted ? 'cut' : 'mend', from: a, to: b });
    }
    await this.act(...acts);
  }

  /** Stops a node's process, or lets it go on. */
  async flipPause(node: number): Promise<void> {
    const flags = this.session.frame?.nodes.flags[node] ?? 0;
    await this.act({ kind: (flags & NodeFlag.paused) !== 0 ? 'resume' : 'pause', node });
  }

  /** Goes to what can be done to a link. */
  reach(from: number, to: number): void {
    this.touch(from, to);
    this.linkFocus = true;
  }

  private touch(from: number, to: number): void {
    this.touched = { from: Math.min(from, to), to: Math.max(from, to) };
    void this.look();
  }

  /** What a link has for itself; null until that is known. */
  ownOf({ from, to }: Ends): OwnSettings | null {
    const own = this.glance?.link ?? null;
    return own?.from === from && own.to === to ? own : null;
  }

  /** Gives a link settings of its own. Returns why not, or null. */
  async tuneLink(link: Ends, way: Way, changes: Partial<LinkSettings>): Promise<string | null> {
    const network = this.glance?.network;
    const own = this.ownOf(link);
    if (!network) return null;
    const { latency_min_us, latency_max_us, loss_per_mille } = network;
    const acts = directions(link, way).map(({ from, to, side }): Act => {
      const now = own?.[side] ?? { latency_min_us, latency_max_us, loss_per_mille };
      return { kind: 'link', from, to, own: { ...now, ...changes } };
    });
    return (await this.act(...acts)) ? null : this.toast;
  }

  /** Lets messages on a link travel as in the whole network again. */
  async untuneLink(link: Ends, way: Way): Promise<void> {
    const { frame } = this.session;
    const own = directions(link, way).filter(({ from, to }) => frame?.hasOwn(from, to));
    await this.act(...own.map(({ from, to }): Act => ({ kind: 'unlink', from, to })));
  }

  /** Lets only the nodes of one side hear each other, and those of the other. */
  async partition(side: readonly number[]): Promise<void> {
    const nodes = this.session.frame?.nodes.count ?? 0;
    const groups = Array.from({ length: nodes }, (_, node) => (side.includes(node) ? 1 : 0));
    if (await this.act({ kind: 'partition', groups })) this.side = [];
  }

  /** Does things to the world; says so if the core refuses. */
  async act(...acts: Act[]): Promise<boolean> {
    const before = this.session.tracks.all.length;
    const refused = await this.session.act(...acts);
    if (refused !== null && this.halt === null) this.say(refused);
    const { all } = this.session.tracks;
    if (all.length > before && before > 0) {
      this.say(`Branch ${all.length} begins at ${formatClock(all.at(-1)?.from ?? 0)}. What had happened stays on its own track.`);
    }
    void this.look();
    return refused === null;
  }

  /** Changes settings on the chosen node or else on one that is up. Returns why not, or null. */
  async set(changes: SettingValue[]): Promise<string | null> {
    const node = this.settingsNode();
    if (node === null) return 'all nodes are down; restart one first';
    const words = await this.session.refused(node, changes);
    if (words !== null) return words;
    const refused = await this.session.act({ kind: 'set', node, changes });
    void this.look();
    return refused;
  }

  /** Where settings are changed. */
  settingsNode(): number | null {
    const frame = this.frame;
    if (frame === null) return null;
    const down = nodesDown(frame);
    if (this.node !== null && !down.includes(this.node)) return this.node;
    return Array.from({ length: frame.nodes.count }, (_, node) => node).find((node) => !down.includes(node)) ?? null;
  }

  /** R and W as the cluster has them. */
  quorums(): Quorums {
    const value = (name: string) => this.glance?.settings.find((setting) => setting.name === name)?.value
      ?? this.table.find((row) => row.name === name)?.default ?? 1;
    return { read: value('read_quorum'), write: value('write_quorum') };
  }

  inspect(node: number): void {
    this.node = node;
    this.tab = 'inspector';
    void this.look();
  }

  chooseKey(key: string | null): void {
    this.key = key === '' ? null : key;
    void this.look();
  }

  show(family: Family, shown: boolean): void {
    const hidden = new Set(this.hidden);
    if (shown) hidden.delete(family);
    else hidden.add(family);
    this.hidden = hidden;
  }

  /** Puts a link to exactly this run into the address bar and onto the clipboard. */
  async share(): Promise<void> {
    const shared = await this.session.share();
    if (shared === null) return;
    if (typeof shared === 'string') return this.say(shared);
    const address = linkAddress(location.href, shared.text);
    history.replaceState(null, '', address);
    await this.copyLink(address, `Link copied. It replays this run and must end at hash ${shared.hash}.`);
  }

  /** The same for the spot at which the simulator crashed. */
  async shareCrash(): Promise<void> {
    if (this.halt?.link) await this.copyLink(linkAddress(location.href, this.halt.link), 'Link to this crash copied.');
  }

  say(words: string): void {
    this.toast = words;
    clearTimeout(this.toastTimer);
    this.toastTimer = setTimeout(() => { this.toast = ''; }, 6_000);
  }

  /** Puts a text onto the clipboard, and says so. */
  async copy(text: string, words: string, otherwise = () => 'The browser does not let the page copy; mark the text and copy it.'): Promise<void> {
    try {
      await navigator.clipboard.writeText(text);
      this.say(words);
    } catch {
      this.say(otherwise());
    }
  }

  private copyLink(address: string, words: string): Promise<void> {
    return this.copy(address, words, () => {
      // Without permission or a secure context there is still the address bar.
      history.replaceState(null, '', address);
      return 'The link is in the address bar; copy it from there.';
    });
  }

  /** Lets go of what belonged to the run before. */
  private forget(): void {
    this.log = emptyLog;
    this.deeds = noDeeds;
    this.glance = null;
    this.key = null;
    this.touched = null;
    this.side = [];
    this.hover = null;
    this.message = null;
    this.marks = [];
    this.marked = [];
    this.killed = null;
    this.judgement = null;
    this.verdict = null;
    const nodes = this.session.frame?.nodes.count ?? 0;
    if (this.node !== null && this.node >= nodes) this.node = 0;
    this.mirror();
    void this.look();
  }

  private mirror(): void {
    const { frame, clock, config, table, build, halt, tracks, target } = this.session;
    this.frame = frame;
    this.clock = clock;
    this.config = config;
    this.table = table;
    this.build = build;
    this.halt = halt;
    this.tracks = tracks;
    this.sought = target?.at ?? null;
  }

  /** Hears the judges if something happened since, and if they have rested. */
  private async judge(nowMs: number): Promise<void> {
    const { frame, halt, run, leaps, tracks } = this.session;
    if (frame === null || halt !== null || this.judging || nowMs < this.judgesRestUntil) return;
    const moment = [run, leaps, tracks.shown, frame.steps, frame.now].join();
    if (moment === this.judged) return;
    this.judging = true;
    const judgement = await this.session.judge();
    this.judging = false;
    this.judgesRestUntil = performance.now() + Math.max(JUDGES_REST_MS, JUDGES_REST_TIMES * (judgement?.tookMs ?? 0));
    if (judgement === null || run !== this.session.run) return;
    this.judged = moment;
    this.judgement = judgement;
  }

  /** Reads what was done on branches where something was done since. */
  private async mark(): Promise<void> {
    const { run, tracks } = this.session;
    for (const [branch, track] of tracks.all.entries()) {
      if (this.marked[branch] === track.actions) continue;
      const marks = await this.session.marks(branch);
      if (marks === null || run !== this.session.run) return;
      this.marked[branch] = track.actions;
      const all = [...this.marks];
      all[branch] = marks;
      this.marks = all;
    }
  }

  private async look(): Promise<void> {
    if (this.glancing || this.session.frame === null || this.session.halt !== null) return;
    this.glancing = true;
    const { run, leaps } = this.session;
    if (leaps !== this.leaps) {
      // What the log told may not have happened on this branch, or not yet.
      this.leaps = leaps;
      this.log = emptyLog;
    }
    const { trace, actions } = this.log;
    const glance = await this.session.glance({ node: this.node, key: this.key, link: this.touched, trace, actions });
    await this.mark();
    this.glancing = false;
    if (glance === null || run !== this.session.run || leaps !== this.session.leaps || this.log.trace !== trace) return;
    this.log = append(this.log, glance.trace, glance.actions);
    this.deeds = this.log.deeds;
    this.glance = glance;
  }

  /** The same object as long as nothing changed, so that the stage need not look again. */
  private chosen(): StageChoice {
    const shown: KeyObject | null = this.key !== null && this.glance?.key?.key === this.key ? this.glance.key : null;
    const owners = shown?.owners ?? [];
    const { choice } = this;
    const same = choice.node === this.node && choice.side === this.side && choice.hidden === this.hidden && choice.message === this.message
      && (choice.key?.partition ?? null) === (shown?.partition ?? null) && choice.owners.join() === owners.join();
    if (!same) this.choice = { node: this.node, side: this.side, hidden: this.hidden, message: this.message, key: shown && { partition: shown.partition }, owners };
    return this.choice;
  }
}

/** The directions of a link that are meant, and which side of what is known of it that is. */
function directions({ from, to }: Ends, way: Way) {
  const both = [{ from, to, side: 'there' }, { from: to, to: from, side: 'back' }] as const;
  return both.filter(({ side }) => way === 'both' || way === side);
}

/** What a press would do here, for the line beneath the stage. */
export function hoverWords(hover: Hover | null, frame: Frame | null, playing: boolean): string {
  if (hover === null || frame === null) {
    return playing ? 'Click a node to crash it, a line to cut it. Press ? for the keyboard.' : 'Click a node to crash it, a line to cut it, a message to lose it.';
  }
  if (hover.kind === 'message') return 'Click to pick this message, to lose it or hold it up.';
  if (hover.kind === 'node') {
    const name = nodeName(hover.node);
    return `Click to ${nodesDown(frame).includes(hover.node) ? 'restart' : 'crash'} ${name}. The small i shows what is inside.`;
  }
  const { from, to } = hover;
  const link = `${nodeName(from)} – ${nodeName(to)}`;
  return frame.isCut(from, to) || frame.isCut(to, from) ? `Click to mend ${link}.` : `Click to cut ${link}; with Shift only one direction.`;
}
