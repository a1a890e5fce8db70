// Type-checks dashboard/ and bundles it, and the page that phones open, to dist/dashboard. No asset comes from elsewhere.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const outdir = `${root}dist/dashboard`;

try {
  execFileSync(process.execPath, [`${root}node_modules/typescript/bin/tsc`, '-p', `${root}dashboard`], {
    stdio: 'inherit',
  });
} catch {
  // The compiler has said what is wrong.
  process.exit(1);
}
mkdirSync(outdir, { recursive: true });
const shared = {
  bundle: true,
  minify: true,
  sourcemap: 'linked',
  format: 'esm',
  target: 'es2023',
  jsx: 'automatic',
  jsxImportSource: 'preact',
  define: { 'process.env.NODE_ENV': '"production"' },
  logLevel: 'warning',
};
await build({ ...shared, entryPoints: [`${root}dashboard/src/main.tsx`], outdir });
for (const file of ['index.html', 'icon.svg']) cpSync(`${root}dashboard/${file}`, `${outdir}/${file}`);

// The runtime's wasm files stand beside the page under their version, so that phones may keep them for good.
const ort = `${root}node_modules/onnxruntime-web`;
const { version } = JSON.parse(readFileSync(`${ort}/package.json`, 'utf8'));
const joinDir = `${outdir}/join`;
const join = `${root}dashboard/join`;
await build({
  ...shared,
  entryPoints: ['main.tsx', 'worker-wasm.ts', 'worker-webgpu.ts'].map((file) => `${join}/src/${file}`),
  outdir: joinDir,
  define: {
    ...shared.define,
    runtimeVersion: JSON.stringify(version),
    ortFiles: JSON.stringify(`ort/${version}/`),
  },
});
cpSync(`${join}/index.html`, `${joinDir}/index.html`);
cpSync(`${root}dashboard/icon.svg`, `${joinDir}/icon.svg`);
for (const build of ['ort-wasm-simd-threaded', 'ort-wasm-simd-threaded.asyncify']) {
  for (const kind of ['mjs', 'wasm'])
    cpSync(`${ort}/dist/${build}.${kind}`, `${joinDir}/ort/${version}/${build}.${kind}`);
  // A quarter of the bytes: over a phone's radio the download is what joining waits for.
  const wasm = `${joinDir}/ort/${version}/${build}.wasm`;
  writeFileSync(`${wasm}.gz`, gzipSync(readFileSync(wasm), { level: 6 }));
}
