/**
 * The nursery of the heap would grow to 32 MiB, of whatever --memory allows, for garbage that is soon gone. To be imported
 * before everything else: it grows while modules are loaded, and what it has grown to stays in the process.
 */
import { setFlagsFromString } from 'node:v8';

setFlagsFromString('--semi-space-growth-factor=1');
