/** Memory of a run over a graph: what its largest site takes beside onnxruntime, whose peak the dense network has shown. */
import type { Engine } from '../../../engine/engine';
import { native } from '../../../engine/native';
import { inTurn, type Needs, NOTHING, SolverNeedsOf, together } from '../../../engine/needs';
import { StruPruneError } from '../../../errors';
import { type MaskRecipe, stepsOf } from '../../../masks';
import { wholeMebibytes } from '../../../numbers';
import { columnsOf, type Reader } from './readers';
import { type PrunedSite, storedIn } from './sites';

/** Bytes for each weight here: as they are, refitted, among those of the map, and once more as bytes. */
const WEIGHT = 20;

/** Square matrices of doubles here where several readers are one problem: a reader's sums, those of all, and these as they are given. */
const JOINED_SQUARES = 3;

/** And with feedback: products with what has been lost. */
const FED_SQUARES = 5;

/** Those of what a reader reads beside the site, which is solved for first. */
const BESIDE_SQUARES = 4;

/** What onnxruntime takes of the same graph differs by 8 % from run to run: what is advised has room for that. */
const SPREAD = 1.1;

/** What sites are solved by. */
interface Solved {
  mask: MaskRecipe;
  /** With feedback. */
  isFed: boolean;
}

/**
 * Before the dense network runs: refuses where the largest site alone has no room. What onnxruntime takes comes on top of that.
 * @throws StruPruneError ERR_BUDGET
 */
export function requireSiteMemory(
  engine: Engine,
  sites: readonly PrunedSite[],
  solved: Solved,
): void {
  const { whole } = largestOf(engine, sites, solved);
  requireRoom(engine.budget, whole, 'largest site', ', before what onnxruntime takes');
}

/**
 * When it has run. Of the solver's matrices as many stay in memory as fit beside the rest, the others go to scratch.
 * @throws StruPruneError ERR_BUDGET
 */
export function requireMemory(engine: Engine, sites: readonly PrunedSite[], solved: Solved): void {
  const { budget } = engine;
  if (budget === 0) return;
  const { whole, here, paged } = largestOf(engine, sites, solved);
  requireRoom(budget, whole, 'largest site');
  engine.expect({ room: budget - native.peakRss() - here, memory: paged });
}

/** Bytes of the sites that take most: here, in the solver with its matrices in scratch files, and as a whole. */
function largestOf(engine: Engine, sites: readonly PrunedSite[], solved: Solved) {
  const ask = new SolverNeedsOf(engine, storedIn(sites), true);
  const most = (of: (site: PrunedSite) => number) => Math.max(0, ...sites.map(of));
  const paged = (site: PrunedSite) => nativeNeeds(ask, site, solved).memory;
  const here = (site: PrunedSite) => bytesHere(site, solved);
  return { whole: most((site) => paged(site) + here(site)), here: most(here), paged: most(paged) };
}

/**
 * `bytes`: of something beside what the process has taken so far; `but`: what is not among them.
 * @throws StruPruneError ERR_BUDGET
 */
export function requireRoom(memory: number, bytes: number, what: string, but = ''): void {
  const needed = native.peakRss() + bytes;
  if (memory === 0 || needed <= memory) return;
  const [needs, has] = [wholeMebibytes(needed), wholeMebibytes(memory)];
  throw new StruPruneError(
    'ERR_BUDGET',
    `the graph and its ${what} need ${needs} MiB${but}, the budget is ${has} MiB`,
    `raise --memory to ${wholeMebibytes(SPREAD * needed)}MiB${but && ' at least'}`,
  );
}

/** Columns that a reader reads, those beside the site among them. */
function widthOf(reader: Reader): number {
  return columnsOf(reader) + reader.beside.length * reader.kernel;
}

/** The site's sums and its solver, which is one problem of all readers. */
function nativeNeeds(ask: SolverNeedsOf, { readers }: PrunedSite, { mask, isFed }: Solved): Needs {
  const sum = (of: (reader: Reader) => number) =>
    readers.reduce((total, reader) => total + of(reader), 0);
  const sums = readers.map((reader) =>
    ask.statistics((isFed ? 2 : 1) * widthOf(reader), { gram: true }),
  );
  const problem = {
    inputs: sum(columnsOf),
    outputs: sum(({ out }) => out),
    group: 1,
    ...{ cross: isFed, fisher: false },
  };
  const alone = readers
    .filter((reader) => reader.beside.length > 0)
    .map((reader) => {
      const [inputs, outputs] = [widthOf(reader), columnsOf(reader) + reader.out];
      return { ...problem, inputs, outputs };
    });
  const steps = stepsOf(mask);
  return together(
    ...sums,
    ask.statistics(problem.inputs, { gram: true }),
    inTurn(
      ...[problem, ...alone].flatMap((each) => [
        ask.solver('createSolver', each),
        ask.refit(each, each.inputs),
      ]),
      ask.sweep(problem, problem.inputs),
      steps.includes('admm') ? ask.solver('admm', problem) : NOTHING,
      mask.swaps > 0 ? ask.swap(problem, problem.inputs) : NOTHING,
    ),
  );
}

function bytesHere({ readers, kernel }: PrunedSite, { isFed }: Solved): number {
  const columns = readers.reduce((sum, reader) => sum + columnsOf(reader), 0);
  const out = readers.reduce((sum, reader) => sum + reader.out, 0);
  const wide = readers.filter(({ beside }) => beside.length > 0).map(widthOf);
  const isJoined = readers.length > 1 || wide.length > 0 || kernel !== undefined;
  const squares = isFed ? FED_SQUARES : isJoined ? JOINED_SQUARES : 0;
  return (
    WEIGHT * out * columns +
    8 * (squares * columns ** 2 + BESIDE_SQUARES * Math.max(0, ...wide) ** 2)
  );
}
