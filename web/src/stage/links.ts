/**
 * The links and the band of partitions, beneath the messages.
 *
 * Each link is a button: pressed, it is cut both ways or mended; with Shift, only the direction that
 * starts at the nearer end. A link with latency and loss of its own is dashed. A cut is a gap between two bars; a one-way cut a bar on the side that is not
 * heard and an arrow where messages still pass.
 */
import { NO_OWNER, type Frame } from '../sim/frame';
import { nodeName } from '../state/format';
import { bandPieces, bandPiece, LINKS_UP_TO, seat, toward, xy, type Plan, type Point } from './geometry';
import { make, press, set } from './svg';

export interface LinkHandlers {
  /** A link was pressed; `oneWay` if only messages from `from` to `to` are meant. */
  onLink(from: number, to: number, oneWay: boolean): void;
  /** The pointer or the focus is on a link, or has left it. */
  onHover(hover: { from: number; to: number } | null): void;
}

/** Half the gap of a cut, and half a bar, in pixels. */
const GAP = 9;
const BAR = 8;

interface Link {
  a: number;
  b: number;
  group: SVGGElement;
  hit: SVGPathElement;
  wire: SVGPathElement;
  bars: SVGPathElement;
}

export class Links {
  readonly root = make('svg', { class: 'links', role: 'group', 'aria-label': 'Links' });
  private readonly band = make('g', { class: 'band', 'aria-hidden': 'true' });
  private readonly wires = make('g');
  private readonly point = make('g', { class: 'key-point', visibility: 'hidden', 'aria-hidden': 'true' }, make('path'));
  private links: Link[] = [];
  private pieces: { owner: number; path: SVGPathElement }[] = [];
  private plan: Plan | null = null;
  private nodes = 0;
  private owners = '';

  constructor(private readonly handlers: LinkHandlers) {
    this.root.append(this.band, this.wires, this.point);
  }

  /** Puts the links between their nodes. */
  place(plan: Plan, nodes: number): void {
    this.plan = plan;
    this.owners = '';
    set(this.root, { viewBox: `0 0 ${plan.width} ${plan.height}` });
    if (nodes !== this.nodes) this.rebuild(nodes);
    for (const { a, b, hit } of this.links) {
      const [p, q] = this.ends(a, b);
      set(hit, { d: `M${xy(p)}L${xy(q)}` });
    }
  }

  /** Shows cuts, owners and the chosen key's place. */
  update(frame: Frame, highlighted: number | null, key: { partition: number } | null): void {
    if (this.plan === null) return;
    for (const link of this.links) {
      const { a, b } = link;
      this.showLink(link, frame.isCut(a, b), frame.isCut(b, a), frame.hasOwn(a, b) || frame.hasOwn(b, a));
    }
    this.showBand(frame, highlighted);
    this.showKey(frame, key);
  }

  private showLink({ a, b, group, wire, bars }: Link, aToB: boolean, bToA: boolean, own: boolean): void {
    const [p, q] = this.ends(a, b);
    const middle = { x: (p.x + q.x) / 2, y: (p.y + q.y) / 2 };
    const [left, right] = [toward(middle, p, GAP), toward(middle, q, GAP)];
    const cut = aToB || bToA;
    set(group, {
      class: (cut ? (aToB && bToA ? 'link cut' : 'link cut one-way') : 'link') + (own ? ' own' : ''),
      'data-cut': aToB && bToA ? 'both' : aToB ? `${a}>${b}` : bToA ? `${b}>${a}` : 'none',
      'aria-label': `Link ${nodeName(a)} to ${nodeName(b)}, ${linkWords(a, b, aToB, bToA, own)}. ${cut ? 'Mend it' : 'Cut it'}`,
    });
    set(wire, { d: cut ? `M${xy(p)}L${xy(left)}M${xy(right)}L${xy(q)}` : `M${xy(p)}L${xy(q)}` });
    // A message from a comes from the left: where it is not heard, the bar stands there.
    const leftEnd = aToB ? bar(left, q) : bToA ? arrow(left, right) : '';
    const rightEnd = bToA ? bar(right, p) : aToB ? arrow(right, left) : '';
    set(bars, { d: cut ? leftEnd + rightEnd : '' });
  }

  private showBand(frame: Frame, highlighted: number | null): void {
    const plan = this.plan!;
    const owners = frame.owners.join();
    if (owners !== this.owners) {
      this.owners = owners;
      this.pieces = bandPieces(frame.owners).map(({ owner, from, to }) => ({
        owner,
        path: make('path', { d: bandPiece(plan, from, to), class: `piece shade-${owner === NO_OWNER ? 'none' : owner % 5}` }),
      }));
      this.band.replaceChildren(...this.pieces.map(({ path }) => path));
    }
    for (const { owner, path } of this.pieces) path.classList.toggle('owned', owner === highlighted);
  }

  private showKey(frame: Frame, key: { partition: number } | null): void {
    const plan = this.plan!;
    const shown = key !== null && frame.owners.length > 0;
    set(this.point, { visibility: shown ? 'visible' : 'hidden' });
    if (!shown) return;
    const degrees = ((key.partition + 0.5) / frame.owners.length) * 360;
    set(this.point, { transform: `rotate(${degrees.toFixed(2)} ${plan.centre.x} ${plan.centre.y})` });
    const tip = { x: plan.centre.x, y: plan.centre.y - plan.bandOuter - 2 };
    set(this.point.firstElementChild!, { d: `M${xy(tip)}l-7 -12h14Z` });
  }

  private ends(a: number, b: number): [Point, Point] {
    const plan = this.plan!;
    const [p, q] = [seat(plan, a, this.nodes), seat(plan, b, this.nodes)];
    return [toward(p, q, plan.disc + 3), toward(q, p, plan.disc + 3)];
  }

  private rebuild(nodes: number): void {
    this.nodes = nodes;
    this.links = [];
    this.wires.replaceChildren();
    if (nodes > LINKS_UP_TO) return;
    for (let a = 0; a < nodes; a += 1) {
      for (let b = a + 1; b < nodes; b += 1) this.add(a, b);
    }
  }

  private add(a: number, b: number): void {
    const [hit, wire, bars] = ['hit', 'wire', 'bars'].map((part) => make('path', { class: part })) as [SVGPathElement, SVGPathElement, SVGPathElement];
    const group = make('g', { class: 'link', role: 'button', tabindex: 0, 'data-link': `${a}-${b}` }, hit, wire, bars);
    press(group, (event) => {
      const [from, to] = event instanceof MouseEvent && this.nearer(event, b, a) ? [b, a] : [a, b];
      this.handlers.onLink(from, to, event.shiftKey);
    });
    const hover = () => this.handlers.onHover({ from: a, to: b });
    const leave = () => this.handlers.onHover(null);
    for (const [event, act] of [['pointerenter', hover], ['pointerleave', leave], ['focus', hover], ['blur', leave]] as const) {
      group.addEventListener(event, act);
    }
    this.links.push({ a, b, group, hit, wire, bars });
    this.wires.append(group);
  }

  /** Whether a pointer is nearer to the first node than to the second. */
  private nearer(event: MouseEvent, first: number, second: number): boolean {
    const box = this.root.getBoundingClientRect();
    const spot = { x: event.clientX - box.left, y: event.clientY - box.top };
    const distance = (node: number) => {
      const place = seat(this.plan!, node, this.nodes);
      return Math.hypot(place.x - spot.x, place.y - spot.y);
    };
    return distance(first) < distance(second);
  }
}

/** The state of a link in words. */
export function linkWords(a: number, b: number, aToB: boolean, bToA: boolean, own: boolean): string {
  const unlike = own ? ', unlike the others' : '';
  if (aToB && bToA) return `cut both ways${unlike}`;
  if (aToB) return `cut from ${nodeName(a)} to ${nodeName(b)} only${unlike}`;
  if (bToA) return `cut from ${nodeName(b)} to ${nodeName(a)} only${unlike}`;
  return own ? 'unlike the others' : 'whole';
}

/** A bar across the line that leads to `other`. */
function bar(at: Point, other: Point): string {
  const ahead = toward(at, other, BAR);
  const [dx, dy] = [ahead.x - at.x, ahead.y - at.y];
  return `M${xy({ x: at.x - dy, y: at.y + dx })}L${xy({ x: at.x + dy, y: at.y - dx })}`;
}

/** An arrowhead at the end of a line, with its tip towards `other`. */
function arrow(at: Point, other: Point): string {
  const tip = toward(at, other, GAP);
  const [dx, dy] = [(tip.x - at.x) * 0.62, (tip.y - at.y) * 0.62];
  const back = { x: tip.x - dx * 1.5, y: tip.y - dy * 1.5 };
  return `M${xy(at)}L${xy(tip)}M${xy({ x: back.x - dy, y: back.y + dx })}L${xy(tip)}L${xy({ x: back.x + dy, y: back.y - dx })}`;
}
