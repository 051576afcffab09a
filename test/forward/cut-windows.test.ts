/** Calibration windows that are cut into short sequences: each is read as if it stood alone, on the CPU and on the emulated GPU. */
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { cutTrial, cutWindows } from '../../lib/calibration/cut-windows';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { Engine } from '../../lib/engine/engine';
import type { EngineOptions } from '../../lib/engine/engine-options';
import { native } from '../../lib/engine/native';
import { Session } from '../../lib/engine/session';
import { emulatedLibrary } from '../gpu/emulation';
import { fakeDriver } from '../gpu/fake-driver';
import { MODELS } from '../model/fixture';

const WINDOW = 24;
const CUT = { every: 3, tokens: 8 };
const WINDOWS = 8;
const IDS = Int32Array.from({ length: WINDOWS * WINDOW }, (_, i) => (i * 37 + (i >> 3)) % 256);
const isCut = (window: number) => window % CUT.every === CUT.every - 1;

/** Rotary and learned positions, and mixers that see what came before. */
const NAMES = ['llama3', 'gpt2', 'gpt-neox', 'lfm2', 'qwen3.5', 'qwen3-moe', 'opt-pre'];

/** States behind the last block, `[tokens, hidden]`, and the number of columns. */
async function statesOf(
  name: string,
  options: EngineOptions,
  about: { ids: Int32Array; window: number; cut?: typeof CUT },
): Promise<{ values: Float32Array; cols: number }> {
  await using engine = new Engine(options);
  return engine.run(undefined, async () => {
    const session = new Session(engine, await openCheckpoint(join(MODELS, name)));
    const { ids, window, cut } = about;
    await using states = await session.embed(ids, window, 'measuring', '', cut);
    // Of a copy too.
    await using copy = session.matrix(states.rows, states.cols, states.pageRows);
    await states.copyTo(copy);
    await session.forward(copy, window, 'measuring');
    const { cols } = copy;
    const values = copy.read(0, copy.rows);
    if (options.device !== 'cpu') seconds = native.gpuTimesOf(engine.handle)!.forward;
    session.dispose();
    return { values, cols };
  });
}

/** At work on the GPU, of the last call there. */
let seconds = 0;

async function compare(t: ExecutionContext, name: string, options: EngineOptions) {
  const { values, cols } = await statesOf(name, options, { ids: IDS, window: WINDOW, cut: CUT });
  const long = await statesOf(name, options, { ids: IDS, window: WINDOW });
  const short = await statesOf(name, options, { ids: IDS, window: CUT.tokens });
  const row = (of: Float32Array, token: number) => of.subarray(token * cols, (token + 1) * cols);
  for (let token = 0; token < IDS.length; token++) {
    const from = isCut(Math.floor(token / WINDOW)) ? short : long;
    const wanted = row(from.values, token);
    const size = Math.hypot(...wanted);
    const apart = Math.hypot(...row(values, token).map((value, i) => value - wanted[i]!));
    t.true(apart <= 1e-5 * size, `${name}, token ${token}: ${apart} of ${size}`);
  }
  t.notDeepEqual(values, long.values);
}

for (const name of NAMES) {
  test(`${name}: a cut window is as many short ones`, (t) =>
    compare(t, name, { threads: 2, device: 'cpu' }));
}

test.serial('llama3 on the emulated GPU: a cut window is as many short ones', async (t) => {
  Object.assign(process.env, await fakeDriver(t, {}), emulatedLibrary());
  const deviceMemory = 64 * 2 ** 20;
  await compare(t, 'llama3', { threads: 1, device: 'cuda:0', deviceMemory, fullPrecision: true });
  t.true(seconds > 0);
});

test('which windows are cut', (t) => {
  t.deepEqual(cutWindows(64 * 1024, 1024), { every: 8, tokens: 16 });
  t.deepEqual(cutWindows(4 * 1000, 1000), { every: 4, tokens: 10 });
  t.is(cutWindows(3 * 1024, 1024), undefined, 'too few of them');
  t.is(cutWindows(64 * 64, 64), undefined, 'short as they are');
  // Trials of 1, 2, 3, 4, 6, 5 and 32 windows.
  const every = [1, 2, 3, 4, 6, 5, 32].map((windows) => cutTrial(windows * 128, 128)?.every);
  t.deepEqual(every, [undefined, 2, 3, 4, 3, undefined, 4]);
  t.is(cutTrial(4 * 64, 64), undefined);
});
