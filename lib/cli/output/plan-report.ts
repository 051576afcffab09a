import { duration, grouped, mebibytes } from '../../numbers';
import type { Plan } from '../../plan';
import { table } from './table';

/** A plan for people. */
export function planReport(plan: Plan): string {
  const rows = plan.stages.map(({ stage, memory, scratch, flops, seconds, paged }) => [
    stage,
    mebibytes(memory),
    mebibytes(scratch),
    grouped(Math.round((flops.single + flops.double) / 1e9)),
    duration(seconds),
    paged.join(', ') || '-',
  ]);
  const head = ['stage', 'memory', 'scratch', 'Gflop', 'about', 'in scratch files'];
  return [
    table([head, ...rows], ['left', 'right', 'right', 'right', 'right', 'left']),
    '',
    `${grouped(plan.parameters)} parameters in ${plan.blocks} blocks`,
    `memory: ${mebibytes(plan.memory)}, of which ${mebibytes(plan.reserve)} beside the native side of the stages; the smallest that can do: --memory ${Math.ceil(plan.smallestMemory / 2 ** 20)}MiB`,
    ...(plan.fits ? [] : ['the given --memory cannot do: prune would refuse it']),
    ...(plan.device
      ? [`memory of the GPU: ${mebibytes(plan.device.memory)}${passes(plan.device)}`]
      : []),
    `scratch: ${mebibytes(plan.scratch)}; beside the output, for a while: up to ${mebibytes(plan.disk)}`,
    `time: about ${duration(plan.seconds)}, at ${plan.gemmRate.toFixed(0)} GFLOP/s as measured now` +
      (plan.device ? ' on the CPU; what the GPU takes over is faster' : ''),
  ].join('\n');
}

/** Of the tokens, for the largest Gram matrix. */
function passes({ passes: count }: { passes: number }): string {
  return count === 1
    ? ''
    : `, which takes ${count} passes over the tokens; more memory takes fewer`;
}
