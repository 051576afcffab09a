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
    .action(async (parsed: { json?: boolean; threads?: number }) => {
      const { inspectDevices } = await import('../../engine/devices');
      const devices = await inspectDevices({ threads: parsed.threads });
      if (parsed.json) printJson(devices);
      else print(devicesReport(devices));
    });
  addFlags(command, { threads: MACHINE_FLAGS.threads });
}
