/**
 * Where things are on the stage. Pure: places and sizes in, points and paths out.
 *
 * The circle is the hash space, clockwise from the top; nodes sit at fixed seats inside it, so that a
 * node that goes and comes back is where it was. Messages take a chord bowed to their right, which keeps
 * the two directions of a link apart.
 */

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** The measures of a stage. */
export interface Plan {
  readonly width: number;
  readonly height: number;
  readonly centre: Point;
  /** Inner and outer radius of the band of partitions. */
  readonly bandInner: number;
  readonly bandOuter: number;
  /** Radius of the circle of seats. */
  readonly seats: number;
  /** Radius of a node's disc. */
  readonly disc: number;
  /** Radius of where it takes a press: larger than a small disc, but never over another one. */
  readonly reach: number;
  /** Whether discs are large enough for text. */
  readonly labelled: boolean;
  /** Each so many-th node has its name beside it. */
  readonly named: number;
}

/** Above this many nodes links are no longer drawn or touched one by one. */
export const LINKS_UP_TO = 16;

/** Up to so many partitions each has a piece of the band. */
const PIECES_UP_TO = 256;

/** The measures for a stage of this size with so many nodes. */
export function planStage(width: number, height: number, nodes: number): Plan {
  const margin = Math.max(22, Math.min(width, height) * 0.05);
  const bandOuter = Math.max(60, Math.min(width, height) / 2 - margin);
  const bandInner = bandOuter - Math.max(6, bandOuter * 0.034);
  const largest = bandOuter * 0.168;
  /** Half of what is from one seat to the next, on a circle of this radius. */
  const room = (radius: number) => (Math.PI * radius) / Math.max(nodes, 1);
  const discOn = (radius: number) => Math.max(4, Math.min(largest, 42, room(radius) * 0.72));
  // Small discs may sit further out, where there is more room for them.
  const closest = bandInner - bandOuter * 0.095;
  const seats = closest - discOn(closest - largest);
  const disc = discOn(seats);
  return {
    width, height,
    centre: { x: width / 2, y: height / 2 },
    bandInner, bandOuter, seats, disc,
    reach: Math.max(disc, Math.min(22, room(seats))),
    labelled: disc >= 15,
    named: disc >= 8 ? 1 : 10,
  };
}

/** The angle of a share of the hash space, clockwise from the top, in radians of the canvas. */
export function angleOf(share: number): number {
  return share * 2 * Math.PI - Math.PI / 2;
}

/** The point at an angle and a distance from the centre. */
export function polar(plan: Plan, angle: number, radius: number): Point {
  return { x: plan.centre.x + radius * Math.cos(angle), y: plan.centre.y + radius * Math.sin(angle) };
}

/** Whether a node has its name beside it; never so near the first one that the two lie on each other. */
export function isNamed(plan: Plan, index: number, nodes: number): boolean {
  return index === 0 || ((index + 1) % plan.named === 0 && (nodes - index) * 2 > plan.named);
}

/** The seat of a node. */
export function seat(plan: Plan, index: number, nodes: number): Point {
  return polar(plan, angleOf(index / nodes), plan.seats);
}

/** A piece of the band from one share of the hash space to another, as an SVG path. */
export function bandPiece(plan: Plan, from: number, to: number): string {
  const gap = 0.0035;
  const [a, b] = [angleOf(from) + gap, angleOf(to) - gap];
  const large = b - a > Math.PI ? 1 : 0;
  const [p, q] = [polar(plan, a, plan.bandOuter), polar(plan, b, plan.bandOuter)];
  const [r, s] = [polar(plan, b, plan.bandInner), polar(plan, a, plan.bandInner)];
  return `M${xy(p)}A${round(plan.bandOuter)} ${round(plan.bandOuter)} 0 ${large} 1 ${xy(q)}L${xy(r)}A${round(plan.bandInner)} ${round(plan.bandInner)} 0 ${large} 0 ${xy(s)}Z`;
}

/** A message's way: from disc edge to disc edge, bowed. */
export interface Chord {
  readonly from: Point;
  readonly bend: Point;
  readonly to: Point;
}

/** The chord from one node to another. */
export function chord(plan: Plan, from: number, to: number, nodes: number): Chord {
  const [a, b] = [seat(plan, from, nodes), seat(plan, to, nodes)];
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const length = Math.hypot(dx, dy) || 1;
  const bow = Math.min(length * 0.09, 34);
  const bend = { x: (a.x + b.x) / 2 - (dy / length) * bow, y: (a.y + b.y) / 2 + (dx / length) * bow };
  return { from: toward(a, bend, plan.disc), bend, to: toward(b, bend, plan.disc) };
}

/** The point at a share of a chord. */
export function along({ from, bend, to }: Chord, share: number): Point {
  const rest = 1 - share;
  return {
    x: rest * rest * from.x + 2 * rest * share * bend.x + share * share * to.x,
    y: rest * rest * from.y + 2 * rest * share * bend.y + share * share * to.y,
  };
}

/** The point at a distance from `a` in the direction of `b`. */
export function toward(a: Point, b: Point, distance: number): Point {
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const length = Math.hypot(dx, dy) || 1;
  return { x: a.x + (dx / length) * distance, y: a.y + (dy / length) * distance };
}

/** How far a lost message comes before it stops: a share of its way that is its own for ever. */
export function stopShare(number: number, cut: boolean): number {
  if (cut) return 0.47;
  const mixed = Math.imul((number >>> 0) ^ 0x9e3779b9, 0x85ebca6b) >>> 0;
  return 0.3 + (mixed / 2 ** 32) * 0.4;
}

/** The pieces of the band: one for each partition or, if they are too many to tell apart, for each owner's run. */
export function bandPieces(owners: ArrayLike<number>): { owner: number; from: number; to: number }[] {
  const joined = owners.length > PIECES_UP_TO;
  const pieces: { owner: number; from: number; to: number }[] = [];
  for (let i = 0; i < owners.length; i += 1) {
    const owner = owners[i]!;
    const last = pieces.at(-1);
    if (joined && last && last.owner === owner) last.to = (i + 1) / owners.length;
    else pieces.push({ owner, from: i / owners.length, to: (i + 1) / owners.length });
  }
  return pieces;
}

/** A point for an SVG attribute. */
export function xy({ x, y }: Point): string {
  return `${round(x)} ${round(y)}`;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
