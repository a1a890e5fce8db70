import { execFile } from 'node:child_process';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Attack, Outcome } from './attack.js';
import type { AttackedDaemon } from './attacked-daemon.js';

/** `nobody` on every system that has one. */
const otherUid = 65_534;

/** Runs a script of node as another user of the machine. Its last line is the outcome's code, or `null`. */
function asOther(script: string, ...args: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ['--input-type=module', '-e', script, ...args],
      { uid: otherUid, gid: otherUid, cwd: '/', env: { PATH: '/usr/bin:/bin', HOME: '/nonexistent' } },
      (error, stdout, stderr) => {
        const code = stdout.trim().split('\n').at(-1) ?? '';
        const isRefused = !error && code !== '' && code !== 'null';
        resolve({ code: isRefused ? code : null, note: `${error?.message ?? ''} ${stderr.slice(-200)}` });
      },
    );
  });
}

const reads = `import { readFile } from 'node:fs/promises';
console.log(await readFile(process.argv[1]).then(() => 'null', ({ code }) => code));`;

const asks = `const [url, path, body] = process.argv.slice(1);
const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body };
const response = await fetch(url + '/v1' + path, body ? post : {});
const { code } = await response.json();
console.log(response.status >= 400 && code !== 'INTERNAL' ? code : null);`;

const file = (name: string, path: (daemon: AttackedDaemon) => string): Attack => ({
  kind: 'another uid',
  name,
  run: (daemon) => asOther(reads, path(daemon)),
});

const request = (name: string, path: string, body?: object): Attack => ({
  kind: 'another uid',
  name,
  run: ({ url }) => asOther(asks, url, path, ...(body ? [JSON.stringify(body)] : [])),
});

const program = { name: 'a', evaluator: { kind: 'command', command: ['/bin/sh', '-c', 'id'] } };

/** What an account of the same machine tries; needs to be root, who may become another. */
export const users: readonly Attack[] =
  process.getuid?.() !== 0
    ? []
    : [
        file('reads the token in the data folder', ({ dataDir }) => join(dataDir, 'token')),
        file('reads the database', ({ dataDir }) => join(dataDir, 'hilda.sqlite')),
        file('reads the token under the daemon’s address', ({ url }) => {
          const state = process.env.XDG_STATE_HOME ?? join(homedir(), '.local', 'state');
          return join(state, 'hilda', 'tokens', `127.0.0.1-${new URL(url).port}`);
        }),
        request('lists devices', '/devices'),
        request('starts a program', '/studies', program),
        request('asks for a link to the page', '/access/links', {}),
      ];
