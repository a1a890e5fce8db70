/** What adb's states of a device mean for people; the states are those of `adb devices`. */
const obstacles: ReadonlyMap<string, string> = new Map([
  [
    'unauthorized',
    'The phone does not trust this computer yet. Unlock it and accept the question on its screen.',
  ],
  [
    'authorizing',
    'The phone is being asked whether it trusts this computer. Accept the question on its screen.',
  ],
  ['offline', 'The phone is offline. Unplug it and plug it in again.'],
  ['no permissions', 'This user may not use the phone. Install the udev rules of adb and plug it in again.'],
  ['no', 'This user may not use the phone. Install the udev rules of adb and plug it in again.'],
]);

export const obstacleOf = (state: string): string =>
  obstacles.get(state) ?? `adb calls the phone "${state}". See \`adb devices\`.`;
