/**
 * The examples of docs/api.md as a user would have them: type-checked as ES modules of the package, and run. The first one on the
 * embedded model, others on a smaller one; STRUPRUNE_LONG=1: all on the embedded one.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import test from 'ava';
import ts from 'typescript';
import { workspace } from '../e2e/models';
import { isLong } from '../long';

const ROOT = resolve(__dirname, '../..');
execFileSync(process.execPath, [join(ROOT, 'scripts', 'compile.js')]);

const text = readFileSync(join(ROOT, 'docs', 'api.md'), 'utf8');
const examples = [...text.matchAll(/<!-- example (\w+) -->\n```ts\n([\s\S]*?)```/g)];

// Inside the package, whose own name then leads to its exports.
const parent = join(ROOT, 'build', 'examples');
mkdirSync(parent, { recursive: true });
const folder = mkdtempSync(join(parent, 'run-'));
test.after.always(() => rmSync(folder, { recursive: true }));
const work = workspace();
test.after.always(() => work.remove());
const preload = join(folder, 'small-model.js');
writeFileSync(
  preload,
  `require(${JSON.stringify(join(ROOT, 'dist/lib/embedded.js'))}).embeddedModel = () => ${JSON.stringify(work.model('llama2', 'small'))};`,
);
const fileOf = (name: string) => join(folder, `${name}.mts`);
for (const [, name, code] of examples) writeFileSync(fileOf(name!), code!);

const OPTIONS: ts.CompilerOptions = {
  module: ts.ModuleKind.NodeNext,
  target: ts.ScriptTarget.ES2022,
  lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
  strict: true,
  noUncheckedIndexedAccess: true,
  noEmitOnError: true,
  types: ['node'],
  typeRoots: [join(ROOT, 'node_modules', '@types')],
};

test.before('type check', (t) => {
  t.timeout(120_000);
  t.is(examples.length, 6);
  const program = ts.createProgram(
    examples.map(([, name]) => fileOf(name!)),
    OPTIONS,
  );
  const { diagnostics } = program.emit();
  const found = [...ts.getPreEmitDiagnostics(program), ...diagnostics];
  t.deepEqual(
    found.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n')),
    [],
  );
});

const EXPECTED: Record<string, RegExp> = {
  run: /^0\.2\d* [\d.]+\n$/,
  around: /^[\d.]+ [\w. ()]+\n$/,
  survey: /^0\.1 .*\n[\s\S]*0\.2 [\s\S]*0\.3 /,
  allocation: /^own "cheapest next 1" \[/,
  mask: /^$/,
  row: /^magnitude \d+\.\d+\nVariance \d+\.\d+\n$/,
};
for (const [, name] of examples) {
  test.serial(`example ${name}`, (t) => {
    const cwd = join(folder, name!);
    mkdirSync(cwd);
    const script = fileOf(name!).replace(/mts$/, 'mjs');
    const smaller = isLong || name === 'run' ? [] : ['--require', preload];
    const stdout = execFileSync(process.execPath, [...smaller, script], {
      cwd,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    t.regex(stdout, EXPECTED[name!]!);
    const made = name === 'row' ? 'rows/rows.jsonl' : 'pruned/model.safetensors';
    t.truthy(readFileSync(join(cwd, made)).length);
  });
}
