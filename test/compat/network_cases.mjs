// Cases about WebSockets as a client on the network sees them: the same client's script against both servers.
import { outcomes, pause, table } from './stage.mjs';
import { answer, serve } from './websocket_cases.mjs';

const { definitions } = table();
const add = (name, client, parts = {}) => (definitions[name] = { client, ...parts });

// An object that accepts in the way that the case is about, and notes what it sees.
const server = (accept) => ({
  fetch(ctx) {
    return serve(ctx, this, accept);
  },
  message(ctx, ws, message) {
    return answer(this, ws, message);
  },
  close(ctx, ws, code, reason, wasClean) {
    this.journal.push(`close ${code} ${reason} ${wasClean}`);
    // The runtime answers a Close by itself only for sockets that do not hibernate.
    ws.close(code === 1005 || code === 1006 ? 1000 : code, reason.slice(0, 50));
  },
  error(ctx, ws, error) {
    this.journal.push(`error ${error.message}`);
  },
});
const kinds = ['plain', 'hibernatable'];

for (const accept of kinds) {
  add(`network: ${accept}, open, talk, close`, async ({ connect, notes, until }) => {
    const client = connect();
    await client.until(1);
    for (const message of ['text', '', 'é💥', 'x'.repeat(70_000)]) client.ws.send(message);
    for (const bytes of [[1, 2, 3], [], new Array(200).fill(7)]) client.ws.send(Uint8Array.from(bytes));
    await client.until(8);
    client.ws.close(1000, 'bye');
    await client.closed();
    await until(async () => (await notes()).length >= 4);
    return [client.events, await notes()];
  }, server(accept));
  add(`network: ${accept}, the client's close codes`, async ({ connect, notes, until }) => {
    const out = [];
    for (const args of [[], [1000], [1000, 'bye'], [1001, 'away'], [1002], [1003], [1007], [1008, 'policy'], [1009], [1010], [1011, 'x'.repeat(123)], [1012], [1013], [1014], [3000, 'é'], [3999], [4000, 'own'], [4999]]) {
      const client = connect(args.join('-').slice(0, 10));
      await client.until(1);
      client.ws.close(...args);
      await client.closed();
      await until(async () => (await notes(args.join('-').slice(0, 10))).length > 0, 2000);
      out.push([args.join(' ').slice(0, 20), client.events, await notes(args.join('-').slice(0, 10))]);
    }
    return out;
  }, server(accept));
  add(`network: ${accept}, the server's close codes`, async ({ connect, notes, until }) => {
    const out = [];
    for (const args of [[], [1000], [1000, 'bye'], [1001], [1002], [1003], [1007], [1008, 'policy'], [1009], [1011], [1012], [1014], [3000, 'é'], [4999, 'own']]) {
      const client = connect(args.join('-'));
      await client.until(1);
      client.ws.send(`close ${args.join(' ')}`.trim());
      await client.closed();
      await until(async () => (await notes(args.join('-'))).length > 0, 2000);
      out.push([args.join(' '), client.events, await notes(args.join('-'))]);
    }
    return out;
  }, server(accept));
  add(`network: ${accept}, the connection is cut`, async ({ connect, notes, until }) => {
    const client = connect();
    await client.until(1);
    client.ws.send('hello');
    await client.until(2);
    client.ws.terminate();
    await until(async () => (await notes()).length > 0);
    return [client.events.slice(0, 2), await notes()];
  }, server(accept));
  add(`network: ${accept}, many messages in order`, async ({ connect }) => {
    const client = connect();
    await client.until(1);
    for (let i = 0; i < 500; i++) client.ws.send(`${i}`);
    await client.until(501);
    return [client.events.length, client.events.slice(1).every((event, i) => event === `text echo ${i}`)];
  }, server(accept));
  add(`network: ${accept}, messages of a megabyte`, async ({ connect }) => {
    const client = connect();
    await client.until(1);
    client.ws.send('x'.repeat(1_000_000));
    client.ws.send(Buffer.alloc(1_000_000, 1));
    await client.until(3);
    return client.events;
  }, server(accept));
  add(`network: ${accept}, a message in many frames`, async ({ connect }) => {
    const client = connect();
    await client.until(1);
    client.ws.send('one ', { fin: false });
    client.ws.send('message ', { fin: false });
    client.ws.ping('between');
    client.ws.send('in pieces', { fin: true });
    await client.until(3);
    return client.events.toSorted();
  }, server(accept));
  add(`network: ${accept}, pings are answered`, async ({ connect, notes }) => {
    const client = connect();
    await client.until(1);
    client.ws.ping('a payload');
    await client.until(2);
    client.ws.ping();
    await client.until(3);
    client.ws.pong('nobody asked');
    client.ws.send('still here');
    await client.until(4);
    return [client.events, await notes()];
  }, server(accept));
  add(`network: ${accept}, the object is reset`, async ({ connect, fetch }) => {
    const client = connect();
    await client.until(1);
    client.ws.send('hello');
    await client.until(2);
    client.ws.send('note die');
    await client.closed();
    return client.events;
  }, {
    ...server(accept),
    fetch(ctx) {
      const response = serve(ctx, this, accept);
      this.server.addEventListener('message', (event) => event.data === 'note die' && ctx.abort('dies'));
      return response;
    },
    message(ctx, ws, message) {
      if (message === 'note die') ctx.abort('dies');
      ws.send(`echo ${message}`);
    },
  });
  add(`network: ${accept}, sent and closed before the upgrade`, async ({ connect, until, notes }) => {
    const client = connect();
    await client.closed();
    await until(async () => (await notes()).length > 0, 1000);
    return [client.events, await notes()];
  }, {
    ...server(accept),
    fetch(ctx) {
      const response = serve(ctx, this, accept);
      this.server.send('early');
      this.server.send('early too');
      this.server.close(3001, 'at once');
      return response;
    },
  });
  for (const [what, frame] of Object.entries({
    'a reserved opcode': (client) => client.frame(0x83),
    'a reserved bit': (client) => client.frame(0xc1, [65]),
    'a continuation of nothing': (client) => client.frame(0x80, [65]),
    'a message in a message': (client) => (client.frame(0x01, [65]), client.frame(0x81, [66])),
    'a ping in pieces': (client) => client.frame(0x09, [65]),
    'a ping of 126 bytes': (client) => client.frame(0x89, new Array(126).fill(65)),
    'text that is no UTF-8': (client) => client.frame(0x81, [0xff, 0xfe]),
    'a Close of one byte': (client) => client.frame(0x88, [3]),
    'a Close with code 999': (client) => client.frame(0x88, [3, 231]),
    'a Close with code 1005': (client) => client.frame(0x88, [3, 237]),
    'a frame without a mask': (client) => client.raw([0x81, 1, 65]),
  })) {
    add(`network: ${accept}, ${what}`, async ({ connect, notes, until }) => {
      const client = connect();
      await client.until(1);
      client.ws.send('before');
      await client.until(2);
      frame(client);
      await client.closed(2000);
      await until(async () => (await notes()).length > 0, 1000);
      // The texts are each runtime's own.
      return [client.events, await notes()].map((list) => list.map((entry) => entry.replace(/^(close 100[27]|error) .*/, '$1')));
    }, server(accept));
  }
}

add('network: half-open, the server goes on after a Close', async ({ connect, notes, until }) => {
  const client = connect();
  await client.until(1);
  client.ws.close(3000, 'client');
  await until(async () => (await notes()).length > 0);
  await client.closed();
  return [client.events, await notes()];
}, {
  fetch(ctx) {
    const response = serve(ctx, this, 'half-open');
    this.server.addEventListener('close', async () => {
      this.journal.push(...outcomes(() => this.server.send('after your close'), () => this.server.readyState));
      await pause(5);
      this.server.close(3001, 'server');
    });
    return response;
  },
});
add('network: auto-response', async ({ connect, notes }) => {
  const client = connect();
  await client.until(1);
  client.ws.send('ping');
  await client.until(2);
  client.ws.send('other');
  await client.until(3);
  client.ws.send(Buffer.from('ping'));
  await client.until(4);
  client.ws.send('ping');
  await client.until(5);
  return [client.events, await notes()];
}, {
  ...server('hibernatable'),
  fetch(ctx) {
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair('ping', 'pong'));
    return serve(ctx, this, 'hibernatable');
  },
});
add('network: subprotocols are the server\'s to choose', async ({ connect }) => {
  const out = [];
  for (const [object, protocols] of [['none', []], ['chosen', ['a', 'b']], ['ignored', ['a', 'b']], ['other', ['a']]]) {
    const client = connect(object, { protocols });
    await client.until(1);
    out.push([object, client.events.slice(0, 1).map((event) => event.split(' ')[0]), client.header('sec-websocket-protocol'), client.ws.protocol]);
  }
  return out;
}, {
  fetch(ctx, request) {
    const [client, own] = Object.values(new WebSocketPair());
    own.accept();
    const headers = { chosen: { 'sec-websocket-protocol': 'b' }, other: { 'sec-websocket-protocol': 'z' } }[ctx.id.name.split('#')[1]] ?? {};
    return new Response(null, { status: 101, webSocket: client, headers });
  },
});
add('network: headers of the response', async ({ connect }) => {
  const client = connect();
  await client.until(1);
  return [client.response.statusCode, client.header('x-mine'), client.header('set-cookie'), client.header('upgrade')?.toLowerCase(), client.header('connection')?.toLowerCase(), typeof client.header('sec-websocket-accept')];
}, {
  fetch() {
    const [client, own] = Object.values(new WebSocketPair());
    own.accept();
    return new Response(null, { status: 101, webSocket: client, headers: [['x-mine', '1'], ['set-cookie', 'a=1'], ['set-cookie', 'b=2']] });
  },
});
add('network: headers that the object sees', async ({ connect, notes }) => {
  const client = connect('', { headers: { 'x-own': 'v' }, protocols: ['p'] });
  await client.until(1);
  return await notes();
}, {
  fetch(ctx, request) {
    const names = ['upgrade', 'x-own', 'sec-websocket-version', 'sec-websocket-protocol'];
    this.journal.push([request.method, ...names.map((name) => request.headers.get(name))]);
    const [client, own] = Object.values(new WebSocketPair());
    own.accept();
    return new Response(null, { status: 101, webSocket: client, headers: { 'sec-websocket-protocol': 'p' } });
  },
});
for (const [what, make] of Object.entries({
  'a 403': () => new Response('not you', { status: 403 }),
  'a 200': () => new Response('no socket', { status: 200 }),
  'a redirect': () => new Response(null, { status: 302, headers: { location: 'http://elsewhere.test/' } }),
  'an exception': () => {
    throw new Error('no upgrade today');
  },
})) {
  add(`network: the upgrade is answered with ${what}`, async ({ connect }) => {
    const client = connect();
    await client.closed();
    return client.events.map((event) => (what === 'an exception' ? event.split(' ').slice(0, 2).join(' ') : event));
  }, { fetch: make });
}
add('network: a socket for a request that did not ask', async ({ fetch }) => (await fetch()).status, server('plain'));
add('network: handshakes that are none', async ({ fetch }) => {
  const key = { 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==', 'sec-websocket-version': '13', connection: 'Upgrade', upgrade: 'websocket' };
  const out = [];
  for (const headers of [key, { ...key, upgrade: 'WebSocket' }, { ...key, connection: 'keep-alive, Upgrade' }, { ...key, upgrade: 'h2c' }]) {
    out.push((await fetch('', { headers })).status);
  }
  return out;
}, {
  fetch(ctx, request) {
    if (request.headers.get('upgrade')?.toLowerCase() !== 'websocket') return new Response('no upgrade asked', { status: 426 });
    return serve(ctx, this, 'plain');
  },
});
add('network: the accept header is the right one', async ({ fetch }) => (await fetch('', { headers: { 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==', 'sec-websocket-version': '13', connection: 'Upgrade', upgrade: 'websocket' } })).headers['sec-websocket-accept'], server('plain'));
for (const [what, through] of Object.entries({
  'as it is': (response) => response,
  'copied': (response) => new Response(response.body, response),
  'its socket in a new Response': (response) => new Response(null, { status: 101, webSocket: response.webSocket }),
})) {
  add(`network: passed on by a Worker, ${what}`, async ({ connect, notes, until }) => {
    const client = connect();
    await client.until(1);
    client.ws.send('hello');
    client.ws.send(Buffer.from([1]));
    await client.until(3);
    client.ws.close(3000, 'through');
    await client.closed();
    await until(async () => (await notes()).length > 1);
    return [client.events, await notes()];
  }, { ...server('hibernatable'), serve: async ({ stub, request }) => through(await stub.fetch(request)) });
}
add('network: a Worker in the middle, message by message', async ({ connect, notes, until }) => {
  const client = connect();
  await client.until(1);
  client.ws.send('hello');
  await client.until(2);
  client.ws.send('close 3002 server');
  await client.closed();
  return [client.events];
}, {
  ...server('hibernatable'),
  async serve({ stub, request }) {
    const far = (await stub.fetch(request)).webSocket;
    const [client, near] = Object.values(new WebSocketPair());
    far.accept();
    near.accept();
    for (const [from, to] of [[far, near], [near, far]]) {
      from.addEventListener('message', (event) => to.send(`${event.data}`));
      from.addEventListener('close', (event) => to.close(event.code, event.reason));
    }
    return new Response(null, { status: 101, webSocket: client });
  },
});
add('network: a broadcast to all in a room', async ({ connect }) => {
  const clients = Array.from({ length: 10 }, () => connect());
  await Promise.all(clients.map((client) => client.until(1)));
  clients[3].ws.send('to all');
  await Promise.all(clients.map((client) => client.until(2)));
  return clients.map((client) => client.events);
}, {
  fetch(ctx) {
    return serve(ctx, this, 'hibernatable');
  },
  message(ctx, ws, message) {
    for (const each of ctx.getWebSockets()) each.send(message);
  },
});

export const networkCases = definitions;
