// npm run measure -- house [--json] [--family COMMIT]: how the code is built, counted from the checkout itself. Which
// arrows point upwards (house/rooms.json has the order), what must be touched for a new trait, option or rule, where memory
// is stated twice, what of the CUDA library nobody calls, lines of code. --family: the files of the commit that added a
// family. Prints a table for people; --json has every name and file.
const { parseArgs } = require('node:util');
const { runMain } = require('../lib/setup-error.js');
const { cuda } = require('./house/cuda.js');
const { family } = require('./house/family.js');
const { memory } = require('./house/memory.js');
const { anyOf, isOwnWord, names } = require('./house/names.js');
const { circlesOf, graphOf, houses, roomsOf, violationsOf } = require('./house/order.js');
const { linesOfCode, sourcesIn } = require('./house/sources.js');

/** Source files of `lib`, `native` without its tests, and `scripts`, by room. */
function productByRoom() {
  const byRoom = ['lib', 'native'].flatMap((house) => {
    const files = sourcesIn(house);
    return roomsOf(house)
      .filter(({ name }) => !houses[house].tests?.includes(name))
      .map(({ name, has }) => [`${house}: ${name}`, files.filter(has)]);
  });
  return new Map([...byRoom, ['scripts', sourcesIn('scripts')]]);
}

/** Rooms that reach each other, through whichever files. */
function circlesOfRooms(house) {
  const rooms = roomsOf(house);
  const roomOf = (file) => rooms.find(({ has }) => has(file))?.name ?? file;
  const edges = graphOf(house).edges.map((edge) => edge.map(roomOf));
  return circlesOf(edges.filter(([from, to]) => from !== to));
}

function measured() {
  const rooms = productByRoom();
  const product = [...rooms.values()].flat();
  const native = product.filter((file) => /^native\/.*\.(h|cpp|cu)$/.test(file));
  const order = (house) => {
    const { upward, circles } = violationsOf(house);
    return { upward, circles, rooms: circlesOfRooms(house) };
  };
  const lines = Object.fromEntries(
    [...rooms].map(([room, files]) => [
      room,
      files.reduce((sum, file) => sum + linesOfCode(file), 0),
    ]),
  );
  return {
    order: { lib: order('lib'), native: order('native') },
    names: names(native),
    memory: memory(native),
    cuda: cuda(),
    lines,
  };
}

const total = (numbers) => numbers.reduce((sum, number) => sum + number, 0);

/** `name 14, other 3`, the most first. */
function counts(byName) {
  const sorted = Object.entries(byName).sort(([, a], [, b]) => b.length - a.length);
  return sorted.map(([name, files]) => `${name} ${files.length}`).join(', ');
}

/** '4 to 27, half of them at most 7': files for one of these names, those of one word left out. */
function spread(byName) {
  const plain = Object.entries(byName).filter(([name]) => isOwnWord(name));
  const sorted = plain.map(([, files]) => files.length).sort((a, b) => a - b);
  const median = sorted[Math.floor((sorted.length - 1) / 2)];
  return sorted.length === 0
    ? 'none'
    : `${sorted[0]} to ${sorted.at(-1)}, half of them at most ${median}`;
}

/** The table, a row [what, found, what it is to be]. */
function rowsOf({ order, names, memory, cuda, lines }) {
  const { constants, functions } = memory;
  const uncalled = cuda.byNone.length + cuda.byBenches.length;
  const arrows = ['lib', 'native'].flatMap((house) => [
    [
      `${house}: ${house === 'lib' ? 'imports' : 'includes'} upwards`,
      order[house].upward.length,
      0,
    ],
    [`${house}: circles of files`, order[house].circles.length, 0],
    [`${house}: rooms in a circle`, order[house].rooms.flat().length, 0],
  ]);
  const choices = Object.entries(names.choices).map(([key, byName]) => [
    `files that name a value of ${key}`,
    anyOf(byName).length,
    'its own, the index',
  ]);
  return [
    ...arrows,
    ['files outside families/ for a trait', spread(names.traits), 'up to 3'],
    ['files for an option of prune()', spread(names.options), 'declaration, reader'],
    ...choices,
    ['constants of memory in both languages', constants.length, 0],
    [
      'functions …Bytes of lib/engine',
      `${functions.length}, ${total(functions.map((f) => f.lines))} lines`,
      0,
    ],
    [
      'CUDA functions that no product path calls',
      `${uncalled} of ${cuda.all.length}, ${cuda.byBenches.length} of them called by benchmarks`,
      0,
    ],
    ['lines of product code', total(Object.values(lines)), 'fewer'],
  ];
}

function printTable(rows) {
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => `${row[column]}`.length)));
  for (const [what, found, wanted] of rows) {
    console.log(`${what.padEnd(widths[0])}  ${`${found}`.padEnd(widths[1])}  ${wanted}`);
  }
}

function printDetails({ order, names, memory, cuda, lines }) {
  const section = (title, text) => console.log(`\n${title}\n  ${text}`);
  for (const house of ['lib', 'native']) {
    const { upward, circles, rooms } = order[house];
    section(`${house}: upwards`, upward.join('\n  '));
    section(`${house}: circles of files`, circles.join('\n  '));
    section(`${house}: rooms in a circle`, rooms.map((room) => room.join(', ')).join('\n  '));
  }
  section('files for a trait (a name of one word has other meanings too)', counts(names.traits));
  section("files for the name of a block's tensor", counts(names.roles));
  section('files for an option', counts(names.options));
  for (const [key, byName] of Object.entries(names.choices)) {
    section(`files for a value of ${key}`, counts(byName));
  }
  const constants = memory.constants.map(({ name, value, files }) =>
    [name, value, ...files].join('  '),
  );
  section('constants of memory in both languages', constants.join('\n  '));
  section('CUDA functions that nobody calls', cuda.byNone.join(', '));
  section('CUDA functions that only benchmarks call', cuda.byBenches.join(', '));
  const rooms = Object.entries(lines).map(([room, count]) => `${`${count}`.padStart(6)}  ${room}`);
  section('lines of code', rooms.join('\n  '));
}

function printFamily({ files, beside }) {
  const list = (some) =>
    some.map(({ file, added, removed }) => `\n  ${file}  +${added} -${removed}`).join('');
  console.log(`${files.length} files${list(files)}`);
  console.log(`beside, tests, fixtures and docs: ${beside.length}${list(beside)}`);
}

runMain(() => {
  const { values } = parseArgs({
    options: { json: { type: 'boolean' }, family: { type: 'string' } },
  });
  const result = values.family ? family(values.family) : measured();
  if (values.json) console.log(JSON.stringify(result, null, 2));
  else if (values.family) printFamily(result);
  else {
    printTable(rowsOf(result));
    printDetails(result);
  }
});
