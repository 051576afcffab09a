import { stat, statfs } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { type Engine, roomWithoutLimit } from '../../engine/engine';
import { type ErrorCode, StruPruneError } from '../../errors';
import { MIB, wholeMebibytes } from '../../numbers';
import type { Settings } from '../../options';
import { journalFolder } from '../../pruning/journal/folder';
import { type PlanInput, planRun, type RunPlan, smallestMemory } from './plan';

/**
 * The run's plan, under the engine's budget. Without a budget what is meant for scratch stays in memory as far as half of
 * the memory that is free now goes.
 * @throws StruPruneError ERR_BUDGET when the budget cannot do, naming the smallest that can; ERR_SCRATCH when the disk of
 *   the scratch folder is too small
 */
export async function requireRoom(
  input: PlanInput,
  { scratch }: Pick<Settings, 'scratch'>,
  engine: Engine,
): Promise<RunPlan> {
  const limit = engine.budget;
  const plan = planRun(input, limit);
  if (limit !== 0 && plan.memory > limit) {
    const largest = Math.max(...plan.stages.map(({ memory }) => memory));
    const { stage } = plan.stages.find(({ memory }) => memory === largest)!;
    throw new StruPruneError(
      'ERR_BUDGET',
      `${stage} needs ${wholeMebibytes(plan.memory)} MiB, the budget is ${Math.floor(limit / MIB)} MiB`,
      `raise --memory to ${wholeMebibytes(smallestMemory(input))}MiB or more, ${wayToLess(input, limit)}`,
    );
  }
  const room = limit || Math.max(plan.memory, roomWithoutLimit());
  engine.expect({ room: room - plan.reserve, memory: plan.memory - plan.reserve });
  await requireFolder(scratch);
  await requireSpace('ERR_SCRATCH', 'scratch files', scratch, plan.scratch, '--scratch');
  return plan;
}

function wayToLess(input: PlanInput, limit: number): string {
  const refit = { ...input.refit, inputs: { by: 'none' } } as const;
  // On a GPU the plan of another solver may have troubles of its own.
  const fits = input.engine.device === 'cpu' && smallestMemory({ ...input, refit }) <= limit;
  return fits ? 'or choose --ffn-solver output' : 'or give fewer --threads';
}

/** `held`: bytes that a journal that is gone on with has taken of the disk already. @throws StruPruneError ERR_OUTPUT */
export function requireOutputSpace(
  { disk }: RunPlan,
  { output }: Pick<Settings, 'output'>,
  held: number,
): Promise<void> {
  const beside = dirname(journalFolder(output));
  return requireSpace('ERR_OUTPUT', 'the output and its journal', beside, disk - held, '--output');
}

/** Of the file that a survey is kept in. @throws StruPruneError ERR_OUTPUT */
export function requireSurveySpace({ disk }: RunPlan, file: string): Promise<void> {
  const folder = dirname(resolve(file));
  return requireSpace('ERR_OUTPUT', 'the survey', folder, disk, '--save-calibration');
}

/** @throws StruPruneError ERR_SCRATCH */
export async function requireFolder(scratch: string): Promise<void> {
  const found = await stat(scratch).catch(() => null);
  if (found?.isDirectory()) return;
  throw new StruPruneError(
    'ERR_SCRATCH',
    `there is no folder ${scratch} for scratch files`,
    'create it, or name another with --scratch',
  );
}

async function requireSpace(
  code: ErrorCode,
  what: string,
  folder: string,
  needed: number,
  flag: string,
): Promise<void> {
  // A file system that does not say is found out by using it.
  const space = await statfs(folder).catch(() => null);
  const free = space && space.bavail * space.bsize;
  if (free === null || needed <= free) return;
  throw new StruPruneError(
    code,
    `${what} need up to ${wholeMebibytes(needed)} MiB, ${folder} has ${wholeMebibytes(free)} MiB free: the disk is full`,
    `free some space, or name another folder with ${flag}`,
  );
}
