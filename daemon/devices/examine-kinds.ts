import type { Finding } from './mcu/doctor-probe.js';
import { openDrivers } from './registry.js';

/** Which kinds of devices cannot be used on this machine, and whether its own processor can. */
export async function examineKinds({ signal }: { readonly signal: AbortSignal }): Promise<Finding[]> {
  const { drivers, unusable } = await openDrivers();
  const findings: Finding[] = unusable
    // What is wrong with serial ports is said where they are examined.
    .filter(({ kind }) => kind !== 'mcu')
    .map(({ kind, obstacle }) => ({
      level: 'fault',
      what: `devices of the kind ${kind} cannot be used`,
      remedy: obstacle,
    }));
  const host = drivers.find(({ kind }) => kind === 'onnxruntime');
  for await (const { label, target, obstacle } of host?.discover({ signal }) ?? [])
    findings.push(
      obstacle === null
        ? { level: 'ok', what: `${label} computes with onnxruntime ${target.runtimeVersion}`, remedy: '' }
        : { level: 'fault', what: `${label} cannot be measured`, remedy: obstacle },
    );
  return findings;
}
