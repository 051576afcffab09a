/** What the addon hands out: opaque, owned by the classes of this room, which free it (owned.ts). */
declare const tag: unique symbol;
type Handle<Name extends string> = { readonly [tag]: Name };
export type EngineHandle = Handle<'engine'>;
export type FileHandle = Handle<'file'>;
export type StoreHandle = Handle<'store'>;
export type MatrixHandle = Handle<'matrix'>;
export type StatisticsHandle = Handle<'statistics'>;
export type BlockHandle = Handle<'block'>;
export type EndsHandle = Handle<'ends'>;
export type SolverHandle = Handle<'solver'>;
export type RefitHandle = Handle<'refit'>;
export type AdmmHandle = Handle<'admm'>;
export type GaussNewtonHandle = Handle<'gauss-newton'>;
export type AuxiliaryHandle = Handle<'auxiliary'>;
export type TeamHandle = Handle<'team'>;
export type AnyHandle = Handle<string>;
