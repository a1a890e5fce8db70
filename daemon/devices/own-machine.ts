import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, release } from 'node:os';
import type { System } from '../core/browser-words.js';
import { sha256Hex } from '../core/hash.js';
import { isOwnAddress } from './own-addresses.js';

/** What tells whether a peer shares this machine's processors. */
export interface OwnMachine {
  /** Hash of the kernel's boot id; containers share it, virtual machines have their own. Null where there is none. */
  readonly boot: string | null;
  /** Systems that a browser here may run on; with WSL, Windows too. */
  readonly systems: readonly System[];
  readonly cores: number;
  /** An address of this machine, loopback included. */
  isOwnAddress(peer: string): boolean;
}

const systemOf: Readonly<Partial<Record<NodeJS.Platform, System>>> = {
  linux: 'linux',
  win32: 'windows',
  darwin: 'macos',
  android: 'android',
};

export function thisMachine(): OwnMachine {
  const system = systemOf[process.platform] ?? 'other';
  return {
    boot: bootId(),
    systems: /microsoft/i.test(release()) ? [system, 'windows'] : [system],
    cores: Math.max(cpus().length, availableParallelism()),
    isOwnAddress,
  };
}

function bootId(): string | null {
  try {
    const id =
      process.platform === 'darwin'
        ? execFileSync('/usr/sbin/sysctl', ['-n', 'kern.bootsessionuuid'], {
            encoding: 'utf8',
            timeout: 2000,
          })
        : readFileSync('/proc/sys/kernel/random/boot_id', 'utf8');
    return id.trim() === '' ? null : sha256Hex(`hilda boot ${id.trim()}`);
  } catch {
    return null;
  }
}

/**
 * Whether an agent runs on this machine. Where both tell a boot id, it decides: a tunnel ends on loopback too, and a container has
 * an address of its own. Otherwise the address decides.
 */
export function isAgentHere(
  { address, boot }: { readonly address: string; readonly boot: string | null },
  machine: OwnMachine,
): boolean {
  return boot !== null && machine.boot !== null ? boot === machine.boot : machine.isOwnAddress(address);
}
