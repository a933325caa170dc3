/**
 * Who can hear whom on the stage, as a number for each node: the largest side of a network that has fallen
 * apart is 0, and those that are cut off from it count from 1. Pure.
 */
import type { Frame } from '../sim/frame';
import { rift } from './rift';

/** The side of each node; null while all can hear each other, if by detours. */
export function sidesOf(frame: Frame): number[] | null {
  const sides = rift(frame)?.sides ?? [];
  if (sides.length < 2) return null;
  const all = new Array<number>(frame.nodes.count).fill(0);
  const largest = sides.reduce((most, side) => (side.length > most.length ? side : most));
  sides.filter((side) => side !== largest).forEach((side, index) => side.forEach((node) => (all[node] = index + 1)));
  return all;
}
