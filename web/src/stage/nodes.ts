/**
 * The nodes: discs at fixed seats, each a button that crashes or restarts its node, each with a smaller
 * button that opens the inspector.
 *
 * State shows by shape and word, never by hue: up is solid, down is hollow and says so, suspected is
 * dashed, suspended is dotted, the leader of the metadata group has a double ring, a hollow triangle asks
 * whether it would be elected, a solid one stands for election. Discs that are cut off from most others
 * have a shade. Below a disc stands the term its node knows. Elements are made once per run and only what
 * differs is set.
 */
import { NodeFlag, Role, type Frame } from '../sim/frame';
import { count, nodeName } from '../state/format';
import { roleOf } from '../state/raft';
import { sidesOf } from '../state/sides';
import { isNamed, seat, toward, type Plan } from './geometry';
import { make, press, set, write } from './svg';

export interface NodeHandlers {
  /** The disc was pressed. */
  onNode(node: number): void;
  /** The inspector's button was pressed. */
  onInspect(node: number): void;
  /** The pointer or the focus is on a node, or has left it. */
  onHover(hover: { node: number } | null): void;
}

/** What the reader has chosen. */
export interface Chosen {
  readonly node: number | null;
  /** The nodes of one side of a partition that may come. */
  readonly side: readonly number[];
  /** The owners of the chosen key, in their order. */
  readonly owners: readonly number[];
}

/** How many shades tell sides apart; further ones repeat them. */
const SHADES = 3;

export type NodeState = 'up' | 'down' | 'suspected' | 'halted' | 'paused';

/** What state a node is in: what others think of it counts only while it is up. */
export function nodeState(frame: Frame, node: number): NodeState {
  const flags = frame.nodes.flags[node] ?? 0;
  if ((flags & NodeFlag.halted) !== 0) return 'halted';
  if ((flags & NodeFlag.up) === 0) return 'down';
  if ((flags & NodeFlag.paused) !== 0) return 'paused';
  return (frame.nodes.suspectedBy[node] ?? 0) > 0 ? 'suspected' : 'up';
}

interface Parts {
  group: SVGGElement;
  body: SVGGElement;
  reach: SVGCircleElement;
  halo: SVGCircleElement;
  disc: SVGCircleElement;
  inner: SVGCircleElement;
  mark: SVGPathElement;
  name: SVGTextElement;
  note: SVGTextElement;
  info: SVGGElement;
  rank: SVGGElement;
  rankText: SVGTextElement;
  term: SVGTextElement;
}

export class Nodes {
  readonly root = make('svg', { class: 'nodes', role: 'group', 'aria-label': 'Nodes' });
  private parts: Parts[] = [];
  private plan: Plan | null = null;

  constructor(private readonly handlers: NodeHandlers) {}

  /** Puts the discs to their seats. */
  place(plan: Plan, nodes: number): void {
    this.plan = plan;
    set(this.root, { viewBox: `0 0 ${plan.width} ${plan.height}`, class: plan.labelled ? 'nodes' : 'nodes small' });
    while (this.parts.length > nodes) this.parts.pop()!.group.remove();
    while (this.parts.length < nodes) this.add(this.parts.length);
    this.parts.forEach((parts, node) => {
      place(parts, plan, seat(plan, node, nodes));
      set(parts.name, { visibility: isNamed(plan, node, nodes) ? 'inherit' : 'hidden' });
    });
  }

  /** Shows the state of all nodes. */
  update(frame: Frame, chosen: Chosen): void {
    const sides = sidesOf(frame);
    this.parts.forEach((parts, node) => {
      if (node < frame.nodes.count) this.show(parts, frame, node, chosen, sideOf(sides, node, chosen));
    });
  }

  focus(node: number): void {
    this.parts[node]?.body.focus();
  }

  private show(parts: Parts, frame: Frame, node: number, chosen: Chosen, side: number): void {
    const state = nodeState(frame, node);
    const flags = frame.nodes.flags[node]!;
    const leads = (flags & NodeFlag.leader) !== 0;
    const stands = standing(frame, node);
    const rank = chosen.owners.indexOf(node);
    const note = noteOf(frame, node, state);
    const isUp = (flags & NodeFlag.up) !== 0;
    const classes = ['node', state];
    if (leads) classes.push('leader');
    if (stands) classes.push(roleOf(frame, node));
    if ((flags & NodeFlag.behind) !== 0) classes.push('behind');
    if (chosen.node === node) classes.push('chosen');
    if (rank >= 0) classes.push('replica');
    if (side > 0) classes.push('aside', `side-${1 + ((side - 1) % SHADES)}`);
    set(parts.group, { class: classes.join(' '), 'data-state': state, 'data-side': side });
    const leading = leads ? `, leads in term ${frame.nodes.term[node]}` : '';
    const cutOff = side > 0 && chosen.side.length === 0 ? ', cut off from most others' : '';
    set(parts.body, { 'aria-label': `${nodeName(node)}, ${note}${leading}${cutOff}. ${isUp ? 'Crash it' : 'Restart it'}` });
    set(parts.mark, { visibility: stands ? 'visible' : 'hidden' });
    write(parts.note, this.plan?.labelled ? note : '');
    set(parts.rank, { visibility: rank >= 0 ? 'visible' : 'hidden' });
    write(parts.rankText, String(rank + 1));
    write(parts.term, isUp && this.plan?.labelled && frame.nodes.role[node] !== Role.none ? `t${frame.nodes.term[node]}` : '');
  }

  private add(node: number): void {
    const parts = build(node);
    this.parts.push(parts);
    this.root.append(parts.group);
    press(parts.body, () => this.handlers.onNode(node));
    press(parts.info, () => this.handlers.onInspect(node));
    const hover = () => this.handlers.onHover({ node });
    const leave = () => this.handlers.onHover(null);
    parts.group.addEventListener('pointerenter', hover);
    parts.group.addEventListener('pointerleave', leave);
    // Not on the group: an SVG element that listens for the focus becomes a stop for the tab key.
    for (const button of [parts.body, parts.info]) {
      button.addEventListener('focus', hover);
      button.addEventListener('blur', leave);
    }
  }
}

/** The side of a node: of the partition that may come, else of the one there is. */
function sideOf(sides: readonly number[] | null, node: number, { side }: Chosen): number {
  if (side.length > 0) return side.includes(node) ? 1 : 0;
  return sides?.[node] ?? 0;
}

/** The small line in a disc. */
function noteOf(frame: Frame, node: number, state: NodeState): string {
  if (state === 'paused') return 'suspended';
  if ((frame.nodes.flags[node]! & NodeFlag.damaged) !== 0) return 'damaged';
  if (state === 'down' || state === 'halted') return state;
  if (state === 'suspected' && !standing(frame, node)) return count(frame.nodes.suspectedBy[node]!, 'doubt');
  if ((frame.nodes.flags[node]! & NodeFlag.full) !== 0) return 'disk full';
  // The whole word is wider than a disc.
  if (standing(frame, node)) return frame.nodes.role[node] === Role.candidate ? 'candidate' : 'pre-vote';
  if ((frame.nodes.flags[node]! & NodeFlag.leader) !== 0) return 'leader';
  return count(frame.nodes.keys[node]!, 'key');
}

/** Whether a node that runs asks for votes, or asks whether it would get them. */
function standing(frame: Frame, node: number): boolean {
  const role = frame.nodes.role[node];
  return nodeState(frame, node) !== 'paused' && (role === Role.candidate || role === Role.preCandidate);
}

function build(node: number): Parts {
  const text = (name: string) => make('text', { class: name, 'text-anchor': 'middle' });
  const name = text('name');
  write(name, nodeName(node));
  const note = text('note');
  const [reach, halo, disc, inner] = ['reach', 'halo', 'disc', 'inner'].map((part) => make('circle', { class: part })) as [SVGCircleElement, SVGCircleElement, SVGCircleElement, SVGCircleElement];
  const mark = make('path', { class: 'mark', visibility: 'hidden' });
  const body = make('g', { class: 'body', role: 'button', tabindex: 0 }, reach, halo, disc, inner, mark, name,
    // Read aloud, the name and the note are two words.
    document.createTextNode(' '), note);
  const letter = text('letter');
  write(letter, 'i');
  const info = make('g', { class: 'info', role: 'button', tabindex: 0, 'aria-label': `Inspect ${nodeName(node)}` },
    make('circle', { class: 'touch', r: 16 }), make('circle', { class: 'plate', r: 9.5 }), letter);
  set(letter, { dy: '0.35em' });
  const rankText = text('order');
  set(rankText, { dy: '0.36em' });
  const rank = make('g', { class: 'rank', visibility: 'hidden', 'aria-hidden': 'true' }, make('circle', { r: 10 }), rankText);
  const term = make('text', { class: 'term', 'text-anchor': 'middle', 'aria-hidden': 'true' });
  const group = make('g', { class: 'node down', 'data-node': node }, body, info, rank, term);
  return { group, body, reach, halo, disc, inner, mark, name, note, info, rank, rankText, term };
}

function place(parts: Parts, plan: Plan, { x, y }: { x: number; y: number }): void {
  const r = plan.disc;
  // A disc that is too small for its name has it beside it, towards the middle; words are wider than high.
  const aside = plan.named === 1 ? { x: 0, y: 0 } : toward({ x: 0, y: 0 }, { x: plan.centre.x - x, y: plan.centre.y - y }, r + 12);
  set(parts.group, { transform: `translate(${x.toFixed(2)} ${y.toFixed(2)})` });
  set(parts.reach, { r: plan.reach.toFixed(1) });
  set(parts.halo, { r: r + 7 });
  set(parts.disc, { r });
  set(parts.inner, { r: Math.max(1, r - 4) });
  set(parts.mark, { d: `M0 ${(-r - 9).toFixed(1)}l8 13h-16Z` });
  set(parts.name, { x: (1.5 * aside.x).toFixed(1), y: aside.y.toFixed(1), 'font-size': plan.named === 1 ? Math.max(8, r * 0.5) : 11, dy: plan.labelled ? '0.05em' : '0.35em' });
  set(parts.note, { 'font-size': Math.max(8.5, Math.min(12, r * 0.28)), dy: Math.max(11, r * 0.44) });
  set(parts.info, { transform: `translate(${(r * 0.8).toFixed(1)} ${(-r * 0.8).toFixed(1)})`, visibility: plan.labelled ? 'visible' : 'hidden' });
  set(parts.term, { y: (r + 16).toFixed(1) });
  set(parts.rank, { transform: `translate(${(-r * 0.8).toFixed(1)} ${(-r * 0.8).toFixed(1)})` });
}
