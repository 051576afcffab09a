/**
 * A function of the caller's in place of one of the program's, under the name by which journals, reports and model cards
 * know it. Whoever changes what the function does changes its name too, for example `flat 2`: a journal cannot tell.
 */
export class Own<F> {
  readonly name: string | undefined;
  readonly call: F;

  constructor(name: string | undefined, call: F) {
    this.name = name;
    this.call = call;
  }

  toString(): string {
    return this.name === undefined ? 'own, without a name' : `own "${this.name}"`;
  }

  toJSON(): string {
    return String(this);
  }
}
