/** Folders with an ONNX graph, as transformers.js and Optimum lay them out. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join, relative, sep } from 'node:path';
import { StruPruneError } from '../errors';
import { oneLine } from '../printable';
import { isGguf, isOnnx } from './output-path';

/** Where the graph lies, the first one that is there. */
const GRAPHS = ['onnx/model.onnx', 'model.onnx'];
/** Folders that graphs lie in. */
const PLACES = ['onnx', '.'];
const CONFIG = 'config.json';

/** Weights of a checkpoint, which go before a graph beside them. */
const WEIGHTS = ['model.safetensors', 'model.safetensors.index.json'];

/** A graph, and the folder whose other files go with it. */
export interface GraphPlace {
  /** Path of the .onnx file. */
  model: string;
  /** null: the output is the graph alone. */
  folder: { path: string /** Of the graph in it, with `/`. */; name: string } | null;
}

/** Whether a path leads to a graph: an .onnx file, or a folder with one and without safetensors. */
export function isGraph(path: string): boolean {
  if (isOnnx(path)) return true;
  return graphsIn(path).length > 0 && !WEIGHTS.some((name) => existsSync(join(path, name)));
}

/** Names of all graphs of a folder, with `/`. */
export function graphsIn(folder: string): string[] {
  return PLACES.flatMap((place) => {
    const names = namesIn(join(folder, place)).filter(isOnnx).sort();
    return names.map((name) => (place === '.' ? name : `${place}/${name}`));
  });
}

/** The graph of a path: a file, or the one of a folder. @throws StruPruneError ERR_NOT_FOUND, ERR_ARGUMENT */
export function graphFile(path: string): string {
  if (isOnnx(path)) return path;
  const name = GRAPHS.find((each) => existsSync(join(path, each)));
  if (name !== undefined) return join(path, name);
  const [first] = graphsIn(path);
  if (first === undefined) {
    throw statSync(path, { throwIfNoEntry: false })?.isDirectory()
      ? new StruPruneError(
          'ERR_NOT_FOUND',
          `${path} has no ${GRAPHS.join(' and no ')}`,
          'give a folder with one of them, or an .onnx file',
        )
      : new StruPruneError(
          'ERR_ARGUMENT',
          `the model ${path} is no .onnx file and no folder of one`,
          'give a path that ends in .onnx',
        );
  }
  throw new StruPruneError(
    'ERR_ARGUMENT',
    `${path} has more than one graph or one of another name (${oneLine(first)}), and no ${GRAPHS.join(' and no ')}`,
    `give the graph itself: ${oneLine(join(path, first))}, and an output that ends in .onnx`,
  );
}

/**
 * Where the graph of a run lies. An output that ends in .onnx is the graph alone, another one the folder with it.
 * @throws StruPruneError as graphFile; ERR_ARGUMENT for an output that can be neither
 */
export function graphPlace(path: string, output: string): GraphPlace {
  const model = graphFile(path);
  if (isOnnx(output)) return { model, folder: null };
  const folder = isOnnx(path) ? folderAround(path) : path;
  if (folder === null || isGguf(output) || output.endsWith('.safetensors')) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `the output ${output} is no .onnx file`,
      'give a path that ends in .onnx',
    );
  }
  return { model, folder: { path: folder, name: relative(folder, model).split(sep).join('/') } };
}

/** The folder whose configuration lies beside a graph, or above its `onnx`; null where there is none. */
function folderAround(model: string): string | null {
  const beside = dirname(model);
  const places = basename(beside) === PLACES[0] ? [beside, dirname(beside)] : [beside];
  return places.find((folder) => existsSync(join(folder, CONFIG))) ?? null;
}

/** None where there is no folder, nor can be one. */
function namesIn(folder: string): string[] {
  // statSync() throws where the folder would lie in a file.
  return existsSync(folder) && statSync(folder).isDirectory() ? readdirSync(folder) : [];
}
