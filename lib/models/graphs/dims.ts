/** Sizes of axes: numbers, or what a symbol stands for, so that equal expressions are equal strings. */
export type Dim = number | string;

const TIMES = '·';

/** A symbol of the file's; the sign between factors is ours. */
export function symbol(name: string): string {
  return name.replaceAll(TIMES, '.').replace(/^(?=\d+$)/, '_');
}

interface Product {
  factor: number;
  symbols: string[];
}

function productOf(dim: Dim): Product {
  if (typeof dim === 'number') return { factor: dim, symbols: [] };
  const parts = dim.split(TIMES);
  const factor = /^\d+$/.test(parts[0]!) ? Number(parts.shift()) : 1;
  return { factor, symbols: parts };
}

function dimOf({ factor, symbols }: Product): Dim {
  if (symbols.length === 0 || factor === 0) return factor;
  const sorted = [...symbols].sort();
  return (factor === 1 ? sorted : [factor, ...sorted]).join(TIMES);
}

export function product(dims: readonly Dim[]): Dim {
  const parts = dims.map(productOf);
  return dimOf({
    factor: parts.reduce((total, { factor }) => total * factor, 1),
    symbols: parts.flatMap(({ symbols }) => symbols),
  });
}

/** The number in a product with symbols: 1 where there is none. */
export function factorOf(dim: Dim): number {
  return productOf(dim).factor;
}

/** A product without its number. */
export function symbolsOf(dim: Dim): Dim {
  return dimOf({ ...productOf(dim), factor: 1 });
}

/** a / b where that is whole for all values of the symbols. */
export function quotient(a: Dim, b: Dim): Dim | undefined {
  const [over, under] = [productOf(a), productOf(b)];
  const symbols = [...over.symbols];
  for (const name of under.symbols) {
    const at = symbols.indexOf(name);
    if (at < 0) return undefined;
    symbols.splice(at, 1);
  }
  if (under.factor === 0 || over.factor % under.factor !== 0) return undefined;
  return dimOf({ factor: over.factor / under.factor, symbols });
}

/** What `compute` makes of numbers; of anything else the symbol that says so. */
export function derived(name: string, dims: Dim[], compute: (...dims: number[]) => number): Dim {
  if (dims.every((dim) => typeof dim === 'number')) return compute(...dims);
  return `${name}(${dims.map((dim) => symbol(String(dim))).join(',')})`;
}
