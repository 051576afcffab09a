// The tests against a real model and live oracles (test/real). Installs torch, transformers and llama.cpp into .oracles,
// fetches SmolLM2, and hands their places to the tests: STRUPRUNE_ORACLES, STRUPRUNE_GRAPH_ORACLES and STRUPRUNE_EXPORTER (for PYTHONPATH),
// STRUPRUNE_GRAPH_MODELS (a folder of ONNX files), STRUPRUNE_ORT_WEB (a folder of onnxruntime-web's files), STRUPRUNE_LLAMA (package folder), STRUPRUNE_LLAMA_BLAS (a backend of its), STRUPRUNE_MODEL (GGUF), STRUPRUNE_NODE22 and STRUPRUNE_BUN
// (programs); for test:long also STRUPRUNE_ENCODER, STRUPRUNE_CLASSIFIER and STRUPRUNE_PHOTOGRAPHS (folders), STRUPRUNE_TRANSFORMERS_JS (a module) and STRUPRUNE_VLLM (a Python).
const { runAva } = require('./ava.js');
const { holding } = require('./lock.js');
const {
  ensureClassifier,
  ensureEncoder,
  ensureExporter,
  ensureGraphModels,
  ensureGraphOracles,
  ensureLlama,
  ensureLlamaBlas,
  ensureOrtWeb,
  ensurePhotographs,
  ensurePythonOracles,
  ensureRuntimes,
  ensureTransformersJs,
  ensureVllm,
} = require('./oracles.js');
const { at } = require('./paths.js');
const { run } = require('./process.js');

function fetchModel() {
  const printed = run(process.execPath, [at('scripts', 'fetch-model.js')], {
    what: 'fetch-model',
    capture: 'stdout',
  });
  return printed.trimEnd().split('\n').at(-1);
}

/** Fetches and builds what the tests need: their environment. Beside a set-up, which has a lock of its own. */
function oraclesOf() {
  return holding('oracles', () => {
    const { node22, bun } = ensureRuntimes();
    return {
      STRUPRUNE_ORACLES: ensurePythonOracles(),
      STRUPRUNE_GRAPH_ORACLES: ensureGraphOracles(),
      STRUPRUNE_EXPORTER: ensureExporter(),
      STRUPRUNE_GRAPH_MODELS: ensureGraphModels(),
      STRUPRUNE_ORT_WEB: ensureOrtWeb(),
      ...(process.env.STRUPRUNE_LONG === '1' && {
        STRUPRUNE_ENCODER: ensureEncoder(),
        STRUPRUNE_CLASSIFIER: ensureClassifier(),
        STRUPRUNE_PHOTOGRAPHS: ensurePhotographs(),
        STRUPRUNE_TRANSFORMERS_JS: ensureTransformersJs(),
        STRUPRUNE_VLLM: ensureVllm(),
      }),
      STRUPRUNE_LLAMA: ensureLlama(),
      // It sets up what is missing, which the BLAS is part of.
      STRUPRUNE_MODEL: fetchModel(),
      STRUPRUNE_LLAMA_BLAS: ensureLlamaBlas(),
      STRUPRUNE_NODE22: node22,
      STRUPRUNE_BUN: bun,
      // Where it is set, every start of Python compiles torch and transformers again: 15 s each.
      PYTHONDONTWRITEBYTECODE: '',
    };
  });
}

/** Runs these of the tests, or all; resolves with the counts. */
function runRealTests(patterns) {
  return runAva(['--config', 'ava-real.config.cjs', ...patterns], oraclesOf());
}

module.exports = { oraclesOf, runRealTests };
