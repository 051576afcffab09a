// npm run measure -- gpu masks|prune MODEL [TOKENS], or gpu shape [BLOCKS] [TOKENS]: a GPU beside the CPU. Prints a
// line of JSON for every site or run. STRUPRUNE_DEVICE names another GPU than cuda:0.
//   masks  Both solve every site on the CPU's hidden states: do they remove the same groups? Exit code 1 where groups
//          differ whose costs are further apart than TIES.
//   prune  The whole prune on either: perplexity (exit code 1 where it is further apart than PERPLEXITY) and seconds.
//   shape  A prune of random weights of Llama 7B's shape, with BLOCKS of its 32 blocks: where the time goes.
// Needs nothing but dist/, build/Release, assets/, node_modules/ and scripts/: `node scripts/measure/gpu.js …` on a
// machine that has only these.
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { performance } = require('node:perf_hooks');
const { at } = require('../lib/paths.js');
const { native, watch } = require('./watch.js');
const library = require(at('dist', 'lib', 'index.js'));
/** Modules that are no part of the API. */
const inside = (name) => require(at('dist', 'lib', name));

const TIES = 1e-4;
const PERPLEXITY = 0.005;
const SHARE = 0.3;
const [what, ...args] = process.argv.slice(2);
const device = process.env.STRUPRUNE_DEVICE ?? 'cuda:0';
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'struprune-gpu-'));
const text = (name) => at('assets', 'text', `${name}.txt`);
const print = (row) => console.log(JSON.stringify(row));
const rounded = (seconds) => Number(seconds.toFixed(3));

const onGpu = (more = {}) =>
  new library.Engine({ device, onNotice: (line) => process.stderr.write(`${line}\n`), ...more });

/** Sites of the dense model, of all groups that may go. */
async function masks(model, tokens = '8192') {
  const source = await inside('source').sourceOf(model);
  const settings = inside('options').settingsOf({
    output: path.join(folder, 'none'),
    calibration: text('calibration'),
    calibrationTokens: Number(tokens),
    tuneTokens: 0,
    sparsity: SHARE,
    scope: 'all',
    dtype: 'f32',
  });
  const { layers, window, output } = inside('spec').resolve(source, settings);
  const limits = { window, maxTokens: Number(tokens) };
  const { ids } = await inside('bench/quality/texts').tokenise(source, text('calibration'), limits);
  const { Session } = inside('engine/session');
  const cpu = new library.Engine({ device: 'cpu' });
  const gpu = onGpu();
  // An engine has its device from its first call on.
  await cpu.run(undefined, () =>
    gpu.run(undefined, async () => {
      const sides = [cpu, gpu].map((engine) => new Session(engine, source, output.stored));
      const states = await Promise.all(
        sides.map((session) => session.embed(ids, window, 'calibrating')),
      );
      for (let index = 0; index < source.architecture.blocks.length; index++) {
        const blocks = await Promise.all(sides.map((session) => session.loadBlock(index)));
        for (const site of blocks[0].sites) {
          await states[0].copyTo(states[1]);
          const layer = layers.find((one) => one.block === index && one.site === site);
          if (!layer) throw new Error(`block ${index} has no layer of ${site}`);
          const sweeps = [];
          const solvers = [];
          for (const [i, session] of sides.entries()) {
            const { solver, sweep } = await solve(
              session,
              blocks[i],
              layer,
              states[i],
              window,
              settings,
            );
            solvers.push(solver);
            sweeps.push(sweep);
          }
          await compare(layer, sweeps, solvers[0]);
          for (const solver of solvers) solver[Symbol.dispose]();
        }
        for (const block of blocks) block[Symbol.dispose]();
      }
    }),
  );
  await cpu.dispose();
  await gpu.dispose();
}

async function solve(session, block, layer, hidden, window, { lambda }) {
  const { Solver } = inside('engine/solver');
  const { site, groupSize: group, groups } = layer;
  const sums = session.statistics(inside('spec/widths').widthOf(layer), { gram: true });
  await session.advanceSite(block, site, hidden, window, 'calibrating', { statistics: sums });
  const sampled = { columns: sums.dim, tokens: sums.read().tokens };
  const ridge = inside('solver/ridge').ridgeOfLayer(lambda, sampled);
  const solver = await Solver.of(block, site, sums, { lambda: ridge, group, metric: null });
  sums[Symbol.dispose]();
  const sweep = await solver.sweep({ maxRemoved: Math.round(SHARE * groups) });
  return { solver, sweep };
}

/** Groups that only one of them removed, each with what its removal cost; the exact error of both masks. */
async function compare({ block, site, groups }, [here, there], solver) {
  const onlyIn = (one, other) =>
    [...one.order.entries()]
      .filter(([, group]) => !other.order.includes(group))
      .map(([i, group]) => ({ group, cost: one.cost[i] }))
      .sort((a, b) => a.cost - b.cost);
  const [mine, theirs] = [onlyIn(here, there), onlyIn(there, here)];
  const gaps = mine.map(({ cost }, i) => Math.abs(theirs[i].cost / cost - 1));
  const errors = [];
  for (const { order } of [here, there]) {
    const keep = new Uint8Array(groups).fill(1);
    for (const group of order) keep[group] = 0;
    const refit = await solver.refit(keep);
    errors.push(refit.error);
    refit[Symbol.dispose]();
  }
  const costGap = Math.max(0, ...gaps);
  if (costGap > TIES) process.exitCode = 1;
  print({
    block,
    site,
    groups,
    removed: here.order.length,
    different: mine.length,
    costGap,
    errorGap: Math.abs(errors[1] / errors[0] - 1),
    onlyOnCpu: mine,
    onlyOnGpu: theirs,
  });
}

async function prune(model, tokens = '16384') {
  const runs = [];
  for (const name of ['cpu', device]) {
    const start = performance.now();
    const result = await library.prune(model, {
      device: name,
      output: path.join(folder, name.replace(':', '-')),
      sparsity: 0.2,
      scope: 'all',
      ffnSolver: 'output', // on the CPU too
      calibration: text('calibration'),
      calibrationTokens: Number(tokens),
      tuneTokens: 0,
      eval: text('evaluation'),
      evalTokens: Number(tokens),
    });
    const { perplexityBefore, perplexityAfter, peakDeviceBytes } = result;
    const seconds = rounded((performance.now() - start) / 1000);
    runs.push({
      device: result.device,
      perplexityBefore,
      perplexityAfter,
      seconds,
      peakDeviceBytes,
    });
    print(runs.at(-1));
  }
  const change = runs[1].perplexityAfter / runs[0].perplexityAfter - 1;
  print({ change });
  if (!(Math.abs(change) < PERPLEXITY)) process.exitCode = 1;
}

const LLAMA_7B = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 4096,
  intermediate_size: 11008,
  num_attention_heads: 32,
  num_key_value_heads: 32,
  vocab_size: 32000,
  max_position_embeddings: 4096,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  hidden_act: 'silu',
  tie_word_embeddings: false,
  torch_dtype: 'float16',
};

/** STRUPRUNE_SHAPE: JSON that replaces parts of the configuration, to try the script on a small machine. */
async function shape(blocks = '32', tokens = '131072') {
  const model = path.join(folder, 'model');
  const changes = JSON.parse(process.env.STRUPRUNE_SHAPE ?? '{}');
  const config = { ...LLAMA_7B, num_hidden_layers: Number(blocks), ...changes };
  await inside('bench/memory/random-checkpoint').writeRandomCheckpoint(
    model,
    config,
    at('assets', 'tiny'),
  );
  const calls = new Map();
  watch((name) => {
    const start = performance.now();
    return () => calls.set(name, (calls.get(name) ?? 0) + (performance.now() - start) / 1000);
  });
  const engine = onGpu();
  const start = performance.now();
  const result = await library.prune(model, {
    engine,
    output: path.join(folder, 'out'),
    sparsity: 0.2,
    scope: 'all',
    calibration: text('calibration'),
    calibrationTokens: Number(tokens),
    tuneTokens: 0,
  });
  const seconds = (performance.now() - start) / 1000;
  const { host, copyIn, forward, sums, copyOut, algebra } = native.gpuTimesOf(engine.handle);
  const total = (chosen) =>
    [...calls].reduce((sum, [name, some]) => sum + (chosen(name) ? some : 0), 0);
  const share = (some) => Number((some / seconds).toFixed(4));
  print({
    device: result.device,
    blocks: config.num_hidden_layers,
    calibrationTokens: result.calibrationTokens,
    seconds: rounded(seconds),
    peakDeviceBytes: result.peakDeviceBytes,
    // Of the wall: copies on the host, and streams of the GPU, which work beside each other; the solve is the CPU's but for
    // the linear algebra that a GPU that is fast at doubles does.
    shares: {
      host: share(host),
      copy: share(copyIn + copyOut),
      forward: share(forward),
      gram: share(sums),
      solve: share(total((name) => name === 'createSolver' || name.startsWith('solver'))),
      algebra: share(algebra),
    },
    // Wall time of the native calls, of those on the GPU (runSite, score, expectHead, divergenceFrom, Gauss-Newton) too.
    calls: Object.fromEntries(
      [...calls].sort(([, a], [, b]) => b - a).map(([name, some]) => [name, rounded(some)]),
    ),
  });
  await engine.dispose();
}

const measures = { masks, prune, shape };
if (!(what in measures))
  throw new Error('usage: gpu masks|prune MODEL [TOKENS], or gpu shape [BLOCKS] [TOKENS]');
measures[what](...args).finally(() => fs.rmSync(folder, { recursive: true, force: true }));
