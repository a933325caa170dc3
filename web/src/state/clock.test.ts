/** The clock's promises: exact slow gears, no catching up, never far ahead. */
import { describe, expect, it } from 'vitest';
import { at, gear, stopped, tick } from './clock';

const playing = { ...stopped, playing: true };

describe('tick', () => {
  it('stands still while paused', () => {
    expect(tick(stopped, 16, 1e9)).toBe(stopped);
  });

  it('keeps the fraction of a slow gear', () => {
    let clock = { ...playing, speed: 0.1 };
    for (let i = 0; i < 600; i += 1) clock = { ...tick(clock, 1000 / 60, 1e9) };
    expect(clock.view).toBeCloseTo(1_000_000, 3);
  });

  it('does not catch up after a hidden tab', () => {
    expect(tick(playing, 60_000, 1e9).view).toBe(250_000);
  });

  it('waits for a simulator that is behind, and never goes back', () => {
    const ahead = { ...playing, speed: 64, view: 5_000_000 };
    expect(tick(ahead, 16, 0).view).toBe(5_000_000);
    expect(tick(playing, 10, 0).view).toBe(10_000);
  });
});

describe('at', () => {
  it('follows the simulator', () => {
    expect(at(playing, 77)).toEqual({ ...playing, view: 77 });
  });
});

describe('gear', () => {
  it('goes up and down and stops at both ends', () => {
    expect([gear(1, 1), gear(1, -1), gear(64, 1), gear(0.1, -1)]).toEqual([2, 0.5, 64, 0.1]);
  });

  it('finds its way from a speed that is no gear', () => {
    expect(gear(3, -1)).toBe(2);
  });
});
