// The script of a page's coordinator worker. Imported by nothing: a page starts it by its address. An
// import map does not reach workers, so nothing that it imports may name a package.

import { coordinate } from './page-coordinator.ts';
import type { Port } from './page-protocol.ts';

coordinate(globalThis as unknown as Port);
