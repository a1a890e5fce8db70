import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/** Connections of one address that have not said anything whole yet; many phones may share one behind a proxy. */
const mostSilent = 64;

/**
 * Closes the connections of an address beyond `most` that have sent no request. An address that opens many and says nothing
 * uses up its own share of the sockets alone. A TLS handshake is no request.
 */
export function limitSilent(http: Server, most = mostSilent): void {
  const silent = new Map<string, Set<string>>();
  const nameOf = ({ remoteAddress = '', remotePort = 0 }: Socket): string => `${remoteAddress} ${remotePort}`;
  const forget = (address: string, name: string): void => {
    const named = silent.get(address);
    named?.delete(name);
    if (named?.size === 0) silent.delete(address);
  };
  http.on('connection', (socket: Socket) => {
    // Known only while the socket is open.
    const [address, name] = [socket.remoteAddress ?? '', nameOf(socket)];
    const named = silent.get(address) ?? new Set();
    if (named.size >= most) return void socket.destroy();
    silent.set(address, named.add(name));
    socket.once('close', () => forget(address, name));
  });
  const spoke = ({ socket }: { readonly socket: Socket }): void =>
    forget(socket.remoteAddress ?? '', nameOf(socket));
  http.on('request', spoke);
  http.on('upgrade', spoke);
}
