import { once } from 'node:events';
import { WebSocket } from 'ws';

/** `node scale-readers.js URL N`: so many clients of the event channel that hear everything, until the parent goes. */
const [url = '', count = '0'] = process.argv.slice(2);
let heard = 0;
const sockets = Array.from({ length: Number(count) }, () => {
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/v1/ws`, { perMessageDeflate: false });
  socket.on('message', () => heard++);
  return socket;
});
await Promise.all(sockets.map((socket) => once(socket, 'open')));
for (const socket of sockets)
  socket.send(
    JSON.stringify({
      op: 'sub',
      topics: ['devices', 'measurements', 'predictors', 'study.*', 'specialisation.*'],
    }),
  );
process.on('message', () => process.send?.({ heard }));
process.on('disconnect', () => process.exit());
process.send?.({ heard });
