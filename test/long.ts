export const isLong = process.env.STRUPRUNE_LONG === '1';

/** What STRUPRUNE_LONG=1 (npm run test:long) has beside: the same claims of more models and settings. */
export const long = <T>(rows: readonly T[]): readonly T[] => (isLong ? rows : []);
