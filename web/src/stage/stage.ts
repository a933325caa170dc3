/**
 * The stage: nodes and links as SVG that one can touch, messages as a canvas between them.
 *
 * The host calls `draw` once per animation frame. SVG changes only when a new frame of the simulation
 * has come; the canvas is drawn every time. Knows no framework.
 */
import type { Frame } from '../sim/frame';
import type { Clock } from '../state/clock';
import type { Family } from './families';
import { planStage, type Plan } from './geometry';
import { Links, type LinkHandlers } from './links';
import { Messages, type Palette, type Scene } from './messages';
import { Nodes, nodeState, type Chosen, type NodeHandlers } from './nodes';

export type Hover =
  | { kind: 'node'; node: number }
  | { kind: 'link'; from: number; to: number }
  | { kind: 'message' };

export interface StageHandlers extends Pick<NodeHandlers, 'onNode' | 'onInspect'>, Pick<LinkHandlers, 'onLink'> {
  /** A message was clicked, which one can while nothing moves. */
  onMessage(number: number): void;
  onHover(hover: Hover | null): void;
}

/** What the reader has chosen, for the stage to show. */
export interface StageChoice extends Chosen {
  readonly key: { partition: number } | null;
  readonly hidden: ReadonlySet<Family>;
  /** The message that was picked. */
  readonly message: number | null;
}

export class Stage {
  private readonly nodes: Nodes;
  private readonly links: Links;
  private readonly messages: Messages;
  private readonly calm = window.matchMedia('(prefers-reduced-motion: reduce)');
  private readonly dark = window.matchMedia('(prefers-color-scheme: dark)');
  private readonly watchers: { disconnect(): void }[];
  private plan: Plan | null = null;
  private count = 0;
  private shown: { frame: Frame; choice: StageChoice } | null = null;
  /** The frame before the shown one, in which a crashed node was still up. */
  private before: Frame | null = null;
  private hovered: number | null = null;
  private onMessage = false;
  private drawn: { frame: Frame; scene: Scene; moving: boolean } | null = null;

  constructor(private readonly host: HTMLElement, private readonly handlers: StageHandlers) {
    this.messages = new Messages(readPalette(host));
    this.nodes = new Nodes({
      ...handlers,
      onHover: (hover) => {
        this.hovered = hover?.node ?? null;
        this.shown = null;
        handlers.onHover(hover && { kind: 'node', ...hover });
      },
    });
    this.links = new Links({ ...handlers, onHover: (hover) => handlers.onHover(hover && { kind: 'link', ...hover }) });
    // Nodes come first in the order of the keyboard; CSS stacks them on top.
    host.append(this.nodes.root, this.links.root, this.messages.canvas);
    const size = new ResizeObserver(() => this.place());
    size.observe(host);
    const theme = new MutationObserver(() => this.repaint());
    theme.observe(document.documentElement, { attributeFilter: ['data-theme'] });
    const scheme = () => this.repaint();
    this.dark.addEventListener('change', scheme);
    // A message lies above the link it travels on, so it is asked first; but it must really be hit.
    host.addEventListener('click', this.pick, { capture: true });
    host.addEventListener('pointermove', this.point);
    this.watchers = [size, theme, { disconnect: () => this.dark.removeEventListener('change', scheme) }];
  }

  /** Draws the moment that the clock shows. */
  draw(frame: Frame, { view, speed, playing }: Clock, choice: StageChoice, nowMs: number): void {
    if (frame.nodes.count !== this.count) {
      this.count = frame.nodes.count;
      this.place();
    }
    if (this.plan === null) return;
    if (this.shown?.frame !== frame || this.shown.choice !== choice) {
      this.noticeCrashes(frame, nowMs);
      this.nodes.update(frame, choice);
      this.links.update(frame, this.hovered, choice.key);
      this.shown = { frame, choice };
    }
    const scene = { view, speed, calm: this.calm.matches, hidden: choice.hidden, picked: choice.message, nowMs };
    this.messages.draw(frame, scene);
    this.drawn = { frame, scene, moving: playing };
  }

  focusNode(node: number): void {
    this.nodes.focus(node);
  }

  destroy(): void {
    for (const watcher of this.watchers) watcher.disconnect();
    this.host.removeEventListener('click', this.pick, { capture: true });
    this.host.removeEventListener('pointermove', this.point);
    this.host.replaceChildren();
  }

  private readonly pick = (event: MouseEvent): void => {
    const number = this.messageAt(event);
    if (number === null) return;
    event.stopPropagation();
    this.handlers.onMessage(number);
  };

  private readonly point = (event: MouseEvent): void => {
    const isOn = this.messageAt(event) !== null;
    if (isOn === this.onMessage) return;
    this.onMessage = isOn;
    this.host.classList.toggle('on-message', isOn);
    this.handlers.onHover(isOn ? { kind: 'message' } : null);
  };

  /** The message under the pointer while nothing moves; nodes lie above. */
  private messageAt(event: MouseEvent): number | null {
    const { drawn } = this;
    if (drawn === null || drawn.moving || (event.target as Element).closest('.node') !== null) return null;
    const box = this.host.getBoundingClientRect();
    return this.messages.at(drawn.frame, drawn.scene, { x: event.clientX - box.left, y: event.clientY - box.top });
  }

  private noticeCrashes(frame: Frame, nowMs: number): void {
    const before = this.before;
    this.before = frame;
    if (before === null || before.nodes.count !== frame.nodes.count) return;
    for (let node = 0; node < frame.nodes.count; node += 1) {
      const fell = nodeState(frame, node) === 'down' && nodeState(before, node) !== 'down';
      if (fell) this.messages.shock(node, nowMs);
    }
  }

  private place(): void {
    const { clientWidth, clientHeight } = this.host;
    if (clientWidth === 0 || clientHeight === 0 || this.count === 0) return;
    this.plan = planStage(clientWidth, clientHeight, this.count);
    this.nodes.place(this.plan, this.count);
    this.links.place(this.plan, this.count);
    this.messages.place(this.plan, this.count);
    this.shown = null;
  }

  private repaint(): void {
    this.messages.palette = readPalette(this.host);
  }
}

/** The colours of the theme in force. */
function readPalette(host: HTMLElement): Palette {
  const style = getComputedStyle(host);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  return {
    families: {
      client: colour('--client'),
      replication: colour('--replication'),
      gossip: colour('--gossip'),
      membership: colour('--membership'),
      handoff: colour('--handoff'),
      raft: colour('--raft'),
    },
    ground: colour('--ground'),
    ink: colour('--ink'),
    muted: colour('--muted'),
  };
}
