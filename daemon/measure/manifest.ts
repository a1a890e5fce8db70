import { readFileSync } from 'node:fs';
import { arch, cpus, loadavg, release, totalmem } from 'node:os';
import type { Json } from '../core/json.js';

export interface HostFacts {
  readonly cpuModel: string;
  readonly cpuCount: number;
  /** Nominal clock, null where the machine does not say. */
  readonly clockHz: number | null;
}

export function hostFacts(): HostFacts {
  const all = cpus();
  const cpuModel = all[0]?.model.trim() || `${arch()} processor`;
  // The name holds the nominal clock where the maker put it there; the reading of `cpus()` moves with the governor.
  const named = /([\d.]+)\s*GHz/i.exec(cpuModel)?.[1];
  return {
    cpuModel,
    cpuCount: all.length,
    clockHz: named === undefined ? null : Math.round(Number(named) * 1e9),
  };
}

/** The conditions that may change while measuring: read before and after. */
export function readConditions(): { readonly [key: string]: Json } {
  return {
    loadAverage: loadavg()[0] ?? null,
    governor: readLine('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor'),
    frequencyKhz: asNumber(readLine('/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq')),
    temperatureMilliC: asNumber(readLine('/sys/class/thermal/thermal_zone0/temp')),
  };
}

/** The conditions that hold for the whole measurement. */
export function hostManifest(): { readonly [key: string]: Json } {
  const { cpuModel, cpuCount, clockHz } = hostFacts();
  return {
    cpuModel,
    cpuCount,
    clockHz,
    memoryBytes: totalmem(),
    kernel: release(),
    // With `madvise` or `always` the heap of session processes has huge pages; else their speed differs more.
    hugePages: /\[(\w+)\]/.exec(readLine('/sys/kernel/mm/transparent_hugepage/enabled') ?? '')?.[1] ?? null,
    node: process.versions.node,
  };
}

function readLine(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim() || null;
  } catch {
    return null;
  }
}

const asNumber = (text: string | null): number | null =>
  text === null || !Number.isFinite(Number(text)) ? null : Number(text);
