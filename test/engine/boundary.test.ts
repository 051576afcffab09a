/** What a caller of the native addon may get wrong is ERR_ARGUMENT and not the end of the process. */
import { createServer } from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { openCheckpoint } from '../../lib/checkpoint/open';
import type { Block, SiteRun } from '../../lib/engine/block';
import { Engine } from '../../lib/engine/engine';
import type { EngineHandle, RefitHandle, SolverHandle } from '../../lib/engine/handles';
import { GaussNewton } from '../../lib/engine/input-solver';
import type { Matrix } from '../../lib/engine/matrix';
import { native } from '../../lib/engine/native';
import type { Purpose } from '../../lib/engine/native-engine';
import { Refit } from '../../lib/engine/refit';
import { AS_IS, blockSpec, Session } from '../../lib/engine/session';
import { Solver } from '../../lib/engine/solver';
import { loadFixture, makeSolver } from '../solver/fixtures';

const TOKENS = 16;
const refused = { code: 'ERR_ARGUMENT' };

interface Given {
  t: ExecutionContext;
  session: Session;
  block: Block;
  matrix(cols: number, rows?: number): Matrix;
}

const withBlock = (work: (given: Given) => Promise<void>) => async (t: ExecutionContext) => {
  await using engine = new Engine({ threads: 2 });
  const source = await openCheckpoint(join(__dirname, '../fixtures/models/llama2'));
  const session = new Session(engine, source);
  const block = await session.loadBlock(0);
  const matrix = (cols: number, rows = TOKENS) => session.matrix(rows, cols, TOKENS);
  try {
    await work({ t, session, block, matrix });
  } finally {
    session.dispose();
  }
};

test('a matrix without columns', async (t) => {
  await using engine = new Engine({ threads: 1 });
  const matrix = engine.store('').matrix(8, 0, 4);
  t.is(matrix.read(0, 8).length, 0);
  for (const count of [0, 1]) t.throws(() => matrix.write(0, new Float32Array(count)), refused);
  t.is(await matrix.energy(), 0);
  t.throws(() => engine.store('').matrix(8, 2 ** 33, 2 ** 33), refused);
});

test('handles of others, of another kind, and of nothing', async (t) => {
  const engine = new Engine({ threads: 1 });
  const server = createServer().listen(0);
  const foreign = (server as unknown as { _handle: { _externalStream: unknown } })._handle
    ._externalStream;
  t.is(Object.prototype.toString.call(foreign), '[object Object]');
  for (const handle of [foreign, engine.store('').handle, {}, undefined, 7]) {
    t.throws(() => native.memoryOf(handle as EngineHandle), refused);
  }
  t.throws(() => native.release(foreign as EngineHandle), refused);
  server.close();
  await engine.dispose();
  t.throws(() => native.memoryOf(engine.handle), refused);
});

test('solvers and refits are not made of what is not theirs', async (t) => {
  await using engine = new Engine({ threads: 1 });
  using solver = await makeSolver(loadFixture('columns').sums);
  for (const from of [undefined, {}, engine.handle, solver.handle]) {
    t.throws(() => new Refit(from as RefitHandle), refused);
  }
  for (const from of [undefined, {}, engine.handle]) {
    t.throws(() => new Solver(from as SolverHandle), refused);
  }
  t.true(engine.memory.used >= 0, 'the engine is still there');
});

test('what was disposed of answers nothing more, and twice is once', async (t) => {
  await using engine = new Engine({ threads: 1 });
  const before = engine.memory.used;
  for (const dispose of [Symbol.dispose, Symbol.asyncDispose] as const) {
    const matrix = engine.store('').matrix(64, 64, 64);
    matrix.write(0, new Float32Array(64));
    t.true(engine.memory.used > before);
    await matrix[dispose]();
    t.is(engine.memory.used, before);
    t.throws(() => matrix.read(0, 1), refused);
    await t.notThrowsAsync(async () => matrix[dispose]());
  }
});

test('threads of a solver', async (t) => {
  const { sums } = loadFixture('columns');
  for (const threads of [0, 1025, 2 ** 40]) {
    await t.throwsAsync(Solver.fromSums(threads, 0, sums), refused);
  }
});

test(
  'tensors and their files',
  withBlock(async ({ t, session }) => {
    const { handle } = session.engine;
    const files = session.files.map((file) => file.handle);
    const none = undefined as never;
    const tensor = session.source.model.embedding!;
    t.throws(() => native.encodeTensor(handle, none, files, 'F32', 0, 1), refused);
    t.throws(() => native.encodeTensor(handle, tensor, none, 'F32', 0, 1), refused);
    t.throws(() => native.encodeTensor(handle, tensor, [], 'F32', 0, 1), refused);
    const flat = { ...tensor, shape: none };
    t.throws(() => native.encodeTensor(handle, flat, files, 'F32', 0, 1), refused);
    const heads = { ...tensor, ropeHeads: tensor.shape[0]! };
    t.throws(() => native.encodeTensor(handle, heads, files, 'F32', 0, 1), {
      code: 'ERR_CHECKPOINT',
    });
    for (const storedColumns of [tensor.shape[0]! - 1, -1, 2 ** 40]) {
      const transposed = { ...tensor, storedColumns };
      t.throws(() => native.encodeTensor(handle, transposed, files, 'F32', 0, 1), refused);
    }
    const spec = blockSpec(session.architecture, 0);
    const load = native.loadBlock.bind(null, session.engine.store('').handle, spec, {});
    t.throws(() => load(none, AS_IS), refused);
    t.throws(() => load([], 'F32' as never), refused);
  }),
);

test(
  'columns that a matrix has not, or a type has no values of',
  withBlock(async ({ t, block }) => {
    const [, cols] = block.shape('attention.q')!;
    await t.throwsAsync(block.encodeColumns('attention.q', 'F32', cols - 1, 2), refused);
    await t.throwsAsync(block.encodeColumns('attention.q', 'Q8_0', 0, 1), refused);
    await t.throwsAsync(block.encodeColumns('attention.norm', 'F32', 0, 1), refused);
  }),
);

test(
  'ropes that heads are too short for',
  withBlock(async ({ t, session }) => {
    const spec = blockSpec(session.architecture, 0);
    const { headDim } = session.architecture;
    const longrope = { short: [1], long: [1], originalMaxPositions: 4, attentionFactor: 1 };
    for (const rope of [{ dims: 3 }, { dims: headDim + 2 }, { longrope }]) {
      const turned = {
        ...spec,
        sublayers: spec.sublayers.map((sublayer) => ({
          ...sublayer,
          mixer: { ...sublayer.mixer, rope: { theta: 1e4, ...rope } },
        })),
      };
      const store = session.engine.store('').handle;
      t.throws(() => native.loadBlock(store, turned as never, {}, [], AS_IS), refused);
    }
  }),
);

test(
  'heads that rows are not made of',
  withBlock(async ({ t, block }) => {
    const [rows] = block.shape('attention.q')!;
    for (const heads of [rows + 1, 2 * rows]) {
      await t.throwsAsync(block.encode('attention.q', 'F32', 0, 1, heads), refused);
    }
  }),
);

test(
  'dense states of another shape, or missing',
  withBlock(async ({ t, session, block, matrix }) => {
    const { hidden: width } = session.architecture;
    const hidden = matrix(width);
    const run = (more: Partial<SiteRun>) =>
      block.run('ffn', {
        purpose: 'measuring',
        window: TOKENS,
        hidden,
        advance: false,
        alpha: 0.5,
        beta: 0.5,
        ...more,
      });
    const dense = matrix(width);
    await t.notThrowsAsync(run({ denseBefore: dense, denseAfter: dense }));
    t.throws(() => run({ denseBefore: dense }), refused);
    for (const other of [matrix(width - 1), matrix(width, TOKENS / 2)]) {
      t.throws(() => run({ denseBefore: other, denseAfter: dense }), refused);
      t.throws(() => run({ denseBefore: dense, denseAfter: other }), refused);
    }
  }),
);

test(
  'a purpose that nobody has, or none',
  withBlock(async ({ t, session, block, matrix }) => {
    const { hidden: width } = session.architecture;
    const hidden = matrix(width);
    const ids = new Int32Array(TOKENS);
    const run = { window: TOKENS, hidden, advance: true, alpha: 0, beta: 0 };
    for (const purpose of ['measuring', 'calibrating', 'searching'] as const) {
      await t.notThrowsAsync(block.run('ffn', { ...run, purpose }));
    }
    for (const wrong of ['guessing', undefined]) {
      const purpose = wrong as Purpose;
      t.throws(() => block.run('ffn', { ...run, purpose }), refused);
      t.throws(() => session.ends.embed(ids, TOKENS, hidden, purpose), refused);
      t.throws(() => session.ends.expectHead(hidden, matrix(width), purpose), refused);
    }
  }),
);

test(
  'columns that were not kept, states of another width',
  withBlock(async ({ t, session, block, matrix }) => {
    const { hidden: width, blocks } = session.architecture;
    const { ffn } = blocks[0]!;
    const [kept, hidden] = [matrix(ffn), matrix(width)];
    const apply = (columns: Int32Array | null, to = hidden) =>
      block.apply('ffn', kept, columns, to, 'measuring');
    await t.notThrowsAsync(apply(Int32Array.from({ length: ffn }, (_, i) => i)));
    for (const wrong of [-1, ffn]) {
      t.throws(() => apply(new Int32Array(ffn).fill(wrong)), refused);
    }
    t.throws(() => apply(null, matrix(width - 1)), refused);
    const { ends } = session;
    const narrow = matrix(width - 1);
    t.throws(() => ends.score(narrow, new Int32Array(TOKENS).fill(-1)), refused);
    t.throws(() => ends.logits(narrow, 0, 1), refused);
  }),
);

test(
  'sums that are not the site’s, and a metric that does not fit',
  withBlock(async ({ t, session, block, matrix }) => {
    const { hidden } = session.architecture;
    const options = { lambda: 0.05, group: 1, metric: null };
    const sums = session.statistics(block.width('ffn'), { gram: true });
    const ids = Int32Array.from({ length: TOKENS }, (_, i) => i);
    const states = await session.embed(ids, TOKENS, 'measuring');
    await session.advanceSite(block, 'ffn', states, TOKENS, 'measuring', { statistics: sums });
    await t.notThrowsAsync(Solver.of(block, 'ffn', sums, options));
    const others = [
      session.statistics(block.width('ffn'), { gram: false }),
      session.statistics(block.width('ffn') - 1, { gram: true }),
    ];
    for (const other of others) {
      await t.throwsAsync(Solver.of(block, 'ffn', other, options), refused);
    }
    const gradients = session.statistics(hidden, { gram: true });
    for (const [metric, row] of [
      [matrix(hidden, hidden), 1] as const,
      [matrix(8, 64), 0] as const,
    ]) {
      const place = { matrix: metric, row };
      await t.throwsAsync(gradients.storeMetric(place), refused);
      await t.throwsAsync(Solver.of(block, 'ffn', sums, { ...options, metric: place }), refused);
    }
  }),
);

test(
  'a refit or a solver of another shape than the block',
  withBlock(async ({ t, session, block, matrix }) => {
    const { hidden: width } = session.architecture;
    const [inputs, targets] = [matrix(width), matrix(width)];
    inputs.write(
      0,
      Float32Array.from({ length: TOKENS * width }, (_, i) => Math.sin(i)),
    );
    const options = { lambda: 0.01, freezeBiases: false };
    const solver = await GaussNewton.of(block, 'ffn', { inputs, targets }, options);
    const { sums } = loadFixture('columns');
    const small = await (await makeSolver(sums)).refit(new Uint8Array(sums.in).fill(1));
    const linearise = (refit: Refit) =>
      solver.linearise(refit, { tokens: TOKENS, offset: 0 }, 'searching');
    await t.throwsAsync(linearise(small), { ...refused, message: /another shape/ });
    t.throws(() => linearise({} as Refit), refused);

    const half = Int32Array.from({ length: 8 }, (_, i) => i);
    for (const role of ['ffn.gate', 'ffn.up'] as const) await block.slice(role, 0, half);
    await block.slice('ffn.out', 1, half);
    block.resize('ffn', half.length);
    await t.throwsAsync(solver.move(false), refused);
  }),
);

test('a model without a tensor that it says it has, or with one of another shape', async (t) => {
  await using engine = new Engine({ threads: 1 });
  const source = await openCheckpoint(join(__dirname, '../fixtures/models/llama2'));
  const { model } = source;
  const refuses = (message: RegExp, other: typeof model) =>
    t.throws(() => new Session(engine, { ...source, model: other }), {
      code: 'ERR_CHECKPOINT',
      message,
    });
  for (const role of ['embedding', 'finalNorm', 'head'] as const) {
    refuses(new RegExp(`${role} is missing`), { ...model, [role]: undefined });
    const { shape, bytes } = model[role]!;
    const rest = shape.with(0, shape[0]! / 2);
    const half = { ...model[role]!, shape: rest, bytes: bytes / 2 };
    refuses(new RegExp(`${role} has another shape`), { ...model, [role]: half });
    refuses(/has not the bytes of its shape/, {
      ...model,
      // 2^64 elements, of which nothing is left.
      [role]: { ...model[role]!, shape: [2 ** 32, 2 ** 32], bytes: 0 },
    });
  }
});
