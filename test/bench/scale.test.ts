/** `bench scale`: a run timed on one process, and planned on ranks. */
import { join } from 'node:path';
import test from 'ava';
import { csvOf } from '../../lib/bench/csv';
import type { ScaleOptions } from '../../lib/bench/scale/options';
import { benchScale } from '../../lib/bench/scale/run';
import { scaleReport } from '../../lib/cli/output/bench-scale-report';
import type { BenchScale } from '../../lib/documents/bench';
import { duration } from '../../lib/numbers';
import { plan } from '../../lib/plan';
import { benchHtml } from '../../lib/report/bench';
import { CALIBRATION } from '../e2e/models';

const TINY = join(__dirname, '../../assets/tiny');
const asked: ScaleOptions = {
  ...{ sparsity: 0.25, scope: 'all', allocation: 'uniform', ffnSolver: 'output' },
  ...{ effort: 'quick', calibration: CALIBRATION, calibrationTokens: 3 * 4096, threads: 1 },
};

const near = (one: number, other: number) => Math.abs(one - other) <= 1e-6 * Math.abs(other) + 1e-9;
const took = ({ measured }: BenchScale, name: string) =>
  measured.find(({ stage }) => stage === name)?.seconds ?? 0;

test.serial(
  'a stage takes the share of its measured time that a rank has of its flops',
  async (t) => {
    const document = await benchScale(TINY, { ...asked, teams: [3, 2, 3], gbit: 10 });
    const { measured, rows } = document.scale!;
    t.deepEqual(
      rows.map(({ ranks }) => ranks),
      [2, 3],
    );
    const all = measured.reduce((sum, { seconds }) => sum + seconds, 0);
    const solve = took(document.scale!, 'solve');
    const rest = all - solve - took(document.scale!, 'survey');
    t.true(solve > 0 && rest > 0);
    for (const row of rows) {
      const { calibration, ...options } = asked;
      const { ranks } = await plan(TINY, { ...options, ranks: row.ranks, network: 10 });
      t.true(row.sharesTokens);
      t.deepEqual(
        row.each.filter(({ stage }) => stage === 'solve').map(({ sent }) => sent),
        ranks!.sent,
      );
      t.is(row.network, ranks!.network!);
      t.true(near(row.seconds, rest + row.survey + row.solve + row.network));
      t.true(near(row.faster, all / row.seconds));
      t.true(row.solve < solve && row.solve > solve / row.ranks);
      for (const { stage, seconds, waitingSeconds } of row.each) {
        if (stage === 'solve') t.true(near(seconds + waitingSeconds, row.solve + row.network));
      }
    }
    t.is(csvOf(document)!.trim().split('\n').length, 1 + 2 + 3);
    const [, { survey, solve: solved, network, seconds }] = rows as [unknown, (typeof rows)[0]];
    const times = [survey, solved, network!, seconds].map(duration);
    for (const time of times) t.regex(time, /^\d+:\d\d$/);
    t.regex(
      scaleReport(document),
      new RegExp(`\\n +3 +${times.join(' +')} +×1\\.\\d\\d +\\d+ MiB$`),
    );
    t.regex(benchHtml(document), /scale-rows/);
    const [row] = rows;
    const slow = { ...document.scale!, rows: [{ ...row!, sharesTokens: false }] };
    t.regex(scaleReport({ ...document, scale: slow }), /rank 0 solves alone/);
  },
);
