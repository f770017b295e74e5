// What a pass is: a named function from Func to Func. It reads the frozen function, gathers its
// changes in a FuncEdit and applies them at once.

import type { Func } from '../graph/func.ts';

export interface Pass {
  readonly name: string;
  /** One sentence: what it does. */
  readonly doc: string;
  run(func: Func): Func;
}
