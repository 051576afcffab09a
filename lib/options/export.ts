/** The options of exportModel(). */
import { declare, like } from './option';
import { OUTPUT } from './output';

export const EXPORT = declare(
  { group: 'Output' },
  {
    output: OUTPUT.output,
    format: like(OUTPUT.format, { otherwise: OUTPUT.format.otherwise }),
    dtype: like(OUTPUT.dtype, {
      otherwise: "a .gguf file of a quantised source: as it is; else the source's own, or f16",
    }),
    force: like(OUTPUT.force, { help: 'replace an output that is there', default: false }),
    maxShardBytes: like(OUTPUT.maxShardBytes, { otherwise: OUTPUT.maxShardBytes.otherwise }),
  },
);
