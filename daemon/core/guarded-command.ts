/** Which of the child's descriptors the guard watches: give it a pipe there, e.g. `stdio: [..., 'pipe']` as the fourth. */
export const guardDescriptor = 3;

/**
 * A command line that ends, with all that it started, when the process that started it does, however that ends. A guard
 * beside the command reads a pipe that only the parent holds open; at its end it kills the process group. Spawn it with
 * `detached: true`, so that the group is its own; the command keeps the process id. Needs a POSIX shell: elsewhere the
 * command is left as it is. Programs that leave their group on purpose (setsid) are not reached.
 */
export const guardedCommand = (
  command: readonly [string, ...string[]],
  platform: string,
): readonly [string, ...string[]] =>
  platform === 'win32'
    ? command
    : [
        '/bin/sh',
        '-c',
        '(trap "" HUP INT TERM; read -r _ <&3; kill -KILL 0) >/dev/null 2>&1 & exec "$@" 3<&-',
        'sh',
        ...command,
      ];

/** Kills a process and its whole group. One that is gone is left alone. */
export function killGroup(pid: number | undefined, kill: (pid: number, signal: 'SIGKILL') => unknown): void {
  if (pid === undefined) return;
  try {
    kill(-pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}
