/** Numbers as people read them: times, sizes, counts. Pure. */

/** A moment or span in microseconds, with as many digits as it is worth. */
export function formatTime(us: number): string {
  const seconds = us / 1e6;
  if (seconds < 60) return `${seconds.toFixed(2)} s`;
  const minutes = Math.floor(seconds / 60);
  return `${minutes} min ${(seconds - 60 * minutes).toFixed(1)} s`;
}

/** A moment as a clock that does not change its width: 1:02.345. */
export function formatClock(us: number): string {
  const ms = Math.floor(us / 1_000);
  const minutes = Math.floor(ms / 60_000);
  const seconds = Math.floor(ms / 1_000) % 60;
  return `${minutes}:${String(seconds).padStart(2, '0')}.${String(ms % 1_000).padStart(3, '0')}`;
}

/** A span in microseconds that lies ahead. */
export function formatSpan(us: number): string {
  if (us < 1_000) return `${Math.round(us)} µs`;
  if (us < 1e6) return `${Math.round(us / 1_000)} ms`;
  return `${(us / 1e6).toFixed(1)} s`;
}

/** A number of bytes. */
export function formatBytes(bytes: number): string {
  if (bytes < 1_024) return `${bytes} B`;
  if (bytes < 1_024 ** 2) return `${(bytes / 1_024).toFixed(1)} KiB`;
  return `${(bytes / 1_024 ** 2).toFixed(1)} MiB`;
}

/** A share of one in percent; a dash if there is none. */
export function formatShare(share: number | null | undefined): string {
  if (share === null || share === undefined) return '–';
  const percent = 100 * share;
  return `${percent > 0 && percent < 10 ? percent.toFixed(1) : Math.round(percent)} %`;
}

/** How many times something; a dash if it is not known. */
export function formatTimes(times: number | null | undefined): string {
  return times === null || times === undefined ? '–' : `${times.toFixed(1)}×`;
}

/** A speed of the clock. */
export function formatSpeed(speed: number): string {
  return `${speed}×`;
}

/** A number of things. */
export function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}

/** The name of the node at a place. */
export function nodeName(index: number): string {
  return `n${index + 1}`;
}

/** The place of the node of a name. */
export function nodeIndex(name: string): number {
  return Number(name.slice(1)) - 1;
}

/** A setting's name as a label. */
export function label(name: string): string {
  const words = name.replace(/_(ms|bytes)(?=_|$)/, '').replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}
