// The order of the rooms (rooms.json): who imports or includes what, which of it points upwards, and which files go
// round in a circle. test/house asserts that there is none of it, and `house` counts it.
const path = require('node:path');
const ts = require('typescript');
const { sourcesIn, treeOf, withoutComments } = require('./sources.js');
const houses = require('./rooms.json');

/** Rooms from the top down: { name, has(file) }, files as paths from the checkout's root. */
function roomsOf(house) {
  return houses[house].rooms.map((room) => {
    if (typeof room === 'string') {
      return { name: room, has: (file) => file.startsWith(`${house}/${room}/`) };
    }
    const files = room.files.map((name) => `${house}/${name}`);
    return { name: room.name, has: (file) => files.includes(file) };
  });
}

/** What a TypeScript file imports, types and import() included. */
function importsOf(file) {
  const { importedFiles } = ts.preProcessFile(treeOf(file).text, true, true);
  return importedFiles
    .map(({ fileName }) => fileName)
    .filter((name) => name.startsWith('.'))
    .map((name) => path.join(path.dirname(file), name))
    .map((target) => [`${target}.ts`, path.join(target, 'index.ts')]);
}

/** What a C++ file includes of ours. Tests have their own folder among the compiler's. */
function includesOf(file) {
  const quoted = withoutComments(file).matchAll(/^\s*#\s*include\s+"([^"]+)"/gm);
  const folders = ['native', path.dirname(file), 'native/test', 'native/emulation'];
  return [...quoted].map(([, name]) => folders.map((folder) => path.join(folder, name)));
}

/** A header and its sources are one unit: who includes the one needs the other. */
const unitOf = (file) => (file.endsWith('.ts') ? file : file.replace(/\.(h|cpp|cu)$/, ''));

/** { files, edges: [from, to][] } of `lib` or `native`. An import of a file that is not there throws. */
function graphOf(house) {
  const code = house === 'lib' ? /\.ts$/ : /\.(h|cpp|cu)$/;
  const files = sourcesIn(house).filter((file) => code.test(file));
  const known = new Set(files);
  const edges = files.flatMap((file) =>
    (house === 'lib' ? importsOf : includesOf)(file).map((places) => {
      const target = places.find((place) => known.has(place));
      if (!target) throw new Error(`${file} names ${places[0]}, which is not there`);
      return [file, target];
    }),
  );
  return { files, edges };
}

/** Strongly connected components of more than one node (Tarjan), each sorted. */
function circlesOf(edges) {
  const targets = new Map();
  for (const [from, to] of edges) {
    if (!targets.has(from)) targets.set(from, new Set());
    targets.get(from).add(to);
  }
  const places = new Map();
  const stack = [];
  const circles = [];
  const visit = (node) => {
    const place = places.size;
    places.set(node, place);
    stack.push(node);
    let lowest = place;
    for (const next of targets.get(node) ?? []) {
      if (!places.has(next)) lowest = Math.min(lowest, visit(next));
      else if (stack.includes(next)) lowest = Math.min(lowest, places.get(next));
    }
    if (lowest === place) {
      const members = stack.splice(stack.indexOf(node));
      if (members.length > 1) circles.push(members.sort());
    }
    return lowest;
  };
  for (const node of targets.keys()) if (!places.has(node)) visit(node);
  return circles.sort();
}

/**
 * What breaks the order of `lib` or `native`: files without a room, edges that point upwards as 'from -> to', and circles
 * of files (natively of units), each as its members in a line.
 */
function violationsOf(house) {
  const { files, edges } = graphOf(house);
  const rooms = roomsOf(house);
  const floorOf = (file) => rooms.findIndex(({ has }) => has(file));
  const units = edges.map((edge) => edge.map(unitOf)).filter(([from, to]) => from !== to);
  return {
    homeless: files.filter((file) => floorOf(file) < 0),
    upward: edges
      .filter(([from, to]) => floorOf(to) < floorOf(from))
      .map(([from, to]) => `${from} -> ${to}`)
      .sort(),
    circles: circlesOf(units).map((members) => members.join(' ')),
  };
}

module.exports = { circlesOf, graphOf, houses, roomsOf, violationsOf };
