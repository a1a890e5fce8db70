import { readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import express, { type Handler, type Router } from 'express';
import { revalidated, sendBytes } from './answer.js';

/** Nothing from elsewhere, nothing inline, no frames. uPlot sets styles through the CSSOM, which the policy allows. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

export const securityHeaders: Handler = (_request, response, next) => {
  response.set({
    'Content-Security-Policy': contentSecurityPolicy,
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Cross-Origin-Resource-Policy': 'same-origin',
  });
  next();
};

/** The dashboard's built files: those that a browser reads as text travel packed. */
export function servePage(dashboardDir: string): Router {
  const router = express.Router();
  router.get(/^\/([\w-]+\.(?:js|css|html|svg))?$/, async (request, response, next) => {
    const name = (request.params as unknown as readonly (string | undefined)[])[0] ?? 'index.html';
    const bytes = await readFile(join(dashboardDir, name)).catch(() => null);
    if (!bytes) return next();
    response.type(extname(name));
    await sendBytes(request, response, bytes, revalidated);
  });
  router.use(express.static(dashboardDir, { index: false, dotfiles: 'ignore', maxAge: 0 }));
  return router;
}
