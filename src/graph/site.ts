// Where in the user's program a node was created: the stack frames outside of this package. Errors
// name them, so that a wrong line is found without reading a graph. Invariant: making a node costs no
// text; frames are written, and mapped to sources where the engine does that, when they are asked for.

import type { Site } from '../core/error.ts';

const HERE = import.meta.url;
/** The folder of the package's own code (`…/src/` or `…/dist/`), as stack frames write it. */
const PACKAGE = HERE.slice(0, HERE.lastIndexOf('/graph/') + 1);
const PACKAGE_PATH = PACKAGE.replace(/^file:\/\//, '');
const DEPTH = 24;
const KEPT = 8;

class CreationSite implements Site {
  /** Holds the frames in the engine's form until they are asked for. */
  #error: Error | undefined;
  #frames: readonly string[] | undefined;

  constructor(error: Error) {
    this.#error = error;
  }

  get frames(): readonly string[] {
    this.#frames ??= framesOf(this.#error?.stack ?? '');
    this.#error = undefined;
    return this.#frames;
  }
}

/** The current call's frames outside the package. */
export function creationSite(): Site {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = DEPTH;
  const error = new Error();
  Error.stackTraceLimit = limit;
  return new CreationSite(error);
}

function framesOf(stack: string): readonly string[] {
  const out: string[] = [];
  for (const line of stack.split('\n').slice(1)) {
    if (line.includes(PACKAGE_PATH)) continue;
    const at = /\(?((?:file:\/\/|https?:\/\/|\/|[A-Za-z]:\\)[^()]*:\d+:\d+)\)?$/.exec(line.trim());
    if (!at) continue;
    if (line.includes('node:internal') || line.includes('/node_modules/')) continue;
    out.push(at[1]);
    if (out.length === KEPT) break;
  }
  return out;
}
