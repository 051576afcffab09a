/** Time of a token by the widths of a model. */
import type { BenchLatency } from '../../documents/bench';
import { latencyRows } from '../../documents/latency-rows';
import { counted } from '../../numbers';
import type { Html } from '../html';
import { grouped, short, times } from '../numbers';
import { number, table } from '../table';

export function latencyTable(latency: BenchLatency): Html {
  const { runtime, dtype, threads, promptTokens, generatedTokens, repeats } = latency;
  return table({
    id: 'latency-rows',
    caption: `Milliseconds a token of ${promptTokens} prompt and ${generatedTokens} generated tokens in ${runtime}, ${dtype}, ${counted(threads, 'thread')}, with so many units of one site in every block, and how many times as fast as the dense model that is: the fastest of ${counted(repeats, 'round')} in which both took turns.`,
    head: ['site', 'units', 'of', 'prompt', 'faster', 'generation', 'faster'],
    rows: latencyRows(latency).map((row) => [
      row.site,
      number(row.units, grouped),
      number(row.of, grouped),
      number(row.prompt, short),
      number(row.promptFaster, times),
      number(row.generation, short),
      number(row.generationFaster, times),
    ]),
  });
}
