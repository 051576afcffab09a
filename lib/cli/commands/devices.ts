import type { Command } from 'commander';
import { MACHINE } from '../../options/machine';
import { addFlags, flagsOf } from '../flags/flag';
import { devicesReport } from '../output/devices-report';
import { print, printJson } from '../output/print';

interface Parsed {
  json?: boolean;
  selftest?: boolean;
  device?: string;
  threads?: number;
  bf16?: boolean;
  fullPrecision?: boolean;
}

export function addDevices(program: Command): void {
  const command = program
    .command('devices')
    .description('What this machine and this build compute with, and how fast.')
    .option('--json', 'JSON alone on stdout')
    .option('--selftest', 'test the CUDA library on a GPU (the one of --device, else cuda:0)')
    .action(async ({ json, selftest, ...machine }: Parsed) => {
      const { device } = machine;
      if (selftest) {
        if (json) command.error('error: --selftest has no JSON, and --json excludes it');
        const { runSelftest } = await import('../../engine/selftest');
        return runSelftest(device);
      }
      const { inspectDevices } = await import('../../engine/devices');
      const devices = await inspectDevices(machine);
      if (json) printJson(devices);
      else print(devicesReport(devices, device));
    });
  const { threads, bf16, fullPrecision, device } = MACHINE;
  addFlags(command, flagsOf({ threads, bf16, fullPrecision, device }));
}
