/** What an opened link says, and where its text stands. */
import { describe, expect, it } from 'vitest';
import { brokenLink, linkAddress, linkText, linkVerdict, unplayableLink } from './link';

const link = { build: 'aa', same_build: true, seed: '1', nodes: 5, actions: 1, until_us: 12_340_000, hash: '00ff' };
const own = { link, build: 'aa' };
const other = { link: { ...link, same_build: false }, build: 'bb' };

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
    expect(linkVerdict(own, '00ff')).toEqual({ kind: 'same', words: 'Reproduced exactly: 12.34 s of 5 nodes and 1 action, hash 00ff.' });
  });

  it('says that it is the same although another build made it', () => {
    const { kind, words } = linkVerdict(other, '00ff');
    expect(kind).toBe('same');
    expect(words).toContain('Core build aa made it; this one, bb, does the same.');
  });

  it('names the other build, and what to do', () => {
    const { kind, words } = linkVerdict(other, '0011');
    expect(kind).toBe('different');
    expect(words).toContain('Core build aa made it, and this one, bb, goes another way. Open it with the release that made it');
  });

  it('blames no other build where there is none', () => {
    for (const { words } of [linkVerdict(own, '0011'), unplayableLink(own, 'the end is missing')]) {
      expect(words).toContain('either the link was changed on its way or this is a bug in kv');
      expect(words).not.toContain('release');
    }
  });

  it('says what is wrong with a broken link', () => {
    expect(brokenLink('it ends too early').words).toBe('This link cannot be opened: it ends too early. A new run was started instead.');
  });

  it('says why a run cannot be played, and who made it', () => {
    const { kind, words } = unplayableLink(other, 'n1 is down');
    expect(kind).toBe('broken');
    expect(words).toBe('The run of this link cannot be played: n1 is down. Core build aa made it, this one is bb. Open it with the release that made it to see what was shared. A new run was started instead.');
  });
});
