/** How blocks of billions of weights are streamed within 1.5 GiB: the figures of docs/benchmarks.md. */
import test from 'ava';
import { Engine } from '../../lib/engine/engine';
import { type BlockSpec, native } from '../../lib/engine/native';
import type { FeedForwardSpec, NormSpec } from '../../lib/model/sublayers';
import { emulatedLibrary } from './emulation';
import { fakeDriver } from './fake-driver';

/** An attention of 32 heads and an FFN. */
function block(norm: NormSpec, ffn: Omit<FeedForwardSpec, 'kind'>): BlockSpec {
  const common = { norm, streamNorm: null, biases: { in: false, out: false } };
  const heads = { kvHeads: 32, queries: 1, headDim: 128, rope: null, slidingWindow: 0 };
  return {
    hidden: 4096,
    sublayers: [
      { name: 'attention', mixer: { kind: 'attention', ...heads, headNorm: null }, ...common },
      { name: 'ffn', mixer: { kind: 'ffn', ...ffn }, ...common },
    ],
  };
}

const OPT = block({ kind: 'layer', eps: 1e-5 }, { width: 16384, activation: 'relu', gated: false });
const LLAMA = block({ kind: 'rms', eps: 1e-5 }, { width: 11008, activation: 'silu', gated: true });

/** Passes over the tokens. */
const CASES = [
  { name: 'OPT-6.7B', spec: OPT, inputs: 4097, site: [8, 4, 8], ffn: [4, 1, 4] },
  { name: 'Llama 7B', spec: LLAMA, inputs: 4096, site: [2, 2, 4], ffn: [4, 1, 2] },
];

test('passes over the tokens within 1.5 GiB', async (t) => {
  const memory = { STRUPRUNE_EMULATED_MEMORY: String(2 * 2 ** 30) };
  Object.assign(process.env, await fakeDriver(t, {}), emulatedLibrary(), memory);
  const engine = new Engine({ device: 'cuda:0', deviceMemory: 1536 * 2 ** 20, threads: 1 });
  await engine.run(undefined, async () => {
    for (const { name, spec, inputs, site, ffn } of CASES) {
      const passes = (at: 'attention' | 'ffn', window: number, more: object) =>
        native.planSite(engine.handle, spec, at, {
          ...{ window, page: 4096, collects: true, gram: true, feedback: true, inputs: false },
          ...more,
        }).passes;
      t.is(passes('attention', 1024, {}), 1, name);
      const asked = [{}, { feedback: false }, { inputs: true }];
      t.deepEqual(
        asked.map((more) => passes('ffn', 1024, more)),
        site,
        name,
      );
      if (spec === OPT) {
        t.is(passes('ffn', 2048, {}), 8);
        t.is(passes('ffn', 2048, { inputs: true }), 16);
      }
      t.deepEqual(
        (['gradient', 'product', 'hidden'] as const).map(
          (pass) => native.planFfn(engine.handle, spec, 'ffn', { pass, inputs, page: 2048 }).passes,
        ),
        ffn,
        name,
      );
    }
  });
  await engine.dispose();
});
