/** A stand-in for a user's scoring command: architecture as JSON on stdin, `{"accuracy": x}` on stdout. */
import { readFileSync } from 'node:fs';

const { architecture } = JSON.parse(readFileSync(0, 'utf8')) as { architecture: number[] };
const sum = architecture.reduce((total, choice, i) => total + choice * (1 + (i % 3)), 0);
console.log(JSON.stringify({ accuracy: 0.5 + 0.4 * (1 - Math.exp(-sum / 20)) }));
