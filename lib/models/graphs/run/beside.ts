/** What goes with a graph of a transformers.js folder: configuration, tokenizer, preprocessing. */
import { basename, posix } from 'node:path';
import { codeWarnings, withoutCode } from '../../../checkpoint/code-references';
import { configText } from '../../../checkpoint/config-text';
import { copiedFiles, type OutputFile } from '../../../checkpoint/copied-files';
import { readFolderJson } from '../../../checkpoint/folder-file';
import { type GraphPlace, graphsIn } from '../../../checkpoint/graph-folder';
import { isObject } from '../../../json-object';
import { oneLine } from '../../../printable';
import { copiedTokenizer } from '../../../tokenizer/copied';

const CONFIG = 'config.json';
const CONFIGS = ['generation_config.json', 'preprocessor_config.json', 'processor_config.json'];
/** The terms that the source comes with. */
const TERMS = ['LICENSE', 'LICENSE.txt', 'LICENSE.md', 'NOTICE', 'NOTICE.txt'];

const REFUSAL = { code: 'ERR_CHECKPOINT', mend: 'fetch the folder again' } as const;

/** transformers.js' name of the numbers in a graph, by what stands behind the name of its file. */
const DTYPES: Readonly<Record<string, string>> = {
  fp16: 'fp16',
  int8: 'int8',
  uint8: 'uint8',
  quantized: 'q8',
  q4: 'q4',
  q4f16: 'q4f16',
  bnb4: 'bnb4',
};
const JS_CONFIG = 'transformers.js_config';
const EXTERNAL = 'use_external_data_format';

export interface Beside {
  /** Of the graph in the folder, with `/`. */
  name: string;
  files: OutputFile[];
  config: Record<string, unknown> | null;
  /** Other graphs of the folder. */
  left: string[];
  warnings: string[];
}

/** @throws StruPruneError ERR_CHECKPOINT, ERR_TOKENIZER */
export function filesBeside({ path, name }: NonNullable<GraphPlace['folder']>): Beside {
  const own = copiedFiles(path, { plain: TERMS, configs: CONFIGS }, REFUSAL);
  const tokenizer = copiedTokenizer(path);
  const read = readFolderJson(path, CONFIG, REFUSAL);
  const { value, dropped } = withoutCode(read ?? {}, CONFIG);
  return {
    name,
    files: [...own.files, ...tokenizer.files],
    config: read && value,
    left: graphsIn(path).filter((each) => each !== name),
    warnings: codeWarnings([...dropped, ...own.dropped, ...tokenizer.dropped]),
  };
}

/** All files but the graph. `isExternal`: its data lie beside it. */
export function writtenBeside({ name, files, config }: Beside, isExternal: boolean): OutputFile[] {
  if (config === null) return files;
  return [...files, { name: CONFIG, text: configText(stating(config, name, isExternal)) }];
}

/** For people. */
export function notesOn({ left }: Beside): string[] {
  if (left.length === 0) return [];
  const names = oneLine(left.join(', '));
  return [
    `graphs that were not pruned are not in the output, make them of the pruned one: ${names}`,
  ];
}

/**
 * The configuration as transformers.js is to read it: which of the usual graphs is there, and whether it has data of its own.
 * Browsers would ask for the 8-bit one. Widths of layers stay what they were: what runs a graph reads them off the graph.
 */
function stating(config: Record<string, unknown>, name: string, isExternal: boolean) {
  const { [JS_CONFIG]: given } = config;
  const { device_config: devices, ...stated } = isObject(given) ? given : {};
  const suffix = /_([^_]+)$/.exec(basename(name, posix.extname(name)))?.[1];
  const own = isObject(devices) && {
    device_config: Object.fromEntries(
      Object.entries(devices).map(([device, each]) => [
        device,
        isObject(each) ? plain(each) : each,
      ]),
    ),
  };
  return {
    ...config,
    [JS_CONFIG]: {
      ...plain(stated),
      dtype: DTYPES[suffix ?? ''] ?? 'fp32',
      ...(isExternal && { [EXTERNAL]: true }),
      ...own,
    },
  };
}

/** Without what is stated of the source's graphs. */
function plain({ dtype: _, [EXTERNAL]: __, ...rest }: Record<string, unknown>) {
  return rest;
}
