// npm run measure -- link [MODEL] [--rate GBIT] [OPTION…]: two ranks in network namespaces of their own, joined by a link that carries
// so many Gbit/s (default 1), each with one thread, beside one process with one thread: the same bytes? Are the sums that
// each rank sends those of `plan`, to the byte? What does each stage take? Further options go to prune. Needs root, iproute2
// and Open MPI. Exit code 1 where bytes differ.
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { at } = require('../lib/paths.js');
const { runMain, SetupError } = require('../lib/setup-error.js');
const { hashesOf, hashOfAll } = require('./hashes.js');

const PROGRAM = [process.execPath, at('dist', 'lib', 'cli', 'main.js')];
/** Its allocation is given, so that the plan knows what each layer's sums are. */
const PRUNE = [
  ...['--calibration', at('assets', 'text', 'calibration.txt'), '--calibration-tokens', '16384'],
  ...['--sparsity', '0.4', '--scope', 'all', '--allocation', 'uniform', '--window', '128'],
  ...['--tune-tokens', '0', '--threads', '1', '--device', 'cpu', '--json'],
];
const NAMES = [0, 1].map((rank) => `struprune${process.pid}-${rank}`);
const ADDRESSES = ['10.77.0.1', '10.77.0.2'];
const DEVICE = 'wire';
const NETWORK = '10.77.0.0/24';

function run(command, ...args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  if (status === 0) return stdout;
  throw new SetupError(`${command} failed`, 'see above', error?.message ?? stderr);
}

function makeLink(gbit) {
  for (const name of NAMES) run('ip', 'netns', 'add', name);
  const peer = ['type', 'veth', 'peer', 'name', DEVICE, 'netns', NAMES[1]];
  run('ip', '-n', NAMES[0], 'link', 'add', DEVICE, ...peer);
  for (const [rank, name] of NAMES.entries()) {
    const inside = (...command) => run('ip', 'netns', 'exec', name, ...command);
    inside('ip', 'address', 'add', `${ADDRESSES[rank]}/24`, 'dev', DEVICE);
    for (const device of [DEVICE, 'lo']) inside('ip', 'link', 'set', device, 'up');
    const shape = ['tbf', 'rate', `${gbit}gbit`, 'burst', '1mb', 'latency', '50ms'];
    inside('tc', 'qdisc', 'add', 'dev', DEVICE, 'root', ...shape);
  }
}

const removeLink = () => {
  for (const name of NAMES) spawnSync('ip', ['netns', 'del', name]);
};

/** Bytes that left a namespace, with all that protocols add. */
function carried(name) {
  const file = `/sys/class/net/${DEVICE}/statistics/tx_bytes`;
  return Number(
    run('ip', 'netns', 'exec', name, 'sh', '-c', `mount -t sysfs none /sys; cat ${file}`),
  );
}

/** Under a host name of its own: ranks of one host would not use the network. */
const inside = (rank) => ['ip', 'netns', 'exec', NAMES[rank], 'unshare', '-u', 'sh', '-c'];

function onLink(folder, args) {
  const agent = path.join(folder, 'agent');
  // mpirun calls it as ssh: a host, and a command.
  fs.writeFileSync(agent, `#!/bin/sh\nshift\nexec ${inside(1).join(' ')} "hostname rank1; $*"\n`);
  fs.chmodSync(agent, 0o755);
  const network = ['btl', 'oob'].flatMap((part) => ['--mca', `${part}_tcp_if_include`, NETWORK]);
  const launcher = [
    ...['mpirun.openmpi', '--allow-run-as-root', '--bind-to', 'none', '-np', '2'],
    ...['--host', ADDRESSES.join(), '--mca', 'plm_rsh_agent', agent, '--mca', 'btl', 'tcp,self'],
    ...['--mca', 'pml', 'ob1', ...network],
  ];
  const [command, ...rest] = inside(0);
  const here = ['hostname rank0; exec "$@"', 'sh'];
  return JSON.parse(run(command, ...rest, ...here, ...launcher, ...PROGRAM, ...args));
}

const total = (stages, key) => stages.reduce((sum, stage) => sum + stage[key], 0);

function measure(model, gbit, more, folder) {
  const args = (name) => [model, '-o', path.join(folder, name), ...PRUNE, ...more];
  const [program, ...main] = PROGRAM;
  const alone = JSON.parse(run(program, ...main, 'prune', ...args('alone')));
  const ranks = ['--ranks', '2'];
  const network = ['--network', String(gbit)];
  const planned = JSON.parse(
    run(program, ...main, 'plan', ...args('shared'), ...ranks, ...network),
  );
  makeLink(gbit);
  const shared = onLink(folder, ['prune', ...args('shared'), ...ranks]);
  const link = NAMES.map(carried);
  const [first] = alone.ranks;
  console.log('stage      alone, s   rank 0 (waiting)   rank 1 (waiting)');
  for (const { stage, seconds } of first) {
    const cells = shared.ranks.map((stages) => {
      const one = stages.find((some) => some.stage === stage);
      return one ? `${one.seconds.toFixed(1)} (${one.waitingSeconds.toFixed(1)})` : '-';
    });
    console.log(
      stage.padEnd(10) +
        [seconds.toFixed(1).padStart(9), ...cells.map((cell) => cell.padStart(18))].join(' '),
    );
  }
  const seconds = (result) => total(result.ranks[0], 'seconds').toFixed(1);
  console.log(`in all ${seconds(alone)} s alone, ${seconds(shared)} s on two ranks`);
  const sums = shared.ranks.map((stages) => total(stages, 'sums'));
  const sent = shared.ranks.map((stages) => total(stages, 'sent'));
  console.log(`sums sent: ${sums.join(', ')} bytes; by the plan ${planned.ranks.sent.join(', ')}`);
  console.log(`sent in all: ${sent.join(', ')} bytes; over the link ${link.join(', ')}`);
  const way = sums.reduce((sum, bytes) => sum + bytes, 0) / (gbit * 1.25e8);
  console.log(`at ${gbit} Gbit/s these sums take ${way.toFixed(1)} s`);
  const hashes = ['alone', 'shared'].map((name) => hashOfAll(hashesOf(path.join(folder, name))));
  const same = hashes[0] === hashes[1];
  console.log(same ? 'the same bytes' : 'OTHER BYTES');
  return same;
}

runMain(() => {
  const args = process.argv.slice(2);
  const rate = args.indexOf('--rate');
  const [, gbit = '1'] = rate === -1 ? [] : args.splice(rate, 2);
  const model = args[0] && !args[0].startsWith('-') ? args.shift() : at('assets', 'tiny');
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'struprune-link-'));
  try {
    if (!measure(model, Number(gbit), args, folder)) process.exitCode = 1;
  } finally {
    removeLink();
    fs.rmSync(folder, { recursive: true, force: true });
  }
});
