import { counted, duration, grouped, mebibytes, wholeMebibytes } from '../../numbers';
import type { Plan, RanksPlan } from '../../plan';
import { table } from './table';

/** A plan for people. */
export function planReport(plan: Plan): string {
  const rows = plan.stages.map(({ stage, memory, scratch, flops, seconds, paged }) => [
    stage,
    mebibytes(memory),
    mebibytes(scratch),
    grouped(Math.round((flops.single + flops.searching + flops.double) / 1e9)),
    duration(seconds),
    paged.join(', ') || '-',
  ]);
  const head = ['stage', 'memory', 'scratch', 'Gflop', 'about', 'in scratch files'];
  return [
    table([head, ...rows], ['left', 'right', 'right', 'right', 'right', 'left']),
    '',
    `output: ${plan.format === 'gguf' ? 'a GGUF file' : 'a Hugging Face folder'} in ${plan.dtype}`,
    ...(plan.assumedSparsity === null
      ? []
      : ['planned for nothing removed, which takes the most: no target was given']),
    ...plan.notes.map((note) => `note: ${note}`),
    `${grouped(plan.parameters)} parameters in ${counted(plan.blocks, 'block')}`,
    `memory: ${mebibytes(plan.memory)}, of which ${mebibytes(plan.reserve)} outside the native code of the stages; the smallest --memory that suffices: ${wholeMebibytes(plan.smallestMemory)}MiB`,
    ...(plan.device
      ? [`memory of the GPU: ${mebibytes(plan.device.memory)}${passes(plan.device)}`]
      : []),
    `scratch: ${mebibytes(plan.scratch)}; on the disk of the output, until it is finished: up to ${mebibytes(plan.disk)}`,
    `time: about ${duration(plan.seconds)}, at the ${plan.calibrationRate.toFixed(0)} GFLOP/s that were measured now` +
      (plan.device ? ' on the CPU; what the GPU takes over is faster' : ''),
    ...(plan.ranks ? [ranksText(plan.ranks)] : []),
    `by effort: ${effortsText(plan.efforts)}`,
  ].join('\n');
}

function ranksText({ count, survey, solve, sharesTokens, network, seconds, sent }: RanksPlan) {
  const most = mebibytes(Math.max(...sent));
  const trials = `the survey, whose trials they share, ${duration(survey)}`;
  const alone = `the solve, which rank 0 does alone since sums would take longer over such a network, ${duration(solve)}`;
  const shared = `the solve, whose tokens they share, ${duration(solve)}`;
  const sums =
    network === null
      ? `. To this comes what the network takes for up to ${most} that a rank sends (--network)`
      : `, and the network for up to ${most} that a rank sends ${duration(network)}`;
  const parts = sharesTokens ? `${trials}, ${shared}${sums}` : `${trials}, and ${alone}`;
  return `with ${count} ranks on machines like this one: about ${duration(seconds)}, of which ${parts}. Memory and scratch below the table are those of the rank that needs most`;
}

/** `about 24:00 on this machine; --effort quick: about 2:10`. */
export function expectedTime({ seconds, efforts }: Pick<Plan, 'seconds' | 'efforts'>): string {
  const { quick } = efforts;
  const other = quick < seconds ? `; --effort quick: about ${duration(quick)}` : '';
  return `about ${duration(seconds)} on this machine${other}`;
}

/** `quick 2:10, balanced 24:00, best 51:00`. */
function effortsText(efforts: Plan['efforts']): string {
  return Object.entries(efforts)
    .map(([effort, seconds]) => `${effort} ${duration(seconds)}`)
    .join(', ');
}

/** Of the tokens, for the largest sums. */
function passes({ passes: count }: { passes: number }): string {
  return count === 1
    ? ''
    : `, with ${count} passes over the tokens; with more memory there are fewer`;
}
