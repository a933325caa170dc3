/**
 * The messages, drawn on a canvas for every animation frame.
 *
 * Each message travels its chord; a lost one stops short, becomes a small x and fades. Requests of
 * clients come in from outside the ring and their answers go out again. Above 4x, links gain weight with
 * what they carry and dots are a sample. With reduced motion nothing flies: a message is its chord for
 * as long as it is under way.
 */
import { MessageFlag, Outcome, type Frame } from '../sim/frame';
import { electionShare } from '../state/raft';
import { EVERY_MESSAGE_UP_TO } from '../state/clock';
import { lookOf, type Family, type Shape } from './families';
import { along, angleOf, chord, polar, seat, stopShare, toward, type Chord, type Plan, type Point } from './geometry';

export interface Palette {
  readonly families: Readonly<Record<Family, string>>;
  readonly ground: string;
  readonly ink: string;
  readonly muted: string;
}

/** What a drawing depends on besides the frame. */
export interface Scene {
  readonly view: number;
  readonly speed: number;
  readonly calm: boolean;
  readonly hidden: ReadonlySet<Family>;
  /** The message that the reader has picked. */
  readonly picked: number | null;
  /** Real time, for what is no part of the simulation. */
  readonly nowMs: number;
}

/** How long a client's request takes to fly in, and its answer to fly out, in simulated µs. */
const CLIENT_FLIGHT_US = 220_000;
/** Above 4x one of so many messages is drawn as a dot. */
const SAMPLE = 4;
/** How far from the middle of its dot a message is still hit, in pixels. */
const REACH = 8;
/** How long the ring of a crash spreads, in real ms. */
const SHOCK_MS = 650;

export class Messages {
  readonly canvas = document.createElement('canvas');
  private readonly pen: CanvasRenderingContext2D;
  private plan: Plan | null = null;
  private nodes = 0;
  private chords = new Map<number, Chord>();
  private shocks: { node: number; began: number }[] = [];
  /** How far the picked message was before it was lost: there it stays. */
  private last: { number: number; share: number } | null = null;

  constructor(public palette: Palette) {
    const pen = this.canvas.getContext('2d');
    if (pen === null) throw new Error('this browser cannot draw on a canvas');
    this.pen = pen;
    this.canvas.setAttribute('aria-hidden', 'true');
  }

  place(plan: Plan, nodes: number): void {
    this.plan = plan;
    this.nodes = nodes;
    this.chords.clear();
    const sharp = Math.min(window.devicePixelRatio || 1, 3);
    this.canvas.width = Math.round(plan.width * sharp);
    this.canvas.height = Math.round(plan.height * sharp);
    this.pen.setTransform(sharp, 0, 0, sharp, 0, 0);
  }

  /** A ring spreads from a node that just crashed. */
  shock(node: number, nowMs: number): void {
    this.shocks.push({ node, began: nowMs });
  }

  /** The number of the message whose dot is at a point; null if none is. */
  at(frame: Frame, scene: Scene, point: Point): number | null {
    let best: { number: number; distance: number } | null = null;
    for (let i = 0; i < frame.messages.count; i += 1) {
      const flight = this.flight(frame, scene, i);
      if (flight === null || flight.share > flight.mark.stop) continue;
      const { x, y } = dotOf(flight);
      const distance = Math.hypot(x - point.x, y - point.y);
      if (distance <= (best?.distance ?? REACH)) best = { number: flight.number, distance };
    }
    return best?.number ?? null;
  }

  draw(frame: Frame, scene: Scene): void {
    const { plan, pen } = this;
    if (plan === null) return;
    pen.clearRect(0, 0, plan.width, plan.height);
    pen.lineCap = 'round';
    pen.lineJoin = 'round';
    this.drawTimers(frame, scene);
    if (!scene.calm) this.drawShocks(scene);
    if (scene.speed > EVERY_MESSAGE_UP_TO) this.drawWeights(frame, scene);
    this.drawMessages(frame, scene);
    if (!scene.hidden.has('client')) this.drawClients(frame, scene);
    pen.globalAlpha = 1;
  }

  private drawMessages(frame: Frame, scene: Scene): void {
    for (let i = 0; i < frame.messages.count; i += 1) {
      const flight = this.flight(frame, scene, i);
      if (flight === null) continue;
      this.drawMessage(flight.way, flight.share, flight.mark);
      if (flight.number === scene.picked) this.ring(flight);
    }
  }

  /** Where a message of the frame is and how it looks; null if it is not drawn. */
  private flight(frame: Frame, scene: Scene, i: number): Flight | null {
    const { messages } = frame;
    const look = lookOf(frame.kinds[messages.kind[i]!]);
    const number = messages.number[i]!;
    const isPicked = number === scene.picked;
    if (!isPicked && scene.hidden.has(look.family)) return null;
    if (!isPicked && scene.speed > EVERY_MESSAGE_UP_TO && number % SAMPLE !== 0) return null;
    const sent = messages.sent[i]!;
    const share = (scene.view - sent) / Math.max(1, messages.arrives[i]! - sent);
    if (share < 0 || share > 1) return null;
    const [from, to] = [messages.from[i]!, messages.to[i]!];
    const lost = (messages.flags[i]! & MessageFlag.lost) !== 0;
    if (isPicked && !lost) this.last = { number, share };
    const lostAt = this.last?.number === number ? this.last.share : stopShare(number, frame.isCut(from, to));
    const mark = {
      colour: this.palette.families[look.family],
      shape: look.shape,
      hollow: look.reply,
      small: look.family === 'gossip' || look.shape === 'dot',
      stop: lost ? lostAt : 2,
      calm: scene.calm,
    };
    return { number, way: this.chordOf(from, to), share, mark };
  }

  private ring(flight: Flight): void {
    const { pen } = this;
    const at = dotOf(flight);
    pen.globalAlpha = 1;
    pen.strokeStyle = this.palette.ink;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(at.x, at.y, REACH + 3, 0, 2 * Math.PI);
    pen.stroke();
  }

  private drawMessage(way: Chord, share: number, mark: Mark): void {
    const { pen } = this;
    pen.strokeStyle = mark.colour;
    if (share >= mark.stop) {
      pen.globalAlpha = 1 - (share - mark.stop) / (1 - mark.stop);
      this.cross(along(way, mark.stop), 4.5, mark.colour);
      return;
    }
    if (mark.calm) {
      pen.globalAlpha = 0.5;
      pen.lineWidth = mark.small ? 1 : 1.75;
      pen.beginPath();
      pen.moveTo(way.from.x, way.from.y);
      pen.quadraticCurveTo(way.bend.x, way.bend.y, way.to.x, way.to.y);
      pen.stroke();
      pen.globalAlpha = 1;
      this.shape(along(way, Math.min(0.5, mark.stop)), mark);
      return;
    }
    if (!mark.small) this.trail(way, share);
    // It grows out of its sender and into its receiver.
    pen.globalAlpha = Math.min(1, share * 12, (1 - share) * 12 + 0.25);
    this.shape(along(way, share), mark);
  }

  private trail(way: Chord, share: number): void {
    const { pen } = this;
    const pieces = 8;
    const length = Math.min(share, 0.2);
    pen.lineWidth = 2.5;
    // Round ends would overlap and show as beads.
    pen.lineCap = 'butt';
    for (let i = 0; i < pieces; i += 1) {
      const [a, b] = [along(way, share - (length * (i + 1)) / pieces), along(way, share - (length * i) / pieces)];
      pen.globalAlpha = 0.42 * (1 - i / pieces) ** 1.6;
      pen.beginPath();
      pen.moveTo(a.x, a.y);
      pen.lineTo(b.x, b.y);
      pen.stroke();
    }
    pen.lineCap = 'round';
  }

  private shape(at: Point, { colour, shape, hollow, small }: Pick<Mark, 'colour' | 'shape' | 'hollow' | 'small'>): void {
    const { pen } = this;
    const r = shape === 'dot' ? 2.8 : small ? 3.8 : 5.8;
    outline(pen, at, shape, r);
    pen.lineWidth = shape === 'dot' ? 1.25 : 2;
    pen.fillStyle = hollow ? this.palette.ground : colour;
    pen.strokeStyle = hollow ? colour : this.palette.ground;
    if (!hollow) pen.lineWidth = 1.25;
    pen.fill();
    if (shape !== 'dot' || hollow) pen.stroke();
  }

  private cross(at: Point, r: number, colour: string): void {
    const { pen } = this;
    pen.strokeStyle = colour;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.moveTo(at.x - r, at.y - r);
    pen.lineTo(at.x + r, at.y + r);
    pen.moveTo(at.x + r, at.y - r);
    pen.lineTo(at.x - r, at.y + r);
    pen.stroke();
  }

  private drawClients(frame: Frame, scene: Scene): void {
    const { pen } = this;
    const plan = this.plan!;
    const colour = this.palette.families.client;
    const { operations } = frame;
    for (let i = 0; i < operations.count; i += 1) {
      const [called, answered, number] = [operations.called[i]!, operations.answered[i]!, operations.number[i]!];
      const { outer, inner } = clientWay(plan, operations.node[i]!, this.nodes, number);
      if (scene.view < called) continue;
      const waiting = answered < 0 || scene.view < answered;
      const since = waiting ? scene.view - called : scene.view - answered;
      const share = since / CLIENT_FLIGHT_US;
      if (!waiting && share > 1.6) continue;
      pen.globalAlpha = waiting ? 0.55 : Math.max(0, 0.55 * (1 - share));
      pen.strokeStyle = colour;
      pen.lineWidth = 1.25;
      pen.setLineDash([2, 4]);
      line(pen, outer, inner);
      pen.setLineDash([]);
      pen.globalAlpha = waiting ? 1 : Math.max(0, Math.min(1, 1.6 - share));
      this.shape(outer, { colour, shape: 'diamond', hollow: true, small: false });
      if (waiting && share < 1) this.shape(mix(outer, inner, scene.calm ? 0.5 : share), { colour, shape: 'diamond', hollow: false, small: true });
      if (!waiting) this.answer(mix(inner, outer, scene.calm ? 1 : Math.min(1, share)), operations.outcome[i] === Outcome.done, colour);
    }
  }

  private answer(at: Point, done: boolean, colour: string): void {
    const { pen } = this;
    outline(pen, at, 'circle', 6.5);
    pen.fillStyle = this.palette.ground;
    pen.strokeStyle = colour;
    pen.lineWidth = 1.75;
    pen.fill();
    pen.stroke();
    if (!done) {
      this.cross(at, 2.6, colour);
      return;
    }
    pen.beginPath();
    pen.moveTo(at.x - 3, at.y + 0.2);
    pen.lineTo(at.x - 0.8, at.y + 2.5);
    pen.lineTo(at.x + 3.1, at.y - 2.4);
    pen.stroke();
  }

  /** The arc around a disc runs down until the node stands for election; whoever leads has none. */
  private drawTimers(frame: Frame, scene: Scene): void {
    const { pen, palette } = this;
    const plan = this.plan!;
    pen.strokeStyle = palette.muted;
    pen.lineWidth = 2;
    for (let i = 0; i < frame.nodes.count; i += 1) {
      const share = electionShare(frame, i, scene.view, scene.calm);
      if (share <= 0) continue;
      const at = seat(plan, i, this.nodes);
      pen.globalAlpha = 0.6;
      pen.beginPath();
      pen.arc(at.x, at.y, plan.disc + 4.5, -Math.PI / 2, -Math.PI / 2 + share * 2 * Math.PI);
      pen.stroke();
    }
  }

  private drawShocks(scene: Scene): void {
    const { pen, palette } = this;
    const plan = this.plan!;
    this.shocks = this.shocks.filter(({ began }) => scene.nowMs - began < SHOCK_MS);
    for (const { node, began } of this.shocks) {
      const share = (scene.nowMs - began) / SHOCK_MS;
      const at = seat(plan, node, this.nodes);
      pen.strokeStyle = palette.ink;
      pen.globalAlpha = 0.5 * (1 - share) ** 2;
      pen.lineWidth = 3 * (1 - share) + 0.5;
      pen.beginPath();
      pen.arc(at.x, at.y, plan.disc * (1 + 1.4 * (1 - (1 - share) ** 3)), 0, 2 * Math.PI);
      pen.stroke();
    }
  }

  /** What a link carries right now, as the width of its chord. */
  private drawWeights(frame: Frame, scene: Scene): void {
    const { pen, palette } = this;
    const { messages } = frame;
    const carried = new Map<number, number>();
    for (let i = 0; i < messages.count; i += 1) {
      if (scene.hidden.has(lookOf(frame.kinds[messages.kind[i]!]).family)) continue;
      const link = messages.from[i]! * this.nodes + messages.to[i]!;
      carried.set(link, (carried.get(link) ?? 0) + 1);
    }
    pen.strokeStyle = palette.families.replication;
    pen.globalAlpha = 0.28;
    for (const [link, weight] of carried) {
      const { from, bend, to } = this.chordOf(Math.floor(link / this.nodes), link % this.nodes);
      pen.lineWidth = 1 + Math.log2(1 + weight) * 1.8;
      pen.beginPath();
      pen.moveTo(from.x, from.y);
      pen.quadraticCurveTo(bend.x, bend.y, to.x, to.y);
      pen.stroke();
    }
  }

  private chordOf(from: number, to: number): Chord {
    const link = from * this.nodes + to;
    let way = this.chords.get(link);
    if (way === undefined) {
      way = chord(this.plan!, from, to, this.nodes);
      this.chords.set(link, way);
    }
    return way;
  }
}

/** A message on its way. */
interface Flight {
  readonly number: number;
  readonly way: Chord;
  readonly share: number;
  readonly mark: Mark;
}

/** Where a message's dot is drawn. */
function dotOf({ way, share, mark }: Flight): Point {
  return along(way, Math.min(mark.calm ? 0.5 : share, mark.stop));
}

interface Mark {
  readonly colour: string;
  readonly shape: Shape;
  readonly hollow: boolean;
  readonly small: boolean;
  /** Where it stops for good; beyond 1 if it arrives. */
  readonly stop: number;
  readonly calm: boolean;
}

/** Where a client stands, and where its request enters the node. */
function clientWay(plan: Plan, node: number, nodes: number, number: number): { outer: Point; inner: Point } {
  const angle = angleOf(node / nodes) + (((number % 3) - 1) * 16) / plan.bandOuter;
  const outer = polar(plan, angle, plan.bandOuter + 14);
  const at = seat(plan, node, nodes);
  return { outer, inner: toward(at, outer, plan.disc + 2) };
}

function mix(a: Point, b: Point, share: number): Point {
  return { x: a.x + (b.x - a.x) * share, y: a.y + (b.y - a.y) * share };
}

function line(pen: CanvasRenderingContext2D, a: Point, b: Point): void {
  pen.beginPath();
  pen.moveTo(a.x, a.y);
  pen.lineTo(b.x, b.y);
  pen.stroke();
}

function outline(pen: CanvasRenderingContext2D, { x, y }: Point, shape: Shape, r: number): void {
  pen.beginPath();
  if (shape === 'square') pen.roundRect(x - r * 0.88, y - r * 0.88, r * 1.76, r * 1.76, 1.5);
  else if (shape === 'triangle' || shape === 'diamond') {
    const corners = shape === 'triangle' ? 3 : 4;
    for (let i = 0; i < corners; i += 1) {
      const angle = (i / corners) * 2 * Math.PI - Math.PI / 2;
      const reach = shape === 'triangle' ? r * 1.25 : r * 1.15;
      pen.lineTo(x + reach * Math.cos(angle), y + reach * Math.sin(angle));
    }
    pen.closePath();
  } else pen.arc(x, y, r, 0, 2 * Math.PI);
}
