/** How blocks of billions of weights are streamed within 1.5 GiB: the figures of docs/benchmarks.md. */
import test from 'ava';
import { Engine } from '../../lib/engine/engine';
import { native } from '../../lib/engine/native';
import type { BlockSpec } from '../../lib/engine/native-block';
import { type FeedForwardSpec, type NormSpec, unitsOf } from '../../lib/model/sublayers';
import { emulatedLibrary } from './emulation';
import { fakeDriver } from './fake-driver';

/** An attention of 32 heads and an FFN. */
function block(norm: NormSpec, ffn: Omit<FeedForwardSpec, 'kind' | 'clamp'>): BlockSpec {
  const biases = { in: false, out: false };
  const common = { norm, streamNorm: null, outNorm: null, biases, input: null };
  const heads = {
    ...{ kvHeads: 32, queries: 1, headDim: 128, rope: null, slidingWindow: 0 },
    ...{
      headNorm: null,
      normJoinsHeads: false,
      scale: null,
      cap: null,
      sinks: false,
      gated: false,
    },
  };
  return {
    hidden: 4096,
    sublayers: [
      { name: 'attention', mixer: { kind: 'attention', ...heads }, ...common },
      { name: 'ffn', mixer: { kind: 'ffn', ...ffn, clamp: null }, ...common },
    ],
    index: 0,
  };
}

const OPT = block({ kind: 'layer', eps: 1e-5 }, { width: 16384, activation: 'relu', gated: false });
const LLAMA = block({ kind: 'rms', eps: 1e-5 }, { width: 11008, activation: 'silu', gated: true });

/** Passes over the tokens. */
const CASES = [
  { name: 'OPT-6.7B', spec: OPT, inputs: 4097, site: [16, 8, 16], refit: 8, hidden: 8 },
  { name: 'Llama 7B', spec: LLAMA, inputs: 4096, site: [4, 4, 8], refit: 8, hidden: 4 },
];

test('passes over the tokens within 1.5 GiB', async (t) => {
  const memory = { STRUPRUNE_EMULATED_MEMORY: String(2 * 2 ** 30) };
  Object.assign(process.env, await fakeDriver(t, {}), emulatedLibrary(), memory);
  const engine = new Engine({ device: 'cuda:0', deviceMemory: 1536 * 2 ** 20, threads: 1 });
  await engine.run(undefined, async () => {
    const { handle } = engine;
    for (const { name, spec: block, inputs, site, refit, hidden } of CASES) {
      const passes = (at: 'attention' | 'ffn', window: number, more: object) =>
        native.needsOf(handle, 'runSite', {
          ...{ block, site: at, tokens: { rows: 65_536, window, paged: true }, paged: true },
          ...{ collects: true, gram: true, feedback: true, keeps: false, inputs: 0 },
          ...more,
        }).passes;
      t.is(passes('attention', 1024, {}), 1, name);
      const asked = [{}, { feedback: false }, { inputs }];
      t.deepEqual(
        asked.map((more) => passes('ffn', 1024, more)),
        site,
        name,
      );
      if (block === OPT) {
        t.is(passes('ffn', 2048, {}), 16);
        t.is(passes('ffn', 2048, { inputs }), 32);
      }
      const tokens = { rows: 65_536, window: 1024, paged: true };
      const common = { taken: 32_768, rounds: 1, stored: 'F16', paged: true } as const;
      const channels = unitsOf(block.sublayers[1]!);
      const of = { block, site: 'ffn' as const, channels, inputs, tokens, ...common };
      t.is(native.needsOf(handle, 'gaussNewton', { ...of, steps: 2 }).passes, refit, name);
      // Of its passes over the tokens the hidden activations are the GPU's.
      t.is(native.needsOf(handle, 'auxiliary', of).passes, hidden, name);
    }
  });
  await engine.dispose();
});
