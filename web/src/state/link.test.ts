/** What an opened link says, and where its text stands. */
import { describe, expect, it } from 'vitest';
import { brokenLink, linkAddress, linkText, linkVerdict } from './link';

const link = { build: 'aa', same_build: true, seed: '1', nodes: 5, actions: 1, until_us: 12_340_000, hash: '00ff' };

describe('the address', () => {
  it('carries the text and gives it back', () => {
    const address = linkAddress('https://host.example/some/path/?x=1#run=old', 'AbC-_9');
    expect(address).toBe('https://host.example/some/path/?x=1#run=AbC-_9');
    expect(linkText(new URL(address).hash)).toBe('AbC-_9');
  });

  it('of other pages holds none', () => {
    expect(linkText('')).toBeNull();
    expect(linkText('#settings')).toBeNull();
  });
});

describe('the verdict', () => {
  it('says that the run is the same', () => {
    const verdict = linkVerdict(link, 'aa', '00ff');
    expect(verdict.kind).toBe('same');
    expect(verdict.words).toBe('Reproduced exactly: 12.34 s of 5 nodes and 1 action, hash 00ff.');
  });

  it('names the other build', () => {
    const verdict = linkVerdict({ ...link, same_build: false }, 'bb', '0011');
    expect(verdict.kind).toBe('different');
    expect(verdict.words).toContain('made by core build aa, this page runs bb');
  });

  it('owns up to a bug', () => {
    expect(linkVerdict(link, 'aa', '0011').words).toContain('bug in kv');
  });

  it('says what is wrong with a broken link', () => {
    expect(brokenLink('it ends too early').words).toContain('it ends too early');
  });
});
