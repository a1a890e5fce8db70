import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { openPlugin, spaceContract } from 'hilda/testing';

const plugin = await openPlugin(fileURLToPath(new URL('..', import.meta.url)));
const space = plugin.space({ kind: 'residual', id: 'residual-small', input: [1, 16, 16], classes: 4 });

for (const { name, run } of spaceContract(space, 40)) test(name, run);
