/**
 * What the cuts of a network amount to: which links, and which nodes can still hear each other.
 *
 * Pure. Two nodes are on one side if a chain of links leads from one to the other on which messages pass
 * both ways; whether nodes run does not matter here.
 */
import type { Frame } from '../sim/frame';

export interface Rift {
  /** The links that are cut, each once; of the direction that is cut if only one is. */
  readonly links: readonly { readonly from: number; readonly to: number }[];
  /** Whether messages still pass one of them in one direction. */
  readonly oneWay: boolean;
  /** The sides, the one of the first node first; only one if there is a way round each cut. */
  readonly sides: readonly (readonly number[])[];
}

/** The rift of a frame; null if nothing is cut. */
export function rift(frame: Frame): Rift | null {
  const nodes = frame.nodes.count;
  const links: { from: number; to: number }[] = [];
  let oneWay = false;
  for (let from = 0; from < nodes; from += 1) {
    for (let to = from + 1; to < nodes; to += 1) {
      const [there, back] = [frame.isCut(from, to), frame.isCut(to, from)];
      if (!there && !back) continue;
      links.push(there ? { from, to } : { from: to, to: from });
      oneWay ||= there !== back;
    }
  }
  return links.length === 0 ? null : { links, oneWay, sides: sidesOf(frame) };
}

function sidesOf(frame: Frame): number[][] {
  const left = new Set(Array.from({ length: frame.nodes.count }, (_, node) => node));
  const sides: number[][] = [];
  for (const first of left) {
    left.delete(first);
    const side = [first];
    for (const node of side) {
      for (const other of left) {
        if (frame.isCut(node, other) || frame.isCut(other, node)) continue;
        left.delete(other);
        side.push(other);
      }
    }
    sides.push(side.sort((a, b) => a - b));
  }
  return sides;
}
