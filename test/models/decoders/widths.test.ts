/** Which widths the output may have. */
import test from 'ava';
import { openCheckpoint } from '../../../lib/checkpoint/open';
import { settingsOf } from '../../../lib/options';
import { layersOf } from '../../../lib/spec/widths';
import { workspace } from '../../e2e/models';

const work = workspace();
test.after.always(() => work.remove());

const SETTINGS = settingsOf({
  output: 'o.gguf',
  calibration: 'c',
  sparsity: 0.5,
  scope: 'attention',
});

test("Q8_0 stores the output map's rows in blocks of 32, whatever a head's width is", async (t) => {
  const { architecture } = await openCheckpoint(work.model('llama2'));
  const rowsOf = (headDim: number, kvHeads: number) => {
    const blocks = [{ ffn: 64, heads: kvHeads, kvHeads }];
    const [layer] = layersOf({ ...architecture, headDim, blocks }, SETTINGS, 'Q8_0');
    return [...layer!.allowed].map((removed) => (kvHeads - removed) * headDim);
  };
  t.deepEqual(rowsOf(80, 6), [480, 320, 160]);
  t.deepEqual(rowsOf(48, 4), [192, 96]);
  t.deepEqual(rowsOf(100, 16), [1600, 800]);
  t.deepEqual(rowsOf(64, 3), [192, 128, 64]);
});
