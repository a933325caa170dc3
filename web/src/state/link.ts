/**
 * Share links: where the text stands in the address, and what to say when a run has been opened.
 *
 * The text itself is the core's (`kv-core/src/sim/link.rs`); the page only carries it.
 */
import type { LinkObject } from 'kv-wasm';
import { formatTime } from './format';

const PREFIX = '#run=';

/** The address of this page with a run in it. */
export function linkAddress(page: string, text: string): string {
  return page.split('#')[0] + PREFIX + text;
}

/** The text of a run in an address; null if the address names none, '' if it is empty. */
export function linkText(hash: string): string | null {
  return hash.startsWith(PREFIX) ? hash.slice(PREFIX.length) : null;
}

/** How an opened link turned out. */
export interface LinkVerdict {
  readonly kind: 'same' | 'different' | 'broken' | 'replaying';
  readonly words: string;
}

/** What to say of a run that was played from a link and ended with this hash. */
export function linkVerdict(link: LinkObject, build: string, hash: string): LinkVerdict {
  const run = `${formatTime(link.until_us)} of ${link.nodes} nodes and ${link.actions} ${link.actions === 1 ? 'action' : 'actions'}`;
  if (hash === link.hash) {
    return { kind: 'same', words: `Reproduced exactly: ${run}, hash ${hash}.` };
  }
  if (!link.same_build) {
    return {
      kind: 'different',
      words: `Not the same run: the link was made by core build ${link.build}, this page runs ${build}. Expected hash ${link.hash}, got ${hash}. Open the link with its own build to see the original.`,
    };
  }
  return {
    kind: 'different',
    words: `Not the same run although the core is the same: expected hash ${link.hash}, got ${hash}. This is a bug in kv; please report it with the link.`,
  };
}

/** What to say of a link that holds no run. */
export function brokenLink(words: string): LinkVerdict {
  return { kind: 'broken', words: `This link cannot be opened: ${words}. A new run was started instead.` };
}
