import { randomBytes } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { writeWhole } from '../store/write-whole.js';

type Environment = Readonly<Record<string, string | undefined>>;

/** The file in the data folder that holds the token of the user who runs the daemon. */
export const tokenFile = 'token';

/** Made anew at each start: one that was shown to another program at an old address is worth nothing. */
export const newLocalToken = (): string => randomBytes(32).toString('base64url');

/**
 * Writes the token where the user's own commands find it: in the data folder, and under the daemon's address. A state folder
 * that cannot be written, as that of a system service, is told to `onUnwritten`: commands then need HILDA_TOKEN.
 */
export async function announceToken(
  token: string,
  {
    dataDir,
    url,
    env = process.env,
    onUnwritten,
  }: { dataDir: string; url: string; env?: Environment; onUnwritten?: (thrown: unknown) => void },
): Promise<() => Promise<void>> {
  const [inData, byAddress] = [join(dataDir, tokenFile), tokenPath(url, env)];
  await writeWhole(inData, `${token}\n`);
  if (byAddress) await writeWhole(byAddress, `${token}\n`).catch((thrown) => onUnwritten?.(thrown));
  const paths = byAddress ? [inData, byAddress] : [inData];
  return async () => {
    // Another daemon may have taken the address since.
    for (const path of paths) if ((await read(path)) === token) await rm(path, { force: true });
  };
}

/**
 * The token that commands of this user show the daemon at `base`: HILDA_TOKEN, or what the daemon wrote down for its user.
 * Undefined where there is none, or it is another user's.
 */
export async function localTokenFor(
  base: string,
  env: Environment = process.env,
): Promise<string | undefined> {
  if (env.HILDA_TOKEN) return env.HILDA_TOKEN.trim();
  const path = tokenPath(base, env);
  return path === undefined ? undefined : read(path);
}

/** Kept in sync with scripts/python/hilda_client/http.py. */
function tokenPath(base: string, env: Environment): string | undefined {
  const state = env.XDG_STATE_HOME || join(env.HOME || homedir(), '.local', 'state');
  if (!URL.canParse(base)) return undefined;
  const { hostname, port, protocol } = new URL(base);
  const host = hostname === 'localhost' ? '127.0.0.1' : hostname.replace(/[^\w.-]/g, '');
  return join(state, 'hilda', 'tokens', `${host}-${port || (protocol === 'https:' ? '443' : '80')}`);
}

const read = (path: string): Promise<string | undefined> =>
  readFile(path, 'utf8').then(
    (text) => text.trim() || undefined,
    () => undefined,
  );
