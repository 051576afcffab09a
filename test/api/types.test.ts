/** The types of the package where nothing else is installed: they compile, say what the source says, and explain every option. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import test from 'ava';
import ts from 'typescript';
import { workspace } from '../e2e/models';

const ROOT = resolve(__dirname, '../..');
execFileSync(process.execPath, [join(ROOT, 'scripts', 'compile.js')]);

const work = workspace();
test.after.always(() => work.remove());

/** A folder with the package's declarations alone: no zod, none of Node's types. */
const bare = work.emptyFolder();
const installed = join(bare, 'node_modules', 'struprune-native');
mkdirSync(join(installed, 'dist', 'lib'), { recursive: true });
for (const file of ['package.json', 'dist/lib/index.d.ts', 'dist/lib/index.d.mts']) {
  cpSync(join(ROOT, file), join(installed, file));
}

const STRICT: ts.CompilerOptions = {
  strict: true,
  noEmit: true,
  skipLibCheck: false,
  // The compiler's own declarations are no business of ours, and take the longest.
  skipDefaultLibCheck: true,
  esModuleInterop: false,
  target: ts.ScriptTarget.ES2022,
};

const USE = `
import { Engine, evaluate, type PruneOptions, prune, StruPruneError } from 'struprune-native';

export async function use(signal: AbortSignal): Promise<number> {
  const engine = new Engine({ threads: 1, memory: 2 ** 30 });
  const options: PruneOptions = { output: 'out', sparsity: 0.2, lambda: 0.1, engine, signal };
  try {
    const { layers } = await prune('model', { ...options, onProgress: ({ stage }) => stage });
    return layers.length + (await evaluate('out', { text: 'text.txt' })).perplexity;
  } catch (error) {
    if (error instanceof StruPruneError && error.code === 'ERR_OUTPUT') return error.mend.length;
    throw error;
  } finally {
    await engine[Symbol.asyncDispose]();
  }
}
`;

/** The compiler's own declarations are read once: they take the longest. */
const read = new Map<string, ts.SourceFile | undefined>();
function hostOf(options: ts.CompilerOptions): ts.CompilerHost {
  const host = ts.createCompilerHost(options);
  const { getSourceFile } = host;
  host.getSourceFile = (name, ...more) => {
    if (!name.startsWith(host.getDefaultLibLocation!())) return getSourceFile(name, ...more);
    if (!read.has(name)) read.set(name, getSourceFile(name, ...more));
    return read.get(name);
  };
  return host;
}

/** What the compiler says of a program of one file in `folder`. */
function complaints(folder: string, name: string, code: string, options: ts.CompilerOptions) {
  const file = join(folder, name);
  writeFileSync(file, code);
  const all = { ...STRICT, ...options };
  const program = ts.createProgram([file], all, hostOf(all));
  const said = ts.getPreEmitDiagnostics(program).map(({ messageText }) => {
    return ts.flattenDiagnosticMessageText(messageText, '\n');
  });
  return { program, said };
}

const COMMONJS = {
  module: ts.ModuleKind.CommonJS,
  moduleResolution: ts.ModuleResolutionKind.Node10,
};
const WAYS: [name: string, file: string, options: ts.CompilerOptions][] = [
  ['CommonJS', 'use.ts', COMMONJS],
  ['ES modules of Node', 'use.mts', { module: ts.ModuleKind.Node16 }],
  [
    'a bundler',
    'bundled.ts',
    { module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler },
  ],
];

for (const [way, file, options] of WAYS) {
  test(`types alone are enough: ${way}`, (t) => {
    t.deepEqual(complaints(bare, file, USE, options).said, []);
  });
}

const OPTIONS = [
  'AllocateOptions',
  'AnswerOptions',
  'EvaluateOptions',
  'ExportOptions',
  'GenerateOptions',
  'GraphOptions',
  'GraphsOptions',
  'KernelOptions',
  'MasksOptions',
  'MemoryOptions',
  'PeersOptions',
  'PlanOptions',
  'PruneOptions',
  'QualityOptions',
  'SpeedOptions',
  'SurveyOptions',
  'TasksOptions',
];

test('options and documents are those of the source', (t) => {
  // Classes have private parts: what they stand in is no other's.
  const checks = [...OPTIONS, 'BenchDocument'].map((name) => {
    const both = (of: (type: string) => string) =>
      `Equal<${of(`Packed.${name}`)}, ${of(`Source.${name}`)}>`;
    const plain = both((type) => `Omit<${type}, 'engine' | 'mask' | 'methods' | 'onUnfinished'>`);
    return `export const _${name}: [${plain}, ${both((type) => `keyof ${type}`)}] = [true, true];`;
  });
  const code = `
    import type * as Packed from ${JSON.stringify(join(installed, 'dist', 'lib'))};
    import type * as Source from ${JSON.stringify(join(ROOT, 'lib'))};
    type Equal<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;
    ${checks.join('\n')}
  `;
  const own = { ...COMMONJS, skipLibCheck: true, esModuleInterop: true, types: ['node'] };
  const typeRoots = [join(ROOT, 'node_modules', '@types')];
  const lib = ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'];
  t.deepEqual(complaints(bare, 'equal.ts', code, { ...own, typeRoots, lib }).said, []);
});

test('every option has hover text', (t) => {
  const variables = OPTIONS.map((name) => `export let ${name}: api.${name};`);
  const code = `import type * as api from 'struprune-native';\n${variables.join('\n')}`;
  const { program } = complaints(bare, 'hover.ts', code, COMMONJS);
  const checker = program.getTypeChecker();
  const module = checker.getSymbolAtLocation(program.getSourceFile(join(bare, 'hover.ts'))!)!;
  let count = 0;
  for (const variable of checker.getExportsOfModule(module)) {
    for (const option of checker.getTypeOfSymbol(variable).getProperties()) {
      if (/^on[A-Z]/.test(option.name)) continue;
      const text = ts.displayPartsToString(option.getDocumentationComment(checker));
      t.regex(text, /\w{3}/, `${variable.name}.${option.name}`);
      count++;
    }
  }
  t.true(count > 200, `${count}`);
  const bundle = readFileSync(join(installed, 'dist', 'lib', 'index.d.ts'), 'utf8');
  t.regex(
    bundle,
    /ridge, as a share of the diagonal of the Gram matrix\. Default: 0\.05, or \(6 × columns ÷ tokens\)² /,
  );
  t.regex(bundle, /false: leave the kept weights as they are\. Default: true \*\//);
});
