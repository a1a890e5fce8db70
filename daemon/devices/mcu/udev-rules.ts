import type { BoardProfile } from './board-profile.js';

export const udevRulesPath = '/etc/udev/rules.d/70-hilda.rules';

/** Rules that let every user open the ports of known boards and keep ModemManager away from them. */
export function udevRules(profiles: ReadonlyMap<string, BoardProfile>): string {
  const vendors = new Set([...profiles.values()].flatMap(({ usb }) => usb.map(({ vendorId }) => vendorId)));
  const rules = [...vendors]
    .sort()
    .map(
      (vendor) =>
        `SUBSYSTEM=="tty", ATTRS{idVendor}=="${vendor}", MODE="0666", ENV{ID_MM_DEVICE_IGNORE}="1", ENV{ID_MM_PORT_IGNORE}="1"`,
    );
  return ['# Serial ports of boards that hilda knows.', ...rules].join('\n');
}
