import express, { type Handler } from 'express';

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

/** The dashboard's built files. */
export const servePage = (dashboardDir: string): Handler =>
  express.static(dashboardDir, { index: 'index.html', dotfiles: 'ignore', maxAge: 0 });
