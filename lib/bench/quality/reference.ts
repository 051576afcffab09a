/** The dense model's last hidden states on the evaluation texts, to which every pruned model is compared. */

import type { BenchOnText } from '../../documents/bench';
import { compareHeads } from '../../engine/ends';
import type { Engine } from '../../engine/engine';
import type { Matrix } from '../../engine/matrix';
import { orDispose, using } from '../../engine/owned';
import { AS_IS, nextTokens, Session } from '../../engine/session';
import { meanOfTokens } from '../../engine/token-values';
import { comparedOf, meansOf } from '../../measure/against';
import type { ModelSource } from '../../model/architecture';
import { type OnStage, stageReporter } from '../../progress';
import type { TokenisedText } from './texts';

export interface DensePerplexity {
  text: string;
  perplexity: number;
  meanNll: number;
}

/** Hidden states stay in scratch until dispose(): a row's probabilities cost one more pass through the head. */
export class Reference {
  readonly #session: Session;
  readonly #scratch: string;
  readonly #texts: { text: TokenisedText; hidden: Matrix }[] = [];

  private constructor(session: Session, scratch: string) {
    this.#session = session;
    this.#scratch = scratch;
  }

  static async make(
    engine: Engine,
    source: ModelSource,
    texts: readonly TokenisedText[],
    scratch: string,
    onProgress?: OnStage,
  ): Promise<Reference> {
    const reference = new Reference(new Session(engine, source, AS_IS, scratch), scratch);
    try {
      for (const text of texts) {
        const hidden = await lastStates(reference.#session, text, scratch, onProgress);
        reference.#texts.push({ text, hidden });
      }
      return reference;
    } catch (error) {
      reference.dispose();
      throw error;
    }
  }

  async perplexities(): Promise<DensePerplexity[]> {
    const found: DensePerplexity[] = [];
    for (const { text, hidden } of this.#texts) {
      const { nll } = await this.#session.score(hidden, targetsOf(text));
      const meanNll = meanOfTokens([nll], text.about.window);
      found.push({ text: text.about.name, perplexity: Math.exp(meanNll), meanNll });
    }
    return found;
  }

  /** An opened checkpoint against the dense model, on all texts. */
  async compare(source: ModelSource, onProgress?: OnStage): Promise<BenchOnText[]> {
    const { engine } = this.#session;
    const session = new Session(engine, source, AS_IS, this.#scratch);
    try {
      const found: BenchOnText[] = [];
      for (const { text, hidden: dense } of this.#texts) {
        const states = await lastStates(session, text, this.#scratch, onProgress);
        const targets = targetsOf(text);
        const compared = await using(states, (hidden) =>
          compareHeads(
            { ends: this.#session.ends, hidden: dense, row: 0 },
            { ends: session.ends, hidden, row: 0 },
            targets,
          ),
        );
        const { window } = text.about;
        const meanNll = meanOfTokens([compared.nll], window);
        found.push({
          text: text.about.name,
          perplexity: Math.exp(meanNll),
          meanNll,
          ...meansOf([comparedOf(compared, targets)], window),
        });
      }
      return found;
    } finally {
      session.dispose();
    }
  }

  dispose(): void {
    for (const { hidden } of this.#texts) hidden[Symbol.dispose]();
    this.#session.dispose();
  }
}

function targetsOf({ ids, about }: TokenisedText): Int32Array {
  return nextTokens(ids, about.window);
}

/** The caller disposes of it. */
async function lastStates(
  session: Session,
  { ids, about }: TokenisedText,
  scratch: string,
  onProgress: OnStage | undefined,
): Promise<Matrix> {
  const total = session.architecture.blocks.length;
  const report = stageReporter(onProgress, 'evaluate', total);
  const hidden = await session.embed(ids, about.window, 'measuring', scratch);
  await orDispose(hidden, () =>
    session.forward(hidden, about.window, 'measuring', (index) =>
      report(index + 1, `${about.name}, block ${index + 1} of ${total}`),
    ),
  );
  return hidden;
}
