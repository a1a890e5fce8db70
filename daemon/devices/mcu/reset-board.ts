import type { BoardProfile } from './board-profile.js';
import { type FlashTools, systemTools } from './flash-tools.js';
import type { PortFacts } from './port-identity.js';

/**
 * What resets a board by the debug probe on its own USB plug. Undefined where the profile names no probe, no tool for it is
 * installed, or the probe has no serial number: another board's might answer then.
 */
export function resetByProbe(
  { resetBy, flash }: BoardProfile,
  port: PortFacts,
  tools: FlashTools = systemTools,
): (() => Promise<void>) | undefined {
  const { vendorId, productId, serialNumber: serial } = port;
  if (resetBy !== 'probe' || flash?.method !== 'probe' || !serial) return undefined;
  const { openocd, openocdTransport, probeRsChip, stFlash } = flash;
  const [adapter = '', ...targets] = openocd;
  const chosen = [
    `adapter serial ${serial}`,
    ...(openocdTransport ? [`transport select ${openocdTransport}`] : []),
  ];
  const commands = (list: readonly string[]): string[] => list.flatMap((command) => ['-c', command]);
  const ways: readonly (readonly [program: string, args: readonly string[]])[] = [
    [
      'openocd',
      [
        '-f',
        adapter,
        ...commands(chosen),
        ...targets.flatMap((file) => ['-f', file]),
        ...commands(['init', 'reset run', 'shutdown']),
      ],
    ],
    ...(stFlash ? [['st-flash', ['--serial', serial, 'reset']] as const] : []),
    ['probe-rs', ['reset', '--chip', probeRsChip, '--probe', `${vendorId}:${productId}:${serial}`]],
  ];
  const way = ways.find(([program]) => tools.which(program));
  return way && (() => tools.run(way[0], way[1]));
}
