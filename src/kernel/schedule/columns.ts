// Reductions along columns, as in a sum over the first axis: rows are streamed in the order of
// memory into accumulators for a strip of columns, which wait in scratch arrays.
// Invariant: each column's values are taken in the order of the loop, so results are exactly equal.

import { addDim, type Dim, minDim, type Sym, splitAffine, subDim, symDim } from '../../core/dim.ts';
import { type Expr, load, varRef } from '../expr.ts';
import type { ForStmt, Stmt, VarStmt } from '../ir.ts';
import { exprsOf, substituteSyms, walkExprs } from '../rewrite.ts';
import { blockOf } from './block.ts';
import { forLoop, isPlain, letStmt, type Names, type Nest, setStmt, storeStmt } from './build.ts';
import { steps } from './grid.ts';
import { rewrap } from './reduce.ts';
import { type Range, tileGrid } from './tile.ts';
