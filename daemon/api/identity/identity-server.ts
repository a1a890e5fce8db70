import type { RequestListener } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Socket } from 'node:net';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { Certificate } from './certificate.js';
import type { DaemonIdentity } from './daemon-identity.js';

/** An https server that shows each client the certificate of the address it came in at, or of the name it asks for. */
export function createIdentityServer(identity: DaemonIdentity, listener: RequestListener): Server {
  const contexts = new Map<string, SecureContext>();
  const contextOf = ({ key, cert, fingerprint }: Certificate): SecureContext => {
    const context = contexts.get(fingerprint) ?? createSecureContext({ key, cert });
    contexts.set(fingerprint, context);
    return context;
  };
  let shown = identity.certificateFor('127.0.0.1');
  const server = createServer(
    {
      ...shown,
      // Node waits two minutes for a handshake, and looks every half minute for requests that are late.
      handshakeTimeout: 5000,
      connectionsCheckingInterval: 1000,
      SNICallback: (name, answer) => answer(null, contextOf(identity.certificateNamed(name))),
    },
    listener,
  );
  // Clients that ask for an address name no host. Their handshake takes the context that the server has at this moment.
  server.prependListener('connection', (socket: Socket) => {
    const wanted = identity.certificateFor(socket.localAddress ?? '');
    if (wanted.fingerprint === shown.fingerprint) return;
    shown = wanted;
    server.setSecureContext({ key: wanted.key, cert: wanted.cert });
  });
  return server;
}
