/** Sites of a network: axes that can shrink, each with what writes it, what reads it and what lies along it. */
import type { Axes, Axis } from './axes';
import type { Role } from './op';
import type { Network } from './relate';
import type { Value } from './value';

/** Where units of a site lie on an axis: position by position, the unit that it belongs to. */
export interface Positions {
  positions: Int32Array;
  units: Int32Array;
}

/** A map's axis, read or written. */
export interface Use extends Positions {
  role: Role;
}

/** A constant's axis. */
export interface Lying extends Positions {
  value: Value;
  axis: number;
}

/** An axis that can shrink. Its units are alike: they lie on the same axes, each as often. */
export interface Site {
  /** The map that writes it, or the first that reads it. */
  name: string;
  units: number;
  /** Units are attention heads, or go with them. */
  heads: boolean;
  writers: Use[];
  readers: Use[];
  /** Every constant that loses positions with a unit, maps included. */
  along: Lying[];
  /**
   * What computes across the axis by more than a map, as a layer norm does: when a unit goes, the others' values change. A
   * site without it is exact: the network without some units gives what the network gives whose readers do not see them.
   */
  mixed?: string;
  /** Of each unit its class of slots. */
  classes: number[];
}

/** Every site that a map reads or writes, in the order of the graph. */
export function sitesOf({ axes, roles, heads, values, copies }: Network): Site[] {
  const members = new Members(axes);
  const sites = new Map<number, Site>();
  for (const role of roles) {
    for (const [kind, where] of members.along(role.axis)) {
      const site = sites.get(kind) ?? emptySite(role.map.name);
      sites.set(kind, site);
      const use = { role, ...where };
      if (role.kind === 'reads') site.readers.push(use);
      else {
        if (site.writers.length === 0) site.name = role.map.name;
        site.writers.push(use);
      }
    }
  }
  for (const value of [...values.values(), ...copies.map((copy) => copy.value)]) {
    if (!value.tensor) continue;
    value.axes.forEach((axis, i) => {
      for (const [kind, where] of members.along(axis)) {
        sites.get(kind)?.along.push({ value, axis: i, ...where });
      }
    });
  }
  for (const axis of heads) {
    for (const [kind] of members.along(axis)) {
      const site = sites.get(kind);
      if (site) site.heads = true;
    }
  }
  for (const [kind, site] of sites) {
    site.classes = members.classes[kind]!;
    site.units = site.classes.length;
    site.mixed = site.classes.map((unit) => axes.mixedBy(unit)).find((why) => why !== undefined);
  }
  return [...sites.values()];
}

function emptySite(name: string): Site {
  return { name, units: 0, heads: false, writers: [], readers: [], along: [], classes: [] };
}

/** Which kind of class each class of slots is: those of a kind lie on the same axes, each as often. */
class Members {
  /** By kind: the classes, in the order of their first slots. */
  readonly classes: number[][] = [[]];
  /** By class: its kind (0: it is pinned), and its place among those of the kind. */
  private readonly kinds: Int32Array;
  private readonly places: Int32Array;

  constructor(private readonly axes: Axes) {
    const signatures = signaturesOf(axes);
    this.kinds = new Int32Array(axes.slots);
    this.places = new Int32Array(axes.slots);
    const kinds = new Map<number, number>();
    for (let unit = 0; unit < axes.slots; unit++) {
      const signature = signatures[unit]!;
      if (signature === 0) continue;
      let kind = kinds.get(signature);
      if (kind === undefined) {
        kind = this.classes.push([]) - 1;
        kinds.set(signature, kind);
      }
      this.kinds[unit] = kind;
      this.places[unit] = this.classes[kind]!.push(unit) - 1;
    }
  }

  /** The kinds on an axis, and where. */
  along(axis: Axis): Map<number, Positions> {
    const found = new Map<number, { positions: number[]; units: number[] }>();
    for (let i = 0; i < this.axes.size(axis); i++) {
      const unit = this.axes.unit(axis, i);
      const kind = this.kinds[unit]!;
      if (kind === 0) continue;
      const where = found.get(kind) ?? { positions: [], units: [] };
      found.set(kind, where);
      where.positions.push(i);
      where.units.push(this.places[unit]!);
    }
    const arrays = [...found].map(([kind, { positions, units }]): [number, Positions] => [
      kind,
      { positions: Int32Array.from(positions), units: Int32Array.from(units) },
    ]);
    return new Map(arrays);
  }
}

/** By class: a number for the axes that it lies on; 0: it is pinned. Found by telling classes apart axis by axis. */
function signaturesOf(axes: Axes): Int32Array {
  const signatures = new Int32Array(axes.slots);
  const known = new Map<number, number>();
  for (let axis = 0; axis < axes.count; axis++) {
    for (let i = 0; i < axes.size(axis); i++) {
      const unit = axes.unit(axis, i);
      if (axes.pinnedBy(unit) !== undefined) continue;
      const key = signatures[unit]! * axes.count + axis;
      const next = known.get(key) ?? known.size + 1;
      known.set(key, next);
      signatures[unit] = next;
    }
  }
  return signatures;
}
