import type { Command } from 'commander';
import { addFlags } from '../flags/flag';
import { MACHINE_FLAGS } from '../flags/machine';
import { devicesReport } from '../output/devices-report';
import { print, printJson } from '../output/print';

export function addDevices(program: Command): void {
  const command = program
    .command('devices')
    .description('What this machine and this build compute with, and how fast.')
    .option('--json', 'JSON alone on stdout')
    .action(async ({ json, ...machine }: { json?: boolean; threads?: number; bf16?: boolean }) => {
      const { inspectDevices } = await import('../../engine/devices');
      const devices = await inspectDevices(machine);
      if (json) printJson(devices);
      else print(devicesReport(devices));
    });
  addFlags(command, { threads: MACHINE_FLAGS.threads, bf16: MACHINE_FLAGS.bf16 });
}
