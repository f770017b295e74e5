// Where in the user's program a node was created: the stack frames outside of this package. Errors
// name them, so that a wrong line is found without reading a graph.

const HERE = import.meta.url;
/** The folder of the package's own code (`…/src/` or `…/dist/`), as stack frames write it. */
const PACKAGE = HERE.slice(0, HERE.lastIndexOf('/graph/') + 1);
const PACKAGE_PATH = PACKAGE.replace(/^file:\/\//, '');
const DEPTH = 24;
const KEPT = 8;

/** The current call's frames outside the package, innermost first: `file:line:column`. */
export function creationSite(): readonly string[] {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = DEPTH;
  const stack = new Error().stack ?? '';
  Error.stackTraceLimit = limit;
  const out: string[] = [];
  for (const line of stack.split('\n').slice(1)) {
    // Most frames are the package's own: told apart at once, since every node is created here.
    if (line.includes(PACKAGE_PATH)) continue;
    const at = /\(?((?:file:\/\/|https?:\/\/|\/|[A-Za-z]:\\)[^()]*:\d+:\d+)\)?$/.exec(line.trim());
    if (!at) continue;
    if (line.includes('node:internal') || line.includes('/node_modules/')) continue;
    out.push(at[1]);
    if (out.length === KEPT) break;
  }
  return out;
}
