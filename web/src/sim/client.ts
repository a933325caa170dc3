/**
 * The page's end of the worker: a promise per question, answered in order.
 *
 * `Refused` carries the core's words and changed nothing; `Crashed` means that this worker is gone.
 */
import type { CallName, Calls, FromWorker, ToWorker } from './protocol';

/** The simulator as the rest of the page knows it. */
export interface Simulator {
  call<Name extends CallName>(name: Name, ...parameters: Parameters<Calls[Name]>): Promise<ReturnType<Calls[Name]>>;
  /** Ends it, whatever it is doing. Open questions fail. */
  close(): void;
}

/** The core said no; nothing changed. */
export class Refused extends Error {}

/** The simulator has a bug and is gone. */
export class Crashed extends Error {
  constructor(
    words: string,
    /** Text of a link to the same spot, if a run had begun. */
    readonly link: string | null,
  ) {
    super(words);
  }
}

/** A simulator in a worker of its own. */
export function startWorker(): Simulator {
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
  const open = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  let next = 0;

  const failAll = (error: Error) => {
    for (const question of open.values()) question.reject(error);
    open.clear();
  };
  worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
    const question = open.get(data.id);
    open.delete(data.id);
    if (data.type === 'answer') question?.resolve(data.value as never);
    else if (data.type === 'refused') question?.reject(new Refused(data.words));
    else {
      const error = new Crashed(data.words, data.link);
      question?.reject(error);
      failAll(error);
    }
  };
  worker.onerror = (event) => {
    event.preventDefault();
    failAll(new Crashed(event.message || 'the simulator could not be loaded; reload the page', null));
  };

  return {
    call(name, ...parameters) {
      return new Promise((resolve, reject) => {
        next += 1;
        open.set(next, { resolve, reject });
        worker.postMessage({ id: next, name, arguments: parameters } as unknown as ToWorker);
      });
    },
    close() {
      worker.terminate();
      failAll(new Error('the simulator was closed'));
    },
  };
}
