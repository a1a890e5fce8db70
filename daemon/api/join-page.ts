import express, { type Handler, type Router } from 'express';

/** Isolation gives the page the fine clock and threads; wasm and its workers come from here alone. */
const headers = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Content-Security-Policy': [
    "default-src 'none'",
    "script-src 'self' 'wasm-unsafe-eval'",
    "worker-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
} as const;

const isolate: Handler = (_request, response, next) => {
  response.set(headers);
  next();
};

/** The runtime as the build packed it, to browsers that can unpack it. It still compiles as it streams in. */
const packed: Handler = (request, response, next) => {
  if (!request.path.endsWith('.wasm')) return next();
  response.vary('Accept-Encoding');
  if (request.acceptsEncodings('gzip') === 'gzip') {
    response.set({ 'Content-Encoding': 'gzip', 'Content-Type': 'application/wasm' });
    request.url = request.url.replace(/\.wasm(?=$|\?)/, '.wasm.gz');
  }
  next();
};

/** The page that phones open, at /join/, from its built folder. The runtime's files carry its version in their path. */
export function serveJoinPage(joinDir: string): Router {
  const router = express.Router();
  router.use(
    '/join/ort',
    isolate,
    packed,
    express.static(`${joinDir}/ort`, { index: false, immutable: true, maxAge: '365d' }),
  );
  router.use(
    '/join',
    isolate,
    express.static(joinDir, { index: 'index.html', dotfiles: 'ignore', maxAge: 0 }),
  );
  return router;
}
