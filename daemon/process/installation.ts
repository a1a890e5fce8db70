import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** From dist/daemon/cli to the project's root. */
const rootUrl = new URL('../../../', import.meta.url);

export const profilesDir = fileURLToPath(new URL('profiles', rootUrl));
export const joinDir = fileURLToPath(new URL('dist/dashboard/join', rootUrl));
export const dashboardDir = fileURLToPath(new URL('dist/dashboard', rootUrl));

export function hildaVersion(): string {
  return (JSON.parse(readFileSync(new URL('package.json', rootUrl), 'utf8')) as { version: string }).version;
}
