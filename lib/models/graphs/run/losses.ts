/** How far a network's outputs are from the dense one's. */
import { StruPruneError } from '../../../errors';
import type { NodeProto } from '../onnx/onnx_pb';
import type { Network } from '../relate';
import { type Activations, floatsOf } from './runtime';

/** KL(dense ‖ now) of probabilities or logits, in nats; 1 − cosine; ‖now − dense‖² ÷ ‖dense‖²; the caller's of all outputs. */
export type LossKind =
  | 'KL of probabilities'
  | 'KL of logits'
  | '1 - cosine'
  | 'relative error'
  | 'own';

/** The caller's, of what all outputs are for a batch. */
export type OwnCall = (dense: Activations, now: Activations) => number;

export interface OutputLoss {
  output: string;
  kind: LossKind;
}

/** Mean square of values that count as none: a sigmoid of onnxruntime's is exact to 1e-7. */
const NOISE = 1e-10;

/** By the op that makes an output, and by the output's name. States that the caller gives again are no answer. */
export function lossesOf({ graph, values, states }: Network, isOwn = false): OutputLoss[] {
  const computed = graph.output.filter(
    ({ name }) => !values.get(name)?.tensor && !states.has(name),
  );
  const makers = new Map(graph.node.flatMap((node) => node.output.map((made) => [made, node])));
  return computed.map(({ name }) => {
    return { output: name, kind: isOwn ? 'own' : kindOf(opBehind(name, makers), name) };
  });
}

/** Copies that are looked through: a file may have as many as it likes. */
const MOST_COPIES = 64;

/** What computes a value, copies left out. */
function opBehind(name: string, makers: ReadonlyMap<string, NodeProto>): string | undefined {
  let made = makers.get(name);
  for (let left = MOST_COPIES; left > 0; left--) {
    if (made?.opType !== 'Identity' && made?.opType !== 'Cast') break;
    made = makers.get(made.input[0]!);
  }
  return made?.opType;
}

function kindOf(opType: string | undefined, name: string): LossKind {
  if (opType === 'Softmax') return 'KL of probabilities';
  if (opType === 'LogSoftmax' || /logit/i.test(name)) return 'KL of logits';
  if (opType === 'LpNormalization' || /embed/i.test(name)) return '1 - cosine';
  return 'relative error';
}

/** Sums over batches. */
export class Losses {
  private readonly sums: { loss: number; rows: number; norm: number; same: number }[];

  private readonly gathered = new Map<number, Activations>();

  constructor(
    private readonly outputs: readonly OutputLoss[],
    private readonly own: OwnCall | null = null,
  ) {
    this.sums = outputs.map(() => ({ loss: 0, rows: 0, norm: 0, same: 0 }));
  }

  get names(): string[] {
    return this.outputs.map(({ output }) => output);
  }

  /** Of a batch, whose outputs may come one by one. */
  add(dense: Activations, now: Activations, batch = 0): void {
    if (this.own) this.addOwn(this.own, dense, now, batch);
    else this.addEach(dense, now);
  }

  /** Once all outputs of the batch are there. @throws StruPruneError ERR_ARGUMENT; what the caller's function throws */
  private addOwn(own: OwnCall, dense: Activations, now: Activations, batch: number): void {
    const all = { ...this.gathered.get(batch), ...now };
    this.gathered.set(batch, all);
    if (!this.outputs.every(({ output }) => output in all)) return;
    this.gathered.delete(batch);
    const loss = own(dense, all);
    if (typeof loss !== 'number' || !(loss >= 0 && loss < Number.POSITIVE_INFINITY)) {
      const found = `the own loss is ${String(loss)} on a batch`;
      throw new StruPruneError('ERR_ARGUMENT', found, 'give a number of 0 or more');
    }
    const [first] = this.outputs;
    const rows = dense[first!.output]!.dims[0] ?? 1;
    this.sums[0]!.loss += rows * loss;
    this.sums[0]!.rows += rows;
  }

  private addEach(dense: Activations, now: Activations): void {
    this.outputs.forEach(({ output, kind }, i) => {
      const of = dense[output]!;
      const [a, b] = [of, now[output]].map((each) => each && floatsOf(each));
      const sum = this.sums[i]!;
      if (!(a && b)) return;
      const width = kind === 'relative error' ? a.length : (of.dims.at(-1) ?? 1);
      for (let at = 0; at < a.length; at += width) {
        const [p, q] = [a.subarray(at, at + width), b.subarray(at, at + width)];
        sum.rows++;
        if (kind === 'relative error') {
          sum.loss += p.reduce((all, value, j) => all + (value - q[j]!) ** 2, 0);
          sum.norm += dot(p, p) + NOISE * width;
        } else if (kind === '1 - cosine') sum.loss += 1 - cosine(p, q);
        else {
          sum.loss += divergence(logsOf(p, kind), logsOf(q, kind));
          sum.same += topOf(p) === topOf(q) ? 1 : 0;
        }
      }
    });
  }

  /** The mean over the outputs. */
  get mean(): number {
    if (this.own) return ratio(this.sums[0]!.loss, this.sums[0]!.rows);
    const losses = this.sums.map(({ loss, rows, norm }, i) =>
      this.outputs[i]!.kind === 'relative error' ? ratio(loss, norm) : ratio(loss, rows),
    );
    return ratio(
      losses.reduce((all, loss) => all + loss, 0),
      losses.length,
    );
  }

  /** Share of rows of probabilities or logits whose largest one is the dense network's; null without such an output. */
  get agreement(): number | null {
    const at = this.outputs.findIndex(({ kind }) => kind.startsWith('KL'));
    return at < 0 ? null : ratio(this.sums[at]!.same, this.sums[at]!.rows);
  }
}

/** Log-probabilities. */
function logsOf(values: Float32Array, kind: LossKind): Float64Array {
  if (kind === 'KL of probabilities') {
    return Float64Array.from(values, (value) => Math.log(Math.max(value, 1e-12)));
  }
  const most = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const sum = values.reduce((all, value) => all + Math.exp(value - most), 0);
  return Float64Array.from(values, (value) => value - most - Math.log(sum));
}

/** In its form for sums that are not 1, as those of probabilities of 32 bits: what they were rounded by stays of second order. */
function divergence(p: Float64Array, q: Float64Array): number {
  return p.reduce((sum, log, i) => sum + Math.exp(log) * (log - q[i]! - 1) + Math.exp(q[i]!), 0);
}

function cosine(a: Float32Array, b: Float32Array): number {
  const norms = Math.sqrt(dot(a, a) * dot(b, b));
  return norms === 0 ? 1 : dot(a, b) / norms;
}

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}

function topOf(values: Float32Array): number {
  return values.reduce((top, value, i) => (value > values[top]! ? i : top), 0);
}

function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}
