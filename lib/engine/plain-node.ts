/**
 * Environment in which process.execPath is Node and nothing else: under Electron too, and without modules that the caller's
 * process loads first, which may write to the stdout that is read.
 */
export const PLAIN_NODE: NodeJS.ProcessEnv = { ELECTRON_RUN_AS_NODE: '1', NODE_OPTIONS: '' };
