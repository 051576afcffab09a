/**
 * What the stages know of a network: what may shrink, sums of what reads it, and what becomes of the network by a choice.
 * `decoders/` implements it for checkpoints of language models, `graphs/run/` for ONNX graphs.
 */
import type { Budget } from '../allocation';
import type { Matrix } from '../engine/matrix';
import type { RidgeReport } from '../engine/native-solver';
import type { Refit } from '../engine/refit';
import type { Solver } from '../engine/solver';
import type { ExpertTrial } from '../masks/experts';
import type { SiteStatistics } from '../masks/statistics';
import type { Dtype } from '../model/architecture';
import type { BlockKeep } from '../model/groups';
import type { Structure } from '../solver/structures/types';
import type { RunSpec } from '../spec';
import type { SurveySpec } from '../spec/survey';
import type { Layer } from '../spec/widths';
import type { TuneReport } from '../tuning/train';

/** A network as it is, with data to calibrate on. */
export interface Dense {
  /** What may shrink, in the order in which it is solved: those of a part (`block`) together. */
  readonly layers: readonly Layer[];
  /** What refitted weights are stored as. */
  readonly stored: Dtype;
  /** Data of a pass over at most `limit` rows: how many there are, and what sums over them depend on, in words. */
  sample(limit?: number): { rows: number; about: string };
  /** Column statistics of every layer's readers, in the order of the layers, as the survey asks for them. */
  columns(survey: SurveySpec): Promise<SiteStatistics[]>;
  /** Visits every layer once, in any order, with its sums over `surveyTokens` rows. */
  visit<Found>(
    survey: SurveySpec,
    visit: VisitSite<Found, DenseSite | OrderedSite>,
  ): Promise<Visited<Found>>;
  /**
   * Visits every layer of a part that has experts: those inside each, to which tokens are routed, and then the experts as wholes.
   * Gives `losses`, as of `Visited`. Left out where a network has none.
   */
  visitExperts?(survey: SurveySpec, visit: VisitExpertSite): Promise<Float64Array>;
}

export type VisitExpertSite = (at: number, site: ExpertSite) => Promise<void>;

/**
 * Sums of what reads the channels inside an expert; or trials without some experts, and, last of all, the squared error of the output
 * without some where the others are refitted, with which the network is tried out if layer weights are `probe`. For the time of a visit.
 */
export type ExpertSite =
  | { by: 'gram'; solver: Solver }
  | { by: 'trials'; trial: ExpertTrial; refitted(gone: Int32Array): Promise<number> };

/** `at`: place among the layers. What it finds is plain data, which may be another rank's. */
export type VisitSite<Found, Visits = DenseSite> = (at: number, site: Visits) => Promise<Found>;

/** A layer of the dense network; for the time of a visit. */
export interface DenseSite {
  solver: Solver;
  /** ‖h‖² of what the site's part adds to; 0 unless the layer weights are `residual`. */
  stream: number;
  /** Only where they are `probe`; null too where the price of an error follows from those of other layers. */
  tryOut: TryOut | null;
}

/** A layer whose units go in one order alone, the last ones first. */
export interface OrderedSite {
  /** `[allowed + 1]` squared error of what reads it without so many units, and the energy of what it gives with all. */
  errors: Float64Array;
  energy: number;
  ridge: RidgeReport;
  /** Runs the network with so many units of this layer alone gone. */
  tryOut(removed: number): Promise<void>;
}

/** Runs the network, now or later, with the layer at hand alone pruned. */
export type TryOut = (kept: Int32Array, refit: Refit) => Promise<void>;

export interface Visited<Found> {
  /** Of every layer. */
  found: Found[];
  /** `[layers]` what was lost by each that was tried out: of decoders in nats per token; NaN where it was not, else 0. */
  losses: Float64Array;
  /** A Fisher metric a layer, where `selection` asks for it: the receiver disposes of it. */
  metrics: Matrix | null;
}

export interface FrontEnd extends Dense {
  /** Parts that are solved, and kept by the journal, one after the other, and what one of them is called. */
  readonly parts: number;
  readonly part: 'block' | 'site';
  /** What has to go. */
  readonly budget: Budget;
  /** What a mask of the layer may look like. */
  structureOf(layer: Layer): Structure;
  /**
   * The network with so many groups less in every layer, before any mask is known.
   * @throws StruPruneError ERR_UNSUPPORTED where the output cannot hold it
   */
  shrink(removed: Int32Array): Shrinking;
  /**
   * What the network loses more without each layer as a whole, those of `gone` being gone so: of decoders in nats per token;
   * null where that may not go. Left out where nothing can go so.
   */
  withoutEach?(gone: readonly number[]): Promise<(number | null)[]>;
  /** Of maps that may become two; left out where there are none. */
  readonly inner?: Inner | undefined;
  /**
   * A trial of all layers at once: visits every layer once, in their order, with its sums over the survey's rows, and wants
   * its cuts. The losses are of rows that the sums have not, where there are enough. Left out where a network has none.
   */
  jointly?(joint: Joint): Promise<JointLosses>;
  /** Visits every layer once, in their order, with its sums over half of the survey's rows. Left out where a network cannot. */
  half?(half: Half): Promise<void>;
  /** Opens what was written and measures it as Pass.measure() does. */
  measure(path: string): Promise<number>;
}

/** `half`: of every two windows the first or the second. */
export interface Half {
  survey: SurveySpec;
  half: 0 | 1;
  visit(at: number, solver: Solver): Promise<void>;
  /** Behind every part. */
  onPart(index: number): void;
}

export interface Joint {
  survey: SurveySpec;
  /** How many there will be at most, the joint one among them. */
  networks: number;
  visit(at: number, site: JointSite): Promise<void>;
  /** Behind every part. */
  onPart(index: number): void;
}

/** A layer of the dense network; for the time of a visit. `null`: it stays whole. */
export interface JointSite {
  solver: Solver;
  /** In a network of its own from here on, which has all other layers as the joint one: before `joint`, if at all. */
  other(cut: Cut | null): Promise<void>;
  joint(cut: Cut | null): Promise<void>;
}

export interface Cut {
  /** Groups that stay, ascending. */
  kept: Int32Array;
  /** Of the map that reads them. */
  refit: Refit;
}

/** Of decoders in nats per token. */
export interface JointLosses {
  /** Of the network with the joint cuts. */
  loss: number;
  /** Of those that differ from it in a layer, by layer; NaN where there was none. */
  others: Float64Array;
}

/** Layers whose units are a size inside of a map, its rank or its kernel's: how much less it is by them depends on what else has gone. */
export interface Inner {
  /** Their places. */
  at: ReadonlySet<number>;
  /** All layers, where so many groups of each have gone: of sizes inside, those by which the map is less then. */
  beside(removed: Int32Array): readonly Layer[];
}

/** A network on its way to widths that are decided. */
export interface Shrinking {
  begin(solving: Solving): Promise<Pass>;
  /** What can be trained after the solve; left out where there is no such. null: nothing was. */
  tune?(): Promise<Tuned | null>;
  /** Puts the output together of the journal's parts, or of what was tuned. */
  write(): Promise<Output>;
}

export interface Solving extends Pick<RunSpec, 'gather' | 'refit'> {
  /** Of the survey. */
  metrics: Matrix | null;
  /** No layer will be gathered. */
  idle: boolean;
}

/** The calibration data on their way through the network, part after part; and a little that measures what is written. */
export interface Pass extends AsyncDisposable {
  open(index: number): Promise<Part>;
  /**
   * Goes through a part that the journal has, by the very products of when it was solved. `record`: the journal's of it;
   * `solved`: layers that were not left.
   */
  replay(index: number, record: PartRecord, solved: readonly Layer[]): Promise<void>;
  /** The loss of what is written on a little of the data, behind the last part. */
  measure(): Promise<number>;
}

/** A part at work: its layers are asked for in their order. */
export interface Part extends AsyncDisposable {
  /** Goes through a layer that stays as it is. */
  leave(layer: Layer): Promise<void>;
  /** Passes a layer by that is gone as a whole; left out where none can. */
  drop?(layer: Layer): Promise<void>;
  /** Gathers sums of what reads the layer, cuts it to what is chosen by them and goes on through that. */
  shrink<C extends Chosen>(layer: Layer, choose: (sums: Sums) => Promise<C>): Promise<Shrunk<C>>;
  /** Cuts a layer to what is chosen; nothing goes through it. */
  cut(layer: Layer, chosen: Chosen): Promise<void>;
  /** Behind the last layer: what the journal keeps of it. */
  finish(): Promise<PartContent>;
}

/**
 * By a Gram matrix or by moments, as `gather` asks for; of experts by trials, the last of which is of the choice; of units that go in
 * one order alone by nothing. `hasBias`: of the map that reads the layer.
 */
export type Sums =
  | { by: 'gram'; solver: Solver; hasBias: boolean }
  | { by: 'moments'; columns: SiteStatistics }
  | { by: 'trials'; trial: ExpertTrial }
  | { by: 'order' };

export interface Chosen {
  /** Groups that stay, ascending. */
  kept: Int32Array;
  /** Of the map that reads them, which takes it over; null: its columns stay as they are. */
  refit: Refit | null;
  /** Whether the refit fits a bias. */
  bias: boolean;
  /** Of every column 0 or, where it goes, its mean, which goes into the bias; null: nothing does. */
  means: Float64Array | null;
}

export interface Shrunk<C extends Chosen> {
  chosen: C;
  /** null: nothing was refitted. */
  fit: Fit | null;
  /** Of channels inside an expert: tokens that are routed to it. */
  tokens?: number;
}

/** What a refit came to. */
export interface Fit extends RidgeReport {
  relativeError: number;
  /** Where the maps that write the layer were refitted too: the error before, and rounds that lowered it. */
  inputRefit: { before: number; rounds: number } | null;
}

/** What the journal says of a part. */
export interface PartRecord {
  /** By site: groups that stay. */
  keep: BlockKeep;
  /** Names of the tensors that it has itself; the output may hold others, which are zero. */
  roles: string[];
}

export interface PartContent extends Pick<PartRecord, 'roles'> {
  chunks: AsyncIterable<Uint8Array>;
}

export interface Tuned {
  report: TuneReport;
  /** What Pass.measure() gives now; null where nothing has changed. */
  expected: number | null;
}

/** A whole output under a name that nobody sees yet. */
export interface Output {
  /** Where it can be opened. */
  path: string;
  /** Shows it, with files beside it where it is a folder. */
  commit(extra: readonly { name: string; text: string }[]): Promise<void>;
  abort(): Promise<void>;
}
