/**
 * Questions by log-likelihood, as lm-eval asks them: of several continuations the likeliest is the model's answer; of one, whether
 * the model would write it by itself.
 */
import { using } from '../engine/owned';
import type { Session } from '../engine/session';
import { heldPositions } from '../model/yarn';
import { type OnStage, stageReporter } from '../progress';
import type { AskedQuestion, Continuation } from '../tokenizer';
import { batchTokens, notFinite } from './perplexity';

/** A share of the questions, with its standard error as a mean over them (0 of a single one). */
export interface Share {
  share: number;
  standardError: number;
}

export interface TaskScores {
  /** Questions with choices: the likeliest one is right (lm-eval's acc), or that per character (acc_norm). null: none is there. */
  choices: { questions: number; accuracy: Share; accuracyNorm: Share } | null;
  /** Text that should follow, all tokens of which are the likeliest ones (lm-eval's is_greedy). null: none is there. */
  completions: { questions: number; exactMatch: Share } | null;
}

/** What a model makes of a continuation. */
export interface Likelihood {
  /** log p(continuation | prompt), nats. */
  logLikelihood: number;
  greedy: boolean;
}

/** @throws StruPruneError ERR_NAN, ERR_BUDGET, ERR_SCRATCH, ERR_ABORTED */
export async function scoreTasks(
  session: Session,
  questions: readonly AskedQuestion[],
  options: { scratch: string; onProgress?: OnStage },
): Promise<TaskScores> {
  const all = questions.flatMap(({ continuations }) => continuations);
  const found = await likelihoodsOf(session, all, options);
  const choices: { right: boolean; rightNorm: boolean }[] = [];
  const completions: boolean[] = [];
  for (const { answer, continuations } of questions) {
    const likelihoods = continuations.map((one) => found.get(one)!);
    if (answer === null) {
      completions.push(likelihoods[0]!.greedy);
      continue;
    }
    const each = likelihoods.map(({ logLikelihood }) => logLikelihood);
    const norm = each.map((value, i) => value / continuations[i]!.characters);
    choices.push({ right: largest(each) === answer, rightNorm: largest(norm) === answer });
  }
  return {
    choices:
      choices.length === 0
        ? null
        : {
            questions: choices.length,
            accuracy: shareOf(choices.map(({ right }) => right)),
            accuracyNorm: shareOf(choices.map(({ rightNorm }) => rightNorm)),
          },
    completions:
      completions.length === 0
        ? null
        : { questions: completions.length, exactMatch: shareOf(completions) },
  };
}

/** In batches of about one length: shorter ones are filled up behind their ends, where nothing looks back from. */
export async function likelihoodsOf(
  session: Session,
  continuations: readonly Continuation[],
  { scratch, onProgress }: { scratch: string; onProgress?: OnStage },
): Promise<Map<Continuation, Likelihood>> {
  const { architecture, engine } = session;
  const rows = continuations
    .map((of) => rowOf(of, heldPositions(architecture)))
    .toSorted((a, b) => b.inputs.length - a.inputs.length);
  const report = stageReporter(onProgress, 'evaluate', rows.length);
  const found = new Map<Continuation, Likelihood>();
  while (found.size < rows.length) {
    engine.throwIfAborted();
    const window = rows[found.size]!.inputs.length;
    const count = batchTokens(architecture, window, engine.device !== 'cpu') / window;
    const batch = rows.slice(found.size, found.size + count);
    const ids = new Int32Array(batch.length * window);
    const targets = new Int32Array(ids.length).fill(-1);
    for (const [i, { inputs, outputs }] of batch.entries()) {
      ids.set(inputs, i * window);
      targets.set(outputs, i * window + inputs.length - outputs.length);
    }
    const { nll, best } = await using(
      await session.embed(ids, window, 'measuring', scratch),
      async (hidden) => {
        await session.forward(hidden, window, 'measuring');
        return session.score(hidden, targets);
      },
    );
    for (const [i, { of, inputs, outputs }] of batch.entries()) {
      const last = i * window + inputs.length;
      const first = last - outputs.length;
      const logLikelihood = -nll.subarray(first, last).reduce((sum, value) => sum + value, 0);
      if (!Number.isFinite(logLikelihood)) throw notFinite('the answers');
      const greedy = outputs.every((id, k) => best[first + k] === id);
      found.set(of, { logLikelihood, greedy });
    }
    report(found.size, `${found.size} of ${rows.length} continuations`);
  }
  return found;
}

/** What goes in and what should come out at its end; where all is longer than the model can see, the prompt's beginning goes. */
function rowOf(of: Continuation, maxPositions: number) {
  const last = of.ids.slice(-(maxPositions + 1));
  const outputs = of.ids.slice(of.from).slice(-maxPositions);
  return { of, inputs: last.slice(0, -1), outputs };
}

/** The first of equals. */
function largest(values: readonly number[]): number {
  return values.indexOf(Math.max(...values));
}

function shareOf(right: readonly boolean[]): Share {
  const share = right.filter(Boolean).length / right.length;
  const standardError = Math.sqrt((share * (1 - share)) / Math.max(1, right.length - 1));
  return { share, standardError };
}
