/** What a caller of the native addon may get wrong is ERR_ARGUMENT and not the end of the process. */
import { createServer } from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { Engine } from '../../lib/engine/engine';
import {
  type BlockHandle,
  type EngineHandle,
  type MatrixHandle,
  native,
  type SiteRun,
} from '../../lib/engine/native';
import { AS_IS, blockSpec, Session } from '../../lib/engine/session';
import type { NativeRefit } from '../../lib/solver/native-solver';
import { loadFixture, makeSolver } from '../solver/fixtures';

const TOKENS = 16;
const refused = { code: 'ERR_ARGUMENT' };

interface Given {
  t: ExecutionContext;
  session: Session;
  engine: EngineHandle;
  block: BlockHandle;
  matrix(cols: number, rows?: number): MatrixHandle;
}

const withBlock = (work: (given: Given) => Promise<void>) => async (t: ExecutionContext) => {
  const engine = new Engine({ threads: 2 });
  const source = await openCheckpoint(join(__dirname, '../fixtures/models/llama2'));
  const session = new Session(engine, source);
  const block = await session.loadBlock(0);
  const matrix = (cols: number, rows = TOKENS) => session.matrix(rows, cols, TOKENS);
  try {
    await work({ t, session, engine: engine.handle, block, matrix });
  } finally {
    session.dispose();
    await engine.dispose();
  }
};

test('a matrix without columns', async (t) => {
  const engine = new Engine({ threads: 1 });
  const matrix = native.createMatrix(engine.store(''), 8, 0, 4);
  t.is(native.matrixRows(engine.handle, matrix, 0, 8).length, 0);
  for (const count of [0, 1]) {
    t.throws(
      () => native.setMatrixRows(engine.handle, matrix, 0, new Float32Array(count)),
      refused,
    );
  }
  t.is(await native.energyOf(engine.handle, matrix), 0);
  t.throws(() => native.createMatrix(engine.store(''), 8, 2 ** 33, 2 ** 33), refused);
  await engine.dispose();
});

test('handles of others, of another kind, and of nothing', async (t) => {
  const engine = new Engine({ threads: 1 });
  const server = createServer().listen(0);
  const foreign = (server as unknown as { _handle: { _externalStream: unknown } })._handle
    ._externalStream;
  t.is(Object.prototype.toString.call(foreign), '[object Object]');
  for (const handle of [foreign, engine.store(''), {}, undefined, 7]) {
    t.throws(() => native.memoryOf(handle as EngineHandle), refused);
  }
  t.throws(() => native.release(foreign as EngineHandle), refused);
  server.close();
  await engine.dispose();
  t.throws(() => native.memoryOf(engine.handle), refused);
});

test('classes are not made of what is not theirs', async (t) => {
  const solver = await makeSolver(loadFixture('columns').sums);
  const engine = new Engine({ threads: 1 });
  const Solver = solver.constructor as new (from?: unknown) => unknown;
  for (const from of [undefined, {}, engine.handle]) t.throws(() => new Solver(from), refused);
  t.true(engine.memory.used >= 0, 'the engine is still there');
  await engine.dispose();
});

test('threads of a solver', (t) => {
  const { sums } = loadFixture('columns');
  for (const threads of [0, 1025, 2 ** 40]) {
    t.throws(() => native.solverFromSums(threads, 0, sums), refused);
  }
});

test(
  'tensors and their files',
  withBlock(async ({ t, session, engine }) => {
    const { files } = session;
    const none = undefined as never;
    const tensor = session.source.model.embedding!;
    t.throws(() => native.encodeTensor(engine, none, files, 'F32', 0, 1), refused);
    t.throws(() => native.encodeTensor(engine, tensor, none, 'F32', 0, 1), refused);
    t.throws(() => native.encodeTensor(engine, tensor, [], 'F32', 0, 1), refused);
    const flat = { ...tensor, shape: none };
    t.throws(() => native.encodeTensor(engine, flat, files, 'F32', 0, 1), refused);
    const heads = { ...tensor, ropeHeads: tensor.shape[0]! };
    t.throws(() => native.encodeTensor(engine, heads, files, 'F32', 0, 1), {
      code: 'ERR_CHECKPOINT',
    });
    const spec = blockSpec(session.architecture, 0);
    const load = native.loadBlock.bind(null, engine, session.engine.store(''), spec, {});
    t.throws(() => load(none, AS_IS), refused);
    t.throws(() => load([], 'F32' as never), refused);
  }),
);

test(
  'heads that rows are not made of',
  withBlock(async ({ t, engine, block }) => {
    const [rows] = native.blockShape(block, 'attention.q')!;
    for (const heads of [rows + 1, 2 * rows]) {
      await t.throwsAsync(
        native.encodeBlock(engine, block, 'attention.q', 'F32', 0, 1, heads),
        refused,
      );
    }
  }),
);

test(
  'dense states of another shape, or missing',
  withBlock(async ({ t, session, engine, block, matrix }) => {
    const { hidden: width } = session.architecture;
    const hidden = matrix(width);
    const run = (more: Partial<SiteRun>) =>
      native.runSite(engine, block, 'ffn', {
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
  'columns that were not kept, states of another width',
  withBlock(async ({ t, session, engine, block, matrix }) => {
    const { hidden: width, blocks } = session.architecture;
    const { ffn } = blocks[0]!;
    const [kept, hidden] = [matrix(ffn), matrix(width)];
    const apply = (columns: Int32Array | null, to = hidden) =>
      native.applySite(engine, block, 'ffn', kept, columns, to);
    await t.notThrowsAsync(apply(Int32Array.from({ length: ffn }, (_, i) => i)));
    for (const wrong of [-1, ffn]) {
      t.throws(() => apply(new Int32Array(ffn).fill(wrong)), refused);
    }
    t.throws(() => apply(null, matrix(width - 1)), refused);
    const { ends } = session;
    const narrow = matrix(width - 1);
    t.throws(() => native.score(engine, ends, narrow, new Int32Array(TOKENS).fill(-1)), refused);
    t.throws(() => native.logits(engine, ends, narrow, 0, 1), refused);
  }),
);

test(
  'a refit or a solver of another shape than the block',
  withBlock(async ({ t, session, engine, block, matrix }) => {
    const { hidden: width } = session.architecture;
    const [inputs, targets] = [matrix(width), matrix(width)];
    const values = Float32Array.from({ length: TOKENS * width }, (_, i) => Math.sin(i));
    native.setMatrixRows(engine, inputs, 0, values);
    const solver = await native.createGaussNewton(
      engine,
      block,
      'ffn',
      inputs,
      targets,
      0.01,
      false,
    );
    const { sums } = loadFixture('columns');
    const small = await (await makeSolver(sums)).refit(new Uint8Array(sums.in).fill(1));
    const linearise = (refit: NativeRefit) =>
      native.linearise(engine, solver, block, 'ffn', refit, TOKENS, 0);
    await t.throwsAsync(linearise(small), { ...refused, message: /another shape/ });
    t.throws(() => linearise({} as NativeRefit), refused);

    const half = Int32Array.from({ length: 8 }, (_, i) => i);
    for (const role of ['ffn.gate', 'ffn.up'] as const) {
      await native.sliceBlock(engine, block, role, 0, half);
    }
    await native.sliceBlock(engine, block, 'ffn.out', 1, half);
    native.resizeSite(block, 'ffn', half.length);
    await t.throwsAsync(native.moveAlong(engine, solver, block, 'ffn', false), refused);
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
