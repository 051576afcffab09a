/** The solvers of an FFN's input weights against numpy's (scripts/oracles/make-ffn-fixtures.py), and when rounds end. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { openCheckpoint } from '../../lib/checkpoint/open';
import type { Block, FfnTokens } from '../../lib/engine/block';
import { Engine } from '../../lib/engine/engine';
import { Auxiliary, GaussNewton, type Taken } from '../../lib/engine/input-solver';
import type { Refit } from '../../lib/engine/refit';
import { Session } from '../../lib/engine/session';
import { Solver } from '../../lib/engine/solver';
import type { BlockRole } from '../../lib/model/sublayers';
import { gaussNewton } from '../../lib/solver/gauss-newton';
import type { OutputFit } from '../../lib/solver/input-rounds';
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
  auxiliary: { moved: number[]; last: number };
}

const FIXTURES = join(__dirname, '..', 'fixtures');

for (const name of ['llama2', 'llama-bias', 'opt-pre']) {
  const fixture: Fixture = JSON.parse(readFileSync(join(FIXTURES, 'ffn', `${name}.json`), 'utf8'));

  test(`${name}: a linearisation, its steps and the refit after it are numpy's`, (t) =>
    withFfn(name, fixture, async ({ block, ffnTokens, taken, refit, weights }) => {
      const first = await refit();
      t.true(Math.abs(first.error / fixture.first - 1) < 1e-5);
      const { lambda } = fixture;
      const solver = await GaussNewton.of(block, 'ffn', ffnTokens, { lambda, freezeBiases: false });
      const error = await solver.linearise(first, taken, 'measuring');
      t.true(Math.abs(error / (fixture.first / fixture.target) - 1) < 1e-5);
      for (const [step, line] of fixture.lines.entries()) {
        const last = step === fixture.lines.length - 1;
        const { slope, curvature } = await solver.nextDirection(last, 'measuring');
        t.true(Math.abs(slope / line.slope - 1) < 1e-3, `slope ${slope}, expected ${line.slope}`);
        t.true(Math.abs(curvature / line.curvature - 1) < 1e-3);
        await solver.advance(slope / curvature);
      }
      const before = await weights();
      await solver.move(true);
      t.true(worstGap(await weights(), fixture.moved) < 1e-4);
      t.true(Math.abs((await refit()).error / fixture.last - 1) < 1e-4);
      await solver.move(false);
      t.deepEqual(await weights(), before);
    }));

  test(`${name}: an iteration of auxiliary variables is numpy's`, (t) =>
    withFfn(name, fixture, async ({ block, ffnTokens, taken, refit, weights }) => {
      const { lambda, auxiliary } = fixture;
      const solver = await Auxiliary.of(block, 'ffn', ffnTokens, { lambda, freezeBiases: false });
      await solver.iterate(await refit(), taken, 'measuring');
      const before = await weights();
      await solver.move(true);
      t.true(worstGap(await weights(), auxiliary.moved) < 1e-4);
      t.true(Math.abs((await refit()).error / auxiliary.last - 1) < 1e-4);
      await solver.move(false);
      t.deepEqual(await weights(), before);
    }));

  if (name === 'llama2') continue;
  test(`${name}: frozen biases stay, the rest goes its way`, (t) =>
    withFfn(name, fixture, async ({ block, ffnTokens, taken, refit, weights }) => {
      const { lambda } = fixture;
      const first = await refit();
      const before = await weights();
      const width = fixture.targets.length / taken.tokens;
      const isBias = (at: number) => at % (width + 1) === width;
      const check = async () => {
        const after = await weights();
        t.deepEqual(
          after.filter((_, at) => isBias(at)),
          before.filter((_, at) => isBias(at)),
        );
        t.notDeepEqual(after, before);
      };
      const newton = await GaussNewton.of(block, 'ffn', ffnTokens, { lambda, freezeBiases: true });
      await newton.linearise(first, taken, 'measuring');
      const { slope, curvature } = await newton.nextDirection(true, 'measuring');
      await newton.advance(slope / curvature);
      await newton.move(true);
      await check();
      await newton.move(false);
      const auxiliary = await Auxiliary.of(block, 'ffn', ffnTokens, { lambda, freezeBiases: true });
      await auxiliary.iterate(first, taken, 'measuring');
      await auxiliary.move(true);
      await check();
    }));
}

/** Block 0 with its few kept channels, and the fixture's tokens. */
async function withFfn(
  name: string,
  fixture: Fixture,
  use: (ffn: {
    block: Block;
    ffnTokens: FfnTokens;
    /** All of them. */
    taken: Taken;
    /** Of the output map, on the block's input weights. */
    refit(): Promise<Refit>;
    /** Gate and up, biases as last columns. */
    weights(): Promise<number[]>;
  }) => Promise<void>,
): Promise<void> {
  await withSession(name, async (session) => {
    const { hidden, gated, biases } = session.architecture;
    const block = await session.loadBlock(0);
    const keep = Int32Array.from(fixture.keep);
    const inputRoles: BlockRole[] = gated ? ['ffn.gate', 'ffn.up'] : ['ffn.up'];
    for (const role of inputRoles) {
      await block.slice(role, 0, keep);
      await block.slice(`${role}Bias` as BlockRole, 1, keep);
    }
    await block.slice('ffn.out', 1, keep);
    block.resize('ffn', keep.length);

    const tokens = fixture.targets.length / hidden;
    const ones = biases.ffnIn ? [1] : [];
    const inputs = session.matrix(tokens, hidden + ones.length, tokens);
    const targets = session.matrix(tokens, hidden, tokens);
    targets.write(0, Float32Array.from(fixture.targets));
    const rows = Array.from({ length: tokens }, (_, i) =>
      fixture.inputs.slice(i * hidden, (i + 1) * hidden).concat(ones),
    );
    inputs.write(0, Float32Array.from(rows.flat()));

    const ffnTokens = { inputs, targets };
    const refit = async () => {
      const statistics = session.statistics(keep.length, { gram: true, residual: hidden });
      await block.collectHidden('ffn', ffnTokens, statistics, 'measuring');
      const options = { lambda: fixture.lambda, group: 1, metric: null };
      const solver = await Solver.of(block, 'ffn', statistics, options);
      return solver.refit(new Uint8Array(keep.length).fill(1), { bias: biases.down });
    };
    const weights = () => weightsOf(session, block, inputRoles);
    const taken = { tokens, offset: 0 };
    await use({ block, ffnTokens, taken, refit, weights });
  });
}

/** Gate and up with their biases as last columns. */
async function weightsOf(session: Session, block: Block, roles: BlockRole[]) {
  const read = async (role: BlockRole) => {
    const shape = block.shape(role);
    if (!shape) return null;
    const rows = role.endsWith('Bias') ? shape[1] : shape[0];
    const bytes = await block.encode(role, 'F32', 0, rows, 0);
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
    [Symbol.dispose]: () => {
      calls.push(`free ${error}`);
    },
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
