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

/** What a link holds, and the build of the core that plays it. */
export interface Held {
  readonly link: LinkObject;
  readonly build: string;
}

/** How an opened link turned out. */
export interface LinkVerdict {
  readonly kind: 'same' | 'different' | 'broken' | 'replaying';
  readonly words: string;
}

/** Two builds may differ in what they do, so what went wrong need not be anybody's fault. */
const OTHER_BUILD = 'Open it with the release that made it to see what was shared.';
/** One build always does the same. */
const SAME_BUILD = 'This very build made it, so either the link was changed on its way or this is a bug in kv: copy it again from where it came from, and if it says the same, please report it.';

/** What to say of a run that was played from a link and ended with this hash. */
export function linkVerdict({ link, build }: Held, hash: string): LinkVerdict {
  const run = `${formatTime(link.until_us)} of ${link.nodes} nodes and ${link.actions} ${link.actions === 1 ? 'action' : 'actions'}`;
  if (hash === link.hash) {
    const made = link.same_build ? '' : ` Core build ${link.build} made it; this one, ${build}, does the same.`;
    return { kind: 'same', words: `Reproduced exactly: ${run}, hash ${hash}.${made}` };
  }
  const why = link.same_build ? SAME_BUILD : `Core build ${link.build} made it, and this one, ${build}, goes another way. ${OTHER_BUILD}`;
  return { kind: 'different', words: `Not the same run: the link promises hash ${link.hash}, and this one ended at ${hash}. ${why}` };
}

/** What to say of a link that holds no run. */
export function brokenLink(words: string): LinkVerdict {
  return { kind: 'broken', words: `This link cannot be opened: ${words}. A new run was started instead.` };
}

/** What to say of a run that cannot be played to its end. */
export function unplayableLink({ link, build }: Held, words: string): LinkVerdict {
  const why = link.same_build ? SAME_BUILD : `Core build ${link.build} made it, this one is ${build}. ${OTHER_BUILD}`;
  return { kind: 'broken', words: `The run of this link cannot be played: ${words}. ${why} A new run was started instead.` };
}
