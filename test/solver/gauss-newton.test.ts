/** One round of Gauss-Newton against numpy's (scripts/oracles/make-ffn-fixtures.py), and when rounds end. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { Engine } from '../../lib/engine/engine';
import { type BlockHandle, native } from '../../lib/engine/native';
import { Session } from '../../lib/engine/session';
import type { BlockRole } from '../../lib/model/architecture';
import { gaussNewton, type OutputFit } from '../../lib/solver/gauss-newton';
import { worstGap } from './fixtures';

interface Fixture {
  keep: number[];
  inputs: number[];
  targets: number[];
  lambda: number;
  /** ‖Y‖². */
  target: number;
  /** ‖Y − Ŷ‖² after the refit of the output map, before the round and after it. */
  first: number;
  last: number;
  lines: { slope: number; curvature: number }[];
  moved: number[];
}

const FIXTURES = join(__dirname, '..', 'fixtures');

for (const name of ['llama2', 'llama-bias', 'opt-pre']) {
  test(`${name}: a linearisation, its steps and the refit after it are numpy's`, async (t) => {
    const fixture: Fixture = JSON.parse(
      readFileSync(join(FIXTURES, 'ffn', `${name}.json`), 'utf8'),
    );
    await withSession(name, (session) => compare(t, session, fixture));
  });
}

async function compare(t: ExecutionContext, session: Session, fixture: Fixture): Promise<void> {
  const { handle } = session.engine;
  const { hidden, gated, biases } = session.architecture;
  const block = await session.loadBlock(0);
  const keep = Int32Array.from(fixture.keep);
  const inputRoles: BlockRole[] = gated ? ['gate', 'up'] : ['up'];
  for (const role of inputRoles) {
    native.sliceBlock(block, role, 0, keep);
    native.sliceBlock(block, `${role}Bias` as BlockRole, 1, keep);
  }
  native.sliceBlock(block, 'down', 1, keep);
  const { heads, kvHeads } = native.blockWidths(block);
  native.setWidths(block, heads, kvHeads, keep.length);

  const tokens = fixture.targets.length / hidden;
  const ones = biases.ffnIn ? 1 : 0;
  const inputs = session.matrix(tokens, hidden + ones, tokens);
  const targets = session.matrix(tokens, hidden, tokens);
  native.setMatrixRows(handle, targets, 0, Float32Array.from(fixture.targets));
  const rows = Array.from({ length: tokens }, (_, i) => [
    ...fixture.inputs.slice(i * hidden, (i + 1) * hidden),
    ...(ones ? [1] : []),
  ]);
  native.setMatrixRows(handle, inputs, 0, Float32Array.from(rows.flat()));

  const refit = async () => {
    const statistics = session.statistics(keep.length, { gram: true, residual: hidden });
    await native.collectHidden(handle, block, inputs, targets, statistics);
    const solver = await native.createSolver(handle, statistics, block, 'ffn', {
      lambda: fixture.lambda,
      group: 1,
      metric: null,
    });
    return solver.refit(new Uint8Array(keep.length).fill(1), { bias: biases.down });
  };
  const first = await refit();
  t.true(Math.abs(first.error / fixture.first - 1) < 1e-5);

  const solver = native.createGaussNewton(handle, block, inputs, targets, fixture.lambda, false);
  const error = await native.linearise(handle, solver, block, first, tokens, 0);
  t.true(Math.abs(error / (fixture.first / fixture.target) - 1) < 1e-5);
  for (const [step, line] of fixture.lines.entries()) {
    const last = step === fixture.lines.length - 1;
    const { slope, curvature } = await native.nextDirection(handle, solver, last);
    t.true(Math.abs(slope / line.slope - 1) < 1e-3, `slope ${slope}, expected ${line.slope}`);
    t.true(Math.abs(curvature / line.curvature - 1) < 1e-3);
    await native.advanceAlong(handle, solver, slope / curvature);
  }
  const before = await weightsOf(session, block, inputRoles);
  await native.moveInputs(handle, solver, block, true);
  const moved = await weightsOf(session, block, inputRoles);
  t.true(worstGap(moved, fixture.moved) < 1e-4);
  t.true(Math.abs((await refit()).error / fixture.last - 1) < 1e-4);
  await native.moveInputs(handle, solver, block, false);
  t.deepEqual(await weightsOf(session, block, inputRoles), before);

  // Frozen biases stay; the rest goes its own way.
  if (!biases.ffnIn) return;
  const frozen = native.createGaussNewton(handle, block, inputs, targets, fixture.lambda, true);
  await native.linearise(handle, frozen, block, first, tokens, 0);
  const { slope, curvature } = await native.nextDirection(handle, frozen, true);
  await native.advanceAlong(handle, frozen, slope / curvature);
  await native.moveInputs(handle, frozen, block, true);
  const after = await weightsOf(session, block, inputRoles);
  const isBias = (at: number) => at % (hidden + 1) === hidden;
  t.deepEqual(
    after.filter((_, at) => isBias(at)),
    before.filter((_, at) => isBias(at)),
  );
  t.notDeepEqual(after, before);
}

/** Gate and up with their biases as last columns. */
async function weightsOf(session: Session, block: BlockHandle, roles: BlockRole[]) {
  const read = async (role: BlockRole) => {
    const shape = native.blockShape(block, role);
    if (!shape) return null;
    const rows = role.endsWith('Bias') ? shape[1] : shape[0];
    const bytes = await native.encodeBlock(session.engine.handle, block, role, 'F32', 0, rows, 0);
    return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  };
  const { hidden } = session.architecture;
  const all: number[] = [];
  for (const role of roles) {
    const weight = (await read(role))!;
    const bias = await read(`${role}Bias` as BlockRole);
    for (let row = 0; row < weight.length / hidden; row++) {
      all.push(...weight.subarray(row * hidden, (row + 1) * hidden));
      if (bias) all.push(bias[row]!);
    }
  }
  return all;
}

async function withSession(name: string, use: (session: Session) => Promise<void>): Promise<void> {
  const engine = new Engine({ threads: 2 });
  const session = new Session(engine, await openCheckpoint(join(FIXTURES, 'models', name)));
  try {
    await use(session);
  } finally {
    session.dispose();
    engine.dispose();
  }
}

/** A solver whose rounds leave these errors. */
function scripted(errors: number[], slopes: number[] = []) {
  const calls: string[] = [];
  const fitOf = (error: number): OutputFit => ({
    error,
    release: () => calls.push(`free ${error}`),
  });
  const solver = {
    linearise: async ({ error }: OutputFit, round: number) => {
      calls.push(`at ${error}, round ${round}`);
    },
    nextDirection: async (last: boolean) => {
      calls.push(last ? 'last' : 'next');
      return { slope: slopes.shift() ?? 1, curvature: 4 };
    },
    advance: async (step: number) => {
      calls.push(`step ${step}`);
    },
    move: async (forth: boolean) => {
      calls.push(forth ? 'forth' : 'back');
    },
    refit: async () => fitOf(errors.shift()!),
  };
  return { calls, solver, fitOf };
}

test('a round that does not lower the exact error is taken back, and is the last', async (t) => {
  const { calls, solver, fitOf } = scripted([6, 6]);
  const { fit: best, taken } = await gaussNewton(solver, fitOf(9), { rounds: 4, steps: 2 });
  t.is(best.error, 6);
  t.is(taken, 1);
  const round = (error: number, number: number) => [
    `at ${error}, round ${number}`,
    ...['next', 'step 0.25', 'last', 'step 0.25', 'forth'],
  ];
  t.deepEqual(calls, [...round(9, 0), 'free 9', ...round(6, 1), 'free 6', 'back']);
});

test('where no direction leads down nothing moves', async (t) => {
  for (const slope of [0, Number.NaN]) {
    const { calls, solver, fitOf } = scripted([], [slope]);
    const { fit: best, taken } = await gaussNewton(solver, fitOf(9), { rounds: 2, steps: 1 });
    t.deepEqual([best.error, taken, calls], [9, 0, ['at 9, round 0', 'last']]);
  }
});
