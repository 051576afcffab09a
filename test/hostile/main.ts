/** npm run test:hostile -- [COUNT] [--from SEED] [--kinds KIND,…]: prints how the trials ended; exit code 1 where one failed. */
import { parseArgs } from 'node:util';
import { runTrials } from './run-trials';
import { KINDS, type Kind } from './trials';

const DEFAULT_COUNT = '100000';

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      from: { type: 'string', default: '0' },
      kinds: { type: 'string', default: KINDS.join(',') },
    },
  });
  const kinds = values.kinds.split(',') as Kind[];
  const { faults, ended } = await runTrials(Number(positionals[0] ?? DEFAULT_COUNT), {
    from: Number(values.from),
    kinds,
  });
  for (const { kind, seed, what, fault } of faults)
    console.log(`${kind} ${seed}: ${what}\n  ${fault}`);
  console.log(ended);
  process.exitCode = faults.length > 0 ? 1 : 0;
}

main();
