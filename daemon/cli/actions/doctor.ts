import { AdbServer } from '../../devices/adb/adb-server.js';
import { examinePhones } from '../../devices/adb/preflight.js';
import { examineKinds } from '../../devices/examine-kinds.js';
import { loadBoardProfiles } from '../../devices/mcu/board-profile.js';
import { examine } from '../../devices/mcu/doctor.js';
import { udevRules } from '../../devices/mcu/udev-rules.js';
import type { CliContext } from '../context.js';

export async function doctorAction(
  context: CliContext,
  { udev }: { readonly udev?: boolean },
): Promise<void> {
  const { terminal } = context;
  const profiles = loadBoardProfiles();
  if (udev) {
    terminal.out(udevRules(profiles));
    return;
  }
  const port = terminal.env.ANDROID_ADB_SERVER_PORT;
  const adb = new AdbServer({ clock: terminal.clock, ...(port && { port: Number(port) }) });
  const findings = [
    ...(await examineKinds(context)),
    ...(await examine(profiles, context)),
    ...(await examinePhones(adb, context)),
  ];
  context.answer('doctor', { findings }, () =>
    findings
      .map(({ level, what, remedy }) => `${level.padEnd(6)}  ${what}${remedy ? `\n        ${remedy}` : ''}`)
      .join('\n'),
  );
}
