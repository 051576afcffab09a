/**
 * A pass over tokens that ranks share (docs/decisions/0060). Rank 0 tells the others of each call, and all of them make it: their sums
 * become those of all tokens where native code joins them. What rank 0 chooses by the sums is told too.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Team } from '../../engine/team';
import { StruPruneError } from '../../errors';
import type { Dtype } from '../../model/architecture';
import { fitOf } from '../../solver/fit';
import { type Layer, maskOf } from '../../spec/widths';
import type {
  Chosen,
  Fit,
  Part,
  PartContent,
  PartRecord,
  Pass,
  Shrunk,
  Solving,
  Sums,
} from '../front-end';

type PassOrder =
  | { call: 'open'; index: number }
  | { call: 'replay'; index: number; record: PartRecord; solved: number[] }
  | { call: 'end' };

/** `at`: place among the layers. */
type PartOrder =
  | { call: 'leave' | 'drop' | 'shrink'; at: number }
  | { call: 'cut'; at: number; chosen: Chosen }
  | { call: 'finish' };

/** Of a choice: a trial without those experts, or what was chosen, without its refit. */
type ChoiceOrder =
  | { call: 'trial'; gone: Int32Array }
  | { call: 'chosen'; chosen: Chosen; refits: boolean };

/** Whether the ranks share the tokens of a solve. Fisher metrics are with rank 0 alone. */
export function sharesTokens(
  { team, device }: { team: Pick<Team, 'size'>; device: string },
  { gather, metrics, idle }: Pick<Solving, 'gather' | 'idle'> & { metrics: unknown },
): boolean {
  const several = team.size > 1 && device === 'cpu';
  return several && !idle && gather.statistics !== 'none' && !metrics;
}

/** Rank 0's. */
export class LeadingPass implements Pass {
  readonly #pass: Pass;
  readonly #team: Team;
  readonly #layers: readonly Layer[];

  constructor(pass: Pass, team: Team, layers: readonly Layer[]) {
    this.#pass = pass;
    this.#team = team;
    this.#layers = layers;
  }

  async open(index: number): Promise<Part> {
    await this.#ask({ call: 'open', index });
    return new LeadingPart(await this.#pass.open(index), this.#team, this.#layers);
  }

  async replay(index: number, record: PartRecord, solved: readonly Layer[]): Promise<void> {
    const { keep, roles } = record;
    const places = solved.map((layer) => this.#layers.indexOf(layer));
    await this.#ask({ call: 'replay', index, record: { keep, roles }, solved: places });
    await this.#pass.replay(index, record, solved);
  }

  async measure(): Promise<number> {
    await this.#ask({ call: 'end' });
    return this.#pass.measure();
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#pass[Symbol.asyncDispose]();
  }

  #ask(order: PassOrder): Promise<void> {
    return this.#team.ask(order);
  }
}

class LeadingPart implements Part {
  readonly #part: Part;
  readonly #team: Team;
  readonly #layers: readonly Layer[];

  constructor(part: Part, team: Team, layers: readonly Layer[]) {
    this.#part = part;
    this.#team = team;
    this.#layers = layers;
  }

  async leave(layer: Layer): Promise<void> {
    await this.#ask({ call: 'leave', at: this.#layers.indexOf(layer) });
    await this.#part.leave(layer);
  }

  async drop(layer: Layer): Promise<void> {
    await this.#ask({ call: 'drop', at: this.#layers.indexOf(layer) });
    await this.#part.drop!(layer);
  }

  async cut(layer: Layer, chosen: Chosen): Promise<void> {
    await this.#ask({ call: 'cut', at: this.#layers.indexOf(layer), chosen: plain(chosen) });
    await this.#part.cut(layer, chosen);
  }

  async shrink<C extends Chosen>(
    layer: Layer,
    choose: (sums: Sums) => Promise<C>,
  ): Promise<Shrunk<C>> {
    await this.#ask({ call: 'shrink', at: this.#layers.indexOf(layer) });
    const shrunk = await this.#part.shrink(layer, async (sums) => {
      const chosen = await choose(this.#told(sums));
      await this.#tell({ call: 'chosen', chosen: plain(chosen), refits: chosen.refit !== null });
      return chosen;
    });
    await requireSameFit(this.#team, layer, shrunk.fit);
    return shrunk;
  }

  async finish(): Promise<PartContent> {
    await this.#ask({ call: 'finish' });
    return this.#part.finish();
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#part[Symbol.asyncDispose]();
  }

  /** Trials are passes of all ranks. */
  #told(sums: Sums): Sums {
    if (sums.by !== 'trials') return sums;
    const { by, trial } = sums;
    return {
      by,
      trial: async (gone) => {
        await this.#tell({ call: 'trial', gone });
        return trial(gone);
      },
    };
  }

  #ask(order: PartOrder): Promise<void> {
    return this.#team.ask(order);
  }

  #tell(order: ChoiceOrder): Promise<void> {
    return this.#team.ask(order);
  }
}

/** What the others know of a pass of rank 0's. */
export interface Following {
  team: Team;
  layers: readonly Layer[];
  /** Whether maps are refitted to what is chosen. */
  exact: boolean;
  stored: Dtype;
}

/** What they do of it. */
export async function followPass(pass: Pass, following: Following): Promise<void> {
  const { team, layers } = following;
  for (;;) {
    const order = await team.next<PassOrder>();
    if (order.call === 'end') return;
    if (order.call === 'open') {
      await using part = await pass.open(order.index);
      await followPart(part, following);
    } else {
      const solved = order.solved.map((at) => layers[at]!);
      await pass.replay(order.index, order.record, solved);
    }
  }
}

async function followPart(part: Part, following: Following): Promise<void> {
  const { team, layers } = following;
  for (;;) {
    const order = await team.next<PartOrder>();
    if (order.call === 'finish') {
      await part.finish();
      return;
    }
    const layer = layers[order.at]!;
    if (order.call === 'cut') await part.cut(layer, order.chosen);
    else if (order.call === 'leave') await part.leave(layer);
    else if (order.call === 'drop') await part.drop!(layer);
    else {
      const { fit } = await part.shrink(layer, (sums) => chosenByTeam(following, layer, sums));
      await requireSameFit(team, layer, fit);
    }
  }
}

/** What rank 0 has chosen, with this rank's own refit. */
async function chosenByTeam(
  { team, exact, stored }: Following,
  { groups }: Layer,
  sums: Sums,
): Promise<Chosen> {
  for (;;) {
    const order = await team.next<ChoiceOrder>();
    if (order.call === 'trial') {
      if (sums.by === 'trials') await sums.trial(order.gone);
      continue;
    }
    const { chosen, refits } = order;
    if (!refits || sums.by !== 'gram') return chosen;
    const { kept, bias } = chosen;
    const refit = await fitOf(sums.solver, maskOf(kept, groups), { exact, bias, stored });
    return { ...chosen, refit };
  }
}

function plain({ kept, bias, means }: Chosen): Chosen {
  return { kept, bias, means, refit: null };
}

/**
 * From the same sums all ranks have to come to the same refit.
 * @throws StruPruneError ERR_ARGUMENT, on every rank, where they do not
 */
async function requireSameFit(team: Team, { block, site }: Layer, fit: Fit | null): Promise<void> {
  const fits = await team.gather(fit);
  const other = fits.findIndex((one) => !isDeepStrictEqual(one, fits[0]));
  if (other === -1) return;
  throw new StruPruneError(
    'ERR_ARGUMENT',
    `rank ${other} solved block ${block}, ${site}, otherwise than rank 0`,
    'start all ranks on machines of one kind, with the same libraries',
  );
}
