import { spawn } from 'node:child_process';
import { HildaError } from '../core/errors.js';

/** Waits until the manager has read the message (BARRIER=1): it asks who sent it, and a process that ended is unknown. */
const python = `
import os, select, socket, sys
address = os.environ['NOTIFY_SOCKET']
line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
line.connect('\\0' + address[1:] if address[0] == '@' else address)
line.send('\\n'.join(sys.argv[1:]).encode())
ours, theirs = os.pipe()
socket.send_fds(line, [b'BARRIER=1'], [theirs])
os.close(theirs)
select.select([ours], [], [], 5)
`;

/** Programs that can send a datagram to a unix socket, which Node cannot. The first comes with systemd. */
const tools: readonly (readonly [string, readonly string[]])[] = [
  ['systemd-notify', []],
  ['python3', ['-c', python]],
];

const toolMs = 10_000;

/** Sends `NAME=value` lines as sd_notify(3) does. Throws INTERNAL where no tool can. */
export async function sendNotification(address: string, lines: readonly string[]): Promise<void> {
  const failures: string[] = [];
  for (const [program, first] of tools) {
    const failure = await run(program, [...first, ...lines], address);
    if (failure === null) return;
    failures.push(`${program}: ${failure}`);
  }
  throw new HildaError('INTERNAL', `the service manager could not be told: ${failures.join('; ')}`, {
    hint: 'Install systemd-notify, or write Type=exec without WatchdogSec in the unit.',
  });
}

/** Null where it did as asked. */
const run = (program: string, args: readonly string[], address: string): Promise<string | null> =>
  new Promise((resolve) => {
    const child = spawn(program, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, NOTIFY_SOCKET: address },
      timeout: toolMs,
      killSignal: 'SIGKILL',
    });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-200);
    });
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) =>
      resolve(code === 0 ? null : `${signal ?? `exit ${code}`} ${said.trim()}`.trim()),
    );
  });
