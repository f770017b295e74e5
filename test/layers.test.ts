// The structure of the sources: who may import whom, and the house rules that a compiler does not check.

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect, test } from 'vitest';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const MAX_LINES = 600;

/** The layers, lowest first; those of one line are level with each other and stay apart. */
const LEVELS: readonly (readonly string[])[] = [
  ['util'],
  ['core'],
  ['kernel'],
  ['graph'],
  ['ops'],
  ['passes', 'autodiff'],
  ['lib'],
  ['plan'],
  ['codegen'],
  ['backends'],
  ['session'],
  ['viz'],
  ['index'],
  ['conformance'],
  ['cli'],
];
const LEVEL = new Map(
  LEVELS.flatMap((names, level) => names.map((name) => [name, level] as const)),
);

/** Layers that may reach less far down the list than their place allows: the highest they may import. */
const CEILING = new Map([['viz', 'graph']]);

/** The files that make up the topmost layer, `index`. */
const TOP = new Set(['src/index.ts', 'src/methods.ts', 'src/backend.ts']);

interface Import {
  readonly specifier: string;
  /** The file meant, from the root, or null for a package. */
  readonly target: string | null;
  /** Erased by the compiler: `import type`, `export type`, `import('x').T`. */
  readonly typeOnly: boolean;
}

interface Source {
  readonly text: string;
  readonly imports: readonly Import[];
  readonly defaultExport: boolean;
  readonly hasEnum: boolean;
}

/** Text of each file by its path from the root, with `/`. */
type Files = ReadonlyMap<string, string>;

function parse(file: string, text: string): Source {
  const tree = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const imports: Import[] = [];
  let defaultExport = false;
  let hasEnum = false;
  const add = (name: ts.Node | undefined, typeOnly: boolean): void => {
    if (name === undefined || !ts.isStringLiteralLike(name)) return;
    const specifier = name.text;
    const target = specifier.startsWith('.')
      ? posix.normalize(posix.join(posix.dirname(file), specifier))
      : null;
    imports.push({ specifier, target, typeOnly });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      // Under verbatimModuleSyntax `import { type A }` still loads the module: not type-only.
      add(node.moduleSpecifier, node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword);
    } else if (ts.isExportDeclaration(node)) {
      add(node.moduleSpecifier, node.isTypeOnly);
      const named = node.exportClause;
      if (named && ts.isNamedExports(named)) {
        defaultExport ||= named.elements.some((element) => element.name.text === 'default');
      } else if (named) {
        defaultExport ||= named.name.text === 'default';
      }
    } else if (ts.isImportTypeNode(node)) {
      add(ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined, true);
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node.arguments[0], false);
    } else if (ts.isExportAssignment(node)) {
      defaultExport = true;
    } else if (ts.isEnumDeclaration(node)) {
      hasEnum = true;
    } else if (node.kind === ts.SyntaxKind.DefaultKeyword && !ts.isDefaultClause(node.parent)) {
      defaultExport = true; // the modifier of `export default function` or `class`
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return { text, imports, defaultExport, hasEnum };
}

const parseAll = (files: Files): Map<string, Source> =>
  new Map([...files].map(([file, text]) => [file, parse(file, text)] as const));

/** The layer of a file: its folder under `src`, `index` for the two files on top, or null. */
function layerOf(file: string): string | null {
  if (TOP.has(file)) return 'index';
  const parts = file.split('/');
  return parts.length > 2 && parts[0] === 'src' && LEVEL.has(parts[1]) ? parts[1] : null;
}

function mayImport(from: string, to: string): boolean {
  if (from === to) return true;
  const ceiling = CEILING.get(from);
  if (ceiling !== undefined) return LEVEL.get(to)! <= LEVEL.get(ceiling)!;
  return LEVEL.get(to)! < LEVEL.get(from)!;
}

/** Each file without a layer, and each import that its layer does not allow; types are no exception. */
function layerOffences(sources: ReadonlyMap<string, Source>): string[] {
  const out: string[] = [];
  for (const [file, source] of sources) {
    const from = layerOf(file);
    if (from === null) out.push(`${file} belongs to no layer`);
    for (const { specifier, target } of source.imports) {
      if (from === null || target === null) continue;
      const to = layerOf(target);
      if (to === null || !mayImport(from, to)) out.push(`${file} -> ${specifier}`);
    }
  }
  return out;
}

/** One cycle for each import that closes one, as `a -> b -> a`; type-only imports do not count. */
function cycles(sources: ReadonlyMap<string, Source>): string[] {
  const edges = new Map<string, string[]>();
  for (const [file, source] of sources) {
    const targets = source.imports.flatMap(({ target, typeOnly }) =>
      target !== null && !typeOnly && sources.has(target) ? [target] : [],
    );
    edges.set(file, [...new Set(targets)]);
  }
  const out: string[] = [];
  const done = new Set<string>();
  for (const root of edges.keys()) {
    if (done.has(root)) continue;
    const path = [{ file: root, next: 0 }];
    const depthOf = new Map([[root, 0]]);
    while (path.length > 0) {
      const top = path[path.length - 1];
      const target = edges.get(top.file)![top.next++];
      if (target === undefined) {
        done.add(top.file);
        depthOf.delete(top.file);
        path.pop();
      } else if (depthOf.has(target)) {
        const ring = path.slice(depthOf.get(target)).map(({ file }) => file);
        out.push([...ring, target].join(' -> '));
      } else if (!done.has(target)) {
        depthOf.set(target, path.length);
        path.push({ file: target, next: 0 });
      }
    }
  }
  return out;
}

/** Lines as an editor counts them: a newline at the end begins none. */
const lineCount = (text: string): number => text.replace(/\n$/, '').split('\n').length;

function pick(sources: ReadonlyMap<string, Source>, bad: (source: Source) => boolean): string[] {
  return [...sources].filter(([, source]) => bad(source)).map(([file]) => file);
}

const noHeader = (source: Source): boolean => !/^(#!.*\n)?\/\//.test(source.text);
const tooLong = (source: Source): boolean => lineCount(source.text) > MAX_LINES;

function readSources(): Files {
  const names = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' });
  const files = names.filter((name) => name.endsWith('.ts')).sort();
  return new Map(
    files.map((name) => {
      const path = join(ROOT, 'src', name);
      return [relative(ROOT, path).split(sep).join('/'), readFileSync(path, 'utf8')] as const;
    }),
  );
}

const sources = parseAll(readSources());

test('there are sources to check', () => expect(sources.size).toBeGreaterThan(0));

test('imports go to the same layer or a lower one', () => {
  expect(layerOffences(sources)).toEqual([]);
});

test('no import cycles', () => expect(cycles(sources)).toEqual([]));

test(`no file is longer than ${MAX_LINES} lines`, () => {
  expect(pick(sources, tooLong)).toEqual([]);
});

test('each file begins with a // comment', () => expect(pick(sources, noHeader)).toEqual([]));

test('no default exports', () => expect(pick(sources, (s) => s.defaultExport)).toEqual([]));

test('no enums', () => expect(pick(sources, (s) => s.hasEnum)).toEqual([]));

// The checks themselves, on sources made up to break them.

const parsed = (files: Record<string, string>): Map<string, Source> =>
  parseAll(new Map(Object.entries(files)));

test('the layer check sees every form of import, and both levels and ceilings', () => {
  const offences = layerOffences(
    parsed({
      'src/graph/a.ts': [
        `import { x } from '../ops/x.ts';`,
        `import type { T } from '../plan/t.ts';`,
        `export * from '../lib/y.ts';`,
        `export type { U } from '../session/u.ts';`,
        `import '../viz/z.ts';`,
        `type V = import('../codegen/v.ts').V;`,
        `const w = await import('../backends/cpu/w.ts');`,
        `import { ok } from '../core/ok.ts';`,
        `import type { Same } from './b.ts';`,
        `import { produce } from 'immer';`,
        `import { lost } from '../nowhere/lost.ts';`,
      ].join('\n'),
      'src/passes/p.ts': `import type { G } from '../autodiff/g.ts';`,
      'src/autodiff/g.ts': `import { p } from '../passes/p.ts';`,
      'src/viz/dot.ts': `import { o } from '../ops/o.ts';\nimport { g } from '../graph/a.ts';`,
      'src/session/run.ts': `import '../index.ts';`,
      'src/index.ts': `export * from './viz/dot.ts';\nimport './methods.ts';`,
      'src/stray.ts': '',
    }),
  );
  expect(offences).toEqual([
    'src/graph/a.ts -> ../ops/x.ts',
    'src/graph/a.ts -> ../plan/t.ts',
    'src/graph/a.ts -> ../lib/y.ts',
    'src/graph/a.ts -> ../session/u.ts',
    'src/graph/a.ts -> ../viz/z.ts',
    'src/graph/a.ts -> ../codegen/v.ts',
    'src/graph/a.ts -> ../backends/cpu/w.ts',
    'src/graph/a.ts -> ../nowhere/lost.ts',
    'src/passes/p.ts -> ../autodiff/g.ts',
    'src/autodiff/g.ts -> ../passes/p.ts',
    'src/viz/dot.ts -> ../ops/o.ts',
    'src/session/run.ts -> ../index.ts',
    'src/stray.ts belongs to no layer',
  ]);
});

test('the cycle check finds rings, and leaves type-only ones alone', () => {
  const ring = parsed({
    'src/core/a.ts': `import { b } from './b.ts';`,
    'src/core/b.ts': `import { c } from './c.ts';\nimport { d } from './d.ts';`,
    'src/core/c.ts': `export { b } from './b.ts';`,
    'src/core/d.ts': `import type { A } from './a.ts';`,
  });
  expect(cycles(ring)).toEqual(['src/core/b.ts -> src/core/c.ts -> src/core/b.ts']);
  const long = new Map(
    Array.from({ length: 20_000 }, (_, i) => [`src/core/${i}.ts`, `import './${i + 1}.ts';`]),
  );
  expect(cycles(parseAll(long))).toEqual([]);
});

test('the checks of house rules see what they look for', () => {
  const files = parsed({
    a: '// ok\nexport const a = 1;\nswitch (a) { default: }\n',
    b: '// b\nexport default 1;\n',
    c: '// c\nexport default function f() {}\n',
    d: "// d\nexport { x as default } from './x.ts';\n",
    e: '// e\nexport const enum E { A }\n',
    f: '/* f */\n',
    g: `// g\n${'\n'.repeat(MAX_LINES - 1)}`,
    h: `// h\n${'\n'.repeat(MAX_LINES)}`,
  });
  expect(pick(files, (s) => s.defaultExport)).toEqual(['b', 'c', 'd']);
  expect(pick(files, (s) => s.hasEnum)).toEqual(['e']);
  expect(pick(files, noHeader)).toEqual(['f']);
  expect(pick(files, tooLong)).toEqual(['h']);
});
