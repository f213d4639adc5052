// Cases about WebSockets in which both ends are in Workers: pairs in one object, and connections to an object.
// What a client on the network sees is in websocket_clients.mjs.
import { outcome, outcomes, pause, table, told, until } from './stage.mjs';

const { definitions, staged, alone } = table();

function data(value) {
  if (typeof value === 'string') return value.length > 100 ? `<${value.length} chars>` : value;
  if (value instanceof ArrayBuffer) return `ArrayBuffer ${value.byteLength > 20 ? value.byteLength : [...new Uint8Array(value)]}`;
  if (value instanceof Blob) return `Blob ${value.size} ${value.type}`;
  return typeof value;
}

// Notes what comes out of a socket.
export class Ear {
  events = [];
  constructor(ws) {
    this.ws = ws;
    ws.addEventListener('message', (event) => this.#note(`message ${data(event.data)}`));
    ws.addEventListener('close', (event) => this.#note(`close ${event.code} ${event.reason} ${event.wasClean}${event.wasClean ? ` readyState=${ws.readyState}` : ''}`));
    ws.addEventListener('error', (event) => this.#error(event.message));
  }
  #note(text) {
    this.events.push(text);
    this.wake?.();
  }
  // workerd says of many a socket that closes well that its connection is lost.
  #error(text) {
    if (this.ws.readyState < WebSocket.CLOSING) this.#note(`error ${text}`);
  }
  async until(count) {
    const end = Date.now() + 4000;
    while (this.events.length < count && Date.now() < end) {
      const { promise, resolve } = Promise.withResolvers();
      this.wake = resolve;
      await Promise.race([promise, pause(200)]);
    }
    return this.events;
  }
  async closed() {
    await until(() => this.events.some((event) => event.startsWith('close')), 3000);
    return this.events;
  }
}

const pair = () => Object.values(new WebSocketPair());
// Both ends here, accepted.
function heardPair(options) {
  const [a, b] = pair();
  a.accept(options);
  b.accept(options);
  return [new Ear(a), new Ear(b)];
}

async function connect(stub, path = '', options = undefined) {
  const response = await stub.fetch(`http://x/${path}`, { headers: { Upgrade: 'websocket' } });
  const ws = response.webSocket;
  if (ws === null) return { status: response.status };
  ws.accept(options);
  return new Ear(ws);
}

// A server's end for each way of accepting. Its parts note what they see.
export function serve(ctx, self, accept) {
  const [client, server] = pair();
  if (accept === 'hibernatable') {
    ctx.acceptWebSocket(server);
  } else {
    server.accept(accept === 'half-open' ? { allowHalfOpen: true } : undefined);
    server.binaryType = 'arraybuffer';
    server.addEventListener('message', (event) => answer(self, server, event.data));
    server.addEventListener('close', (event) => self.journal.push(`close ${event.code} ${event.reason} ${event.wasClean}${event.wasClean ? ` readyState=${server.readyState}` : ''}`));
  }
  self.server = server;
  return new Response(null, { status: 101, webSocket: client });
}
// Messages say what the server is to do.
export function answer(self, ws, message) {
  if (typeof message !== 'string') {
    self.journal.push(`message ${data(message)}`);
    ws.send(message);
    return;
  }
  const [verb, ...args] = message.split(' ');
  switch (verb) {
    case 'close':
      return ws.close(...(args.length > 0 ? [Number(args[0]), ...args.slice(1)] : []));
    case 'throw':
      throw new Error('thrown by the handler');
    case 'note':
      return self.journal.push(message);
    case 'state':
      return ws.send(`readyState=${ws.readyState}`);
    default:
      ws.send(`echo ${message}`);
  }
}
const server = (accept) => ({
  fetch(ctx) {
    return serve(ctx, this, accept);
  },
  message(ctx, ws, message) {
    return answer(this, ws, message);
  },
  close(ctx, ws, code, reason, wasClean) {
    this.journal.push(`close ${code} ${reason} ${wasClean} readyState=${ws.readyState} listed=${ctx.getWebSockets().includes(ws)}`);
  },
  error(ctx, ws, error) {
    this.journal.push(`error ${error.message}`);
  },
});
const kinds = ['plain', 'half-open', 'hibernatable'];

// ---------------------------------------------------------------- errors of close()
const codes = [undefined, null, 0, -1, 1, 999, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 1015, 1016, 1999, 2000, 2999, 3000, 3999, 4000, 4999, 5000, 65535, 65536 + 1000, 1e9, 1000.9, NaN, '1000', 'x', true, {}];
alone('websocket close: which codes are taken', async () =>
  codes.map((code) => {
    const [a, b] = pair();
    a.accept();
    b.accept();
    return [String(code), ...outcomes(() => a.close(code), () => a.readyState)];
  }),
);
alone('websocket close: before accept the codes are looked at first', async () => {
  const [a] = pair();
  return outcomes(() => a.close(5000), () => a.close(undefined, 'reason'), () => a.close(1000, 'x'.repeat(124)), () => a.close(1000), () => a.close());
});
alone('websocket close: reasons', async () => {
  const out = [];
  for (const args of [[1000, ''], [1000, 'r'], [1000, 'x'.repeat(123)], [1000, 'x'.repeat(124)], [1000, 'é'.repeat(61)], [1000, 'é'.repeat(62)], [1000, null], [1000, undefined], [1000, 5], [undefined, 'r'], [undefined, ''], [undefined, undefined], [1000, 'lone \ud800']]) {
    const [a, b] = heardPair();
    const [result] = outcomes(() => a.ws.close(...args));
    out.push([result, result === '<undefined>' ? await b.closed() : null]);
  }
  return out;
});
alone('websocket close: again and again', async () => {
  const [a, b] = heardPair();
  a.ws.close(1000, 'first');
  const again = outcomes(() => a.ws.close(1001, 'second'), () => a.ws.close(), () => a.ws.close(5000), () => a.ws.send('late'), () => a.ws.readyState);
  await b.closed();
  await a.closed();
  return [again, b.events, a.events, outcomes(() => a.ws.close(), () => a.ws.send('x'), () => b.ws.close(), () => b.ws.send('x'), () => a.ws.readyState, () => b.ws.readyState)];
});

// ---------------------------------------------------------------- close codes on their way
for (const accept of kinds) {
  staged(`websocket close: ${accept}, the client closes`, async ({ object }) => {
    const out = [];
    for (const args of [[], [1000], [1000, 'bye'], [1001], [1002, 'protocol'], [1007], [1008], [1009, 'big'], [1010], [1011, 'x'.repeat(123)], [1012], [1014], [1016], [2999], [3000, 'é'], [4999, 'end']]) {
      const stub = object(args.join());
      const ear = await connect(stub);
      ear.ws.close(...args);
      const seen = await until(async () => (await stub.notes()).length > 0, 3000);
      if (accept === 'half-open') await outcome(stub.run('closeIt'));
      out.push([args.join(' '), seen, await stub.notes(), await ear.closed()]);
    }
    return out;
  }, { ...server(accept), closeIt() {
    this.server.close(4321, 'late');
  } });
  staged(`websocket close: ${accept}, the server closes`, async ({ object }) => {
    const out = [];
    for (const args of [[], [1000], [1000, 'bye'], [1001], [1011], [3000, 'é'], [4999, 'end']]) {
      const stub = object(args.join());
      const ear = await connect(stub);
      ear.ws.send(`close ${args.join(' ')}`.trim());
      await ear.closed();
      await until(async () => (await stub.notes()).length > 0, 1000);
      out.push([args.join(' '), ear.events, ear.ws.readyState, await stub.notes()]);
    }
    return out;
  }, server(accept));
  staged(`websocket close: ${accept}, both at once`, async ({ object }) => {
    const stub = object();
    const ear = await connect(stub);
    ear.ws.send('close 3001 server');
    ear.ws.close(3002, 'client');
    await ear.closed();
    await until(async () => (await stub.notes()).length > 0, 1000);
    return [ear.events, await stub.notes()];
  }, server(accept));
  staged(`websocket: ${accept}, echo of every kind of data`, async ({ object }) => {
    const ear = await connect(object());
    ear.ws.send('text');
    ear.ws.send('');
    ear.ws.send('x'.repeat(100_000));
    ear.ws.send(new Uint8Array([1, 2, 3]));
    ear.ws.send(new Uint8Array([1, 2, 3, 4]).subarray(1, 3));
    ear.ws.send(new Uint16Array([256]).buffer);
    ear.ws.send(new DataView(new ArrayBuffer(4), 2));
    ear.ws.send(new ArrayBuffer(0));
    await ear.until(8);
    return [ear.events, await object().notes()];
  }, server(accept));
  staged(`websocket: ${accept}, an exception in a handler leaves the socket open`, async ({ object }) => {
    const ear = await connect(object());
    ear.ws.send('throw');
    ear.ws.send('after');
    return ear.until(1);
  }, server(accept));
  staged(`websocket: ${accept}, messages keep their order`, async ({ object }) => {
    const ear = await connect(object());
    for (let i = 0; i < 100; i++) ear.ws.send(`${i}`);
    await ear.until(100);
    return ear.events.every((event, i) => event === `message echo ${i}`);
  }, server(accept));
  staged(`websocket: ${accept}, the object is reset`, async ({ object }) => {
    const ear = await connect(object());
    ear.ws.send('hello');
    await ear.until(1);
    await outcome(object().run('end'));
    await ear.closed();
    return [ear.events, outcomes(() => ear.ws.send('x'), () => ear.ws.close())];
  }, { ...server(accept), end: (ctx) => ctx.abort('reset') });
}
staged('websocket close: the client of a plain socket half-open', async ({ object }) => {
  const stub = object();
  const ear = await connect(stub, '', { allowHalfOpen: true });
  ear.ws.send('close 3003 server');
  await ear.closed();
  const states = [ear.ws.readyState];
  ear.ws.send('note after the close');
  await until(async () => (await stub.notes()).length > 0, 2000);
  ear.ws.close(3004, 'client');
  await until(async () => (await stub.notes()).length > 1, 2000);
  return [ear.events, states, ear.ws.readyState, await stub.notes()];
}, server('half-open'));
staged('websocket close: in the close handler, with code, reason, and send', async ({ object }) => {
  const stub = object();
  const ear = await connect(stub);
  ear.ws.close(3005, 'client');
  await ear.closed();
  await until(async () => (await stub.notes()).length > 0, 2000);
  return [ear.events, await stub.notes()];
}, {
  fetch(ctx) {
    return serve(ctx, this, 'hibernatable');
  },
  close(ctx, ws, code, reason, wasClean) {
    this.journal.push([code, reason, wasClean, ws.readyState, ...outcomes(() => ws.send('in the handler'), () => ws.close(code, reason), () => ws.send('after close'), () => ws.close(1000))]);
  },
});

// ---------------------------------------------------------------- pairs
alone('websocket: a pair is what it is', () => {
  const both = new WebSocketPair();
  const [a, b] = both;
  return [Object.keys(both), Object.values(both).length, both[0] === a, both[1] === b, a instanceof WebSocket, a instanceof EventTarget, Object.prototype.toString.call(both), Object.prototype.toString.call(a), [...both].length, Object.keys(a), a.readyState, a.url, a.protocol, a.extensions, a.binaryType, new WebSocketPair(1)[0].readyState];
});
alone('websocket: constants on the class and its prototype', () => {
  const out = [];
  for (const holder of [WebSocket, WebSocket.prototype]) {
    for (const name of ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED', 'READY_STATE_CONNECTING', 'READY_STATE_OPEN', 'READY_STATE_CLOSING', 'READY_STATE_CLOSED']) {
      const descriptor = Object.getOwnPropertyDescriptor(holder, name);
      out.push([name, name in holder, holder[name], descriptor?.writable, descriptor?.enumerable, descriptor?.configurable]);
    }
  }
  return out;
});
alone('websocket: readyState at each step', async () => {
  const [a, b] = pair();
  const states = [[a.readyState, b.readyState]];
  a.accept();
  states.push([a.readyState, b.readyState]);
  b.accept();
  const [ea, eb] = [new Ear(a), new Ear(b)];
  states.push([a.readyState, b.readyState]);
  a.close(1000, 'x');
  states.push([a.readyState, b.readyState]);
  await eb.closed();
  states.push([a.readyState, b.readyState]);
  await ea.closed();
  states.push([a.readyState, b.readyState]);
  return [states, ea.events, eb.events];
});
alone('websocket: readyState at each step, half-open', async () => {
  const [a, b] = heardPair({ allowHalfOpen: true });
  const states = [];
  const note = () => states.push([a.ws.readyState, b.ws.readyState]);
  a.ws.close(1000, 'x');
  note();
  await b.closed();
  note();
  b.ws.send('still');
  await a.until(1);
  note();
  b.ws.close(1001, 'y');
  note();
  await a.until(2);
  note();
  return [states, a.events, b.events];
});
alone('websocket: wrong states', async (ctx) => {
  const [a, b] = pair();
  const first = outcomes(() => a.send('x'), () => a.accept(), () => a.accept(), () => a.accept({ allowHalfOpen: true }), () => ctx.acceptWebSocket(a), () => ctx.acceptWebSocket(b), () => new Response(null, { status: 101, webSocket: a }).status);
  const [c, d] = pair();
  const second = outcomes(() => ctx.acceptWebSocket(c), () => ctx.acceptWebSocket(c), () => c.accept(), () => ctx.acceptWebSocket(d), () => d.accept(), () => d.send('x'));
  return [first, second];
});
alone('websocket: what send() takes', async () => {
  const [a, b] = heardPair();
  const results = outcomes(() => a.ws.send(), () => a.ws.send(undefined), () => a.ws.send(null), () => a.ws.send(5), () => a.ws.send(true), () => a.ws.send({}), () => a.ws.send([1, 2]), () => a.ws.send({ toString: () => 'text' }), () => a.ws.send(Symbol('x')), () => a.ws.send(new Date(0).toISOString()), () => a.ws.send(new Float64Array([1])), () => a.ws.send('last'));
  await until(() => b.events.includes('message last'));
  return [results, b.events];
});
alone('websocket: send() of a Blob', async () => {
  const [a, b] = heardPair();
  a.ws.send(new Blob(['blob']));
  a.ws.send('last');
  return b.until(2);
});
alone('websocket: send() of a lone surrogate', async () => {
  const [a, b] = heardPair();
  a.ws.send('lone \ud800 surrogate');
  return b.until(1);
});
alone('websocket: a buffer that is written to after send()', async () => {
  const [a, b] = heardPair();
  const bytes = new Uint8Array([1, 2, 3]);
  a.ws.send(bytes);
  bytes[0] = 9;
  a.ws.send(bytes.buffer);
  bytes.fill(7);
  return b.until(2);
});
alone('websocket: messages before accept wait', async () => {
  const [a, b] = pair();
  a.accept();
  a.send('one');
  a.send('two');
  a.close(1000, 'end');
  await pause(10);
  const ear = new Ear(b);
  b.accept();
  return ear.until(3);
});
alone('websocket: binaryType', async () => {
  const [a, b] = heardPair();
  const out = [b.ws.binaryType];
  a.ws.send(new Uint8Array([1]));
  await b.until(1);
  out.push(...outcomes(() => (b.ws.binaryType = 'arraybuffer'), () => b.ws.binaryType));
  a.ws.send(new Uint8Array([2]));
  await b.until(2);
  out.push(...outcomes(() => (b.ws.binaryType = 'blob'), () => b.ws.binaryType));
  a.ws.send(new Uint8Array([3]));
  await b.until(3);
  out.push(...outcomes(() => (b.ws.binaryType = 'nonsense'), () => b.ws.binaryType, () => (b.ws.binaryType = 5), () => b.ws.binaryType));
  return [out, b.events];
});
alone('websocket: listeners of every kind', async () => {
  const [a, b] = pair();
  a.accept();
  b.accept();
  const log = [];
  const remove = () => log.push('removed');
  b.addEventListener('message', (event) => log.push(['1', event.type, event.data, event.target === b, event instanceof MessageEvent, event.origin, event.lastEventId, event.ports?.length]));
  b.addEventListener('message', { handleEvent: (event) => log.push(['2', event.data]) });
  b.addEventListener('message', () => log.push('once'), { once: true });
  b.addEventListener('message', remove);
  b.removeEventListener('message', remove);
  b.addEventListener('message', () => log.push('last'));
  b.onmessage = () => log.push('onmessage');
  b.addEventListener('close', (event) => log.push([event.type, event instanceof CloseEvent, event.code, event.reason, event.wasClean]));
  a.send('x');
  a.send('y');
  a.close(1000, 'z');
  await until(() => log.some((entry) => entry[0] === 'close'));
  return log;
});
alone('websocket: a listener that throws', async () => {
  const [a, b] = pair();
  a.accept();
  b.accept();
  const log = [];
  b.addEventListener('message', (event) => {
    log.push(event.data);
    throw new Error('a listener throws');
  });
  b.addEventListener('message', () => log.push('second listener'));
  a.send('x');
  a.send('y');
  await pause(30);
  return log;
});
alone('websocket: events made by hand', () => {
  const close = new CloseEvent('close', { code: 3000, reason: 'r', wasClean: true });
  const bare = new CloseEvent('close');
  const message = new MessageEvent('message', { data: 5 });
  const error = new ErrorEvent('error', { message: 'm', error: 1, filename: 'f', lineno: 2, colno: 3 });
  return [[close.code, close.reason, close.wasClean], [bare.code, bare.reason, bare.wasClean], [message.data, message.type], [error.message, error.error, error.filename, error.lineno, error.colno], outcomes(() => new MessageEvent('message').data, () => new MessageEvent('message').origin, () => new MessageEvent('message', { origin: 'o' }).origin, () => new MessageEvent('message', { data: 1 }).lastEventId, () => new CloseEvent().type, () => new ErrorEvent('error').message)];
});
alone('websocket: objects can be extended, as partyserver does', async () => {
  const [, b] = pair();
  Object.assign(b, { id: 'an id', uri: 'u', tags: ['t'], state: 1 });
  const own = b.serializeAttachment;
  Object.defineProperties(b, {
    serializeAttachment: { value: (v) => own.call(b, { wrapped: v }), configurable: true },
    state: { get: () => 'a getter', configurable: true },
  });
  b.serializeAttachment(5);
  const out = [b.id, b.state, 'state' in b, Object.keys(b), WebSocket.prototype.deserializeAttachment.call(b)];
  delete b.state;
  return [out, 'state' in b, Object.getOwnPropertyDescriptor(WebSocket.prototype, 'readyState')?.get !== undefined, Object.getOwnPropertyDescriptor(WebSocket.prototype, 'readyState')?.enumerable];
});
alone('websocket: wrong receivers', () => [outcomes(() => WebSocket.prototype.send.call({}, 'x'), () => WebSocket.prototype.close.call({}), () => WebSocket.prototype.accept.call(null), () => WebSocket.prototype.readyState), outcomes(() => new WebSocket(), () => new WebSocket('nonsense'), () => new WebSocket('http://x/'), () => new WebSocket('ws://x/#f'), () => new WebSocket('ws://x/', 'a b'), () => new WebSocket('ws://x/', ['a', 'a']))].map((list) => list.map((text) => String(text).replace(/^!(\w+): .*/, '$1'))));
alone('websocket: texts of the constructor', () => outcomes(() => new WebSocket('nonsense'), () => new WebSocket('ftp://x/'), () => new WebSocket('ws://x/#f'), () => new WebSocket('ws://x/', ''), () => new WebSocket('ws://x/', ['a', 'a'])));

// ---------------------------------------------------------------- attachments
alone('websocket attachment: what it takes', () => {
  const [a] = pair();
  const out = [a.deserializeAttachment()];
  for (const value of [1, 'x', null, undefined, true, { a: [1, { b: 2 }] }, new Date(5), new Map([[1, 2]]), [1, , 3], 10n, new Uint8Array([1, 2])]) {
    const [result] = outcomes(() => a.serializeAttachment(value));
    const back = a.deserializeAttachment();
    out.push([result, typeof back === 'bigint' ? `${back}n` : back instanceof Map ? [...back] : back instanceof Date ? back.getTime() : back === undefined ? '<undefined>' : back]);
  }
  return [out, outcomes(() => a.serializeAttachment(), () => a.serializeAttachment(() => {}), () => a.serializeAttachment(Symbol('s')), () => a.serializeAttachment(a), () => a.serializeAttachment(new (class X {
    y = 1;
  })()), () => a.deserializeAttachment())];
});
alone('websocket attachment: size', () => {
  const [a] = pair();
  return [16370, 16377, 16378, 16379, 16380, 16381, 16382, 16383, 16384, 16385, 20000].map((n) => [n, ...outcomes(() => a.serializeAttachment('x'.repeat(n)))]);
});
alone('websocket attachment: a copy every time', () => {
  const [a, b] = pair();
  const value = { n: 1 };
  a.serializeAttachment(value);
  value.n = 2;
  const first = a.deserializeAttachment();
  first.n = 3;
  return [a.deserializeAttachment(), b.deserializeAttachment(), a.deserializeAttachment() === a.deserializeAttachment()];
});

// ---------------------------------------------------------------- tags and lists
alone('websocket tags: what is taken', (ctx) => {
  const accept = (tags) => {
    const [, b] = pair();
    ctx.acceptWebSocket(b, tags);
    return ctx.getTags(b);
  };
  return outcomes(
    () => accept(undefined), () => accept(null), () => accept([]), () => accept(['a']), () => accept(['a', 'b', 'a']), () => accept(['']), () => accept(['x'.repeat(256)]).length, () => accept(['x'.repeat(257)]), () => accept(['é'.repeat(128)]).length, () => accept(['é'.repeat(129)]),
    () => accept(Array.from({ length: 10 }, (_, i) => `${i}`)), () => accept(Array.from({ length: 11 }, (_, i) => `${i}`)), () => accept(['1', '1', '2', '3', '4', '5', '6', '7', '8', '9', '10']), () => accept([...Array.from({ length: 10 }, (_, i) => `${i}`), '1']),
    () => accept('text'), () => accept(5), () => accept({}), () => accept([5, null, undefined, true]), () => accept(new Set(['s'])), () => accept([Symbol('x')]),
  );
});
alone('websocket tags: wrong arguments', (ctx) => {
  const [a, b] = pair();
  b.accept();
  const [, c] = pair();
  return outcomes(() => ctx.acceptWebSocket(), () => ctx.acceptWebSocket({}), () => ctx.acceptWebSocket(null), () => ctx.getTags(), () => ctx.getTags({}), () => ctx.getTags(b), () => ctx.getTags(c), () => ctx.getTags(a), () => ctx.getWebSockets(5).length, () => ctx.getWebSockets(null).length, () => ctx.getWebSockets({}).length, () => ctx.getWebSockets('').length);
});
alone('websocket tags: the order of getWebSockets', (ctx) => {
  const names = new Map();
  const add = (name, tags) => {
    const [, b] = pair();
    names.set(b, name);
    ctx.acceptWebSocket(b, tags);
  };
  add('1', ['x']);
  add('2', ['x', 'y']);
  add('3');
  add('4', ['y']);
  add('5', ['x']);
  const list = (tag) => ctx.getWebSockets(tag).map((ws) => names.get(ws));
  return [list(), list('x'), list('y'), list('z'), list(''), list('X'), Array.isArray(ctx.getWebSockets()), ctx.getWebSockets() === ctx.getWebSockets()];
});
staged('websocket tags: which sockets are listed when', async ({ object }) => {
  const stub = object();
  const out = [];
  const list = async () => out.push(await stub.run('list'));
  await list();
  const one = await connect(stub, 'one');
  await list();
  const two = await connect(stub, 'two');
  await list();
  one.ws.close(1000);
  await until(async () => (await stub.notes()).length >= 1);
  await list();
  two.ws.send('close 1000');
  await two.closed();
  await until(async () => (await stub.run('list')).length === 0, 1000);
  await list();
  return [out, await stub.notes()];
}, {
  fetch(ctx, request) {
    const [client, server] = pair();
    ctx.acceptWebSocket(server, [new URL(request.url).pathname]);
    return new Response(null, { status: 101, webSocket: client });
  },
  message(ctx, ws, message) {
    answer(this, ws, message);
    this.journal.push(`listed after its close() ${ctx.getWebSockets().includes(ws)} ${ws.readyState}`);
  },
  close(ctx, ws) {
    this.journal.push(`listed in the close handler ${ctx.getWebSockets().includes(ws)} ${ctx.getTags(ws)}`);
  },
  list: (ctx) => ctx.getWebSockets().map((ws) => `${ctx.getTags(ws)} ${ws.readyState}`),
});
staged('websocket tags: the same objects in every event', async ({ object }) => {
  const ear = await connect(object());
  ear.ws.send('a');
  ear.ws.send('b');
  return ear.until(2);
}, {
  fetch(ctx) {
    const response = serve(ctx, this, 'hibernatable');
    this.server.mark = 'marked';
    return response;
  },
  message(ctx, ws, message) {
    ws.send(`${message} ${ws === this.server} ${ws.mark} ${ctx.getWebSockets()[0] === ws}`);
  },
});

// ---------------------------------------------------------------- auto-response
alone('websocket auto-response: pairs', (ctx) => {
  const out = outcomes(
    () => ctx.getWebSocketAutoResponse(), () => new WebSocketRequestResponsePair().request, () => new WebSocketRequestResponsePair('a').response, () => new WebSocketRequestResponsePair('a', 'b').request, () => new WebSocketRequestResponsePair(1, null).response, () => Object.keys(new WebSocketRequestResponsePair('a', 'b')),
    () => ctx.setWebSocketAutoResponse(), () => ctx.setWebSocketAutoResponse(null), () => ctx.setWebSocketAutoResponse({}), () => ctx.setWebSocketAutoResponse({ request: 'a', response: 'b' }), () => ctx.setWebSocketAutoResponse('x'),
    () => ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair('x'.repeat(2048), 'y'.repeat(2048))), () => ctx.getWebSocketAutoResponse().request.length, () => ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair('x'.repeat(2049), 'y')), () => ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair('x', 'y'.repeat(2049))), () => ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair('é'.repeat(1025), 'y')),
    () => ctx.getWebSocketAutoResponse().request.length, () => ctx.setWebSocketAutoResponse(), () => ctx.getWebSocketAutoResponse(),
  );
  const given = new WebSocketRequestResponsePair('ping', 'pong');
  ctx.setWebSocketAutoResponse(given);
  const got = ctx.getWebSocketAutoResponse();
  return [out, got instanceof WebSocketRequestResponsePair, got.request, got.response];
});
staged('websocket auto-response: answered without an event, with a time', async ({ object }) => {
  const stub = object();
  const ear = await connect(stub);
  const out = [await stub.run('times')];
  ear.ws.send('ping');
  await ear.until(1);
  ear.ws.send('PING');
  ear.ws.send('ping ');
  ear.ws.send(new TextEncoder().encode('ping'));
  await ear.until(4);
  ear.ws.send('ping');
  await ear.until(5);
  out.push(await stub.run('times'));
  await stub.run('unset');
  ear.ws.send('ping');
  await ear.until(6);
  out.push(await stub.run('times'));
  return [ear.events, out, await stub.notes()];
}, {
  fetch(ctx) {
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair('ping', 'pong'));
    return serve(ctx, this, 'hibernatable');
  },
  message(ctx, ws, message) {
    this.journal.push(data(message));
    ws.send(`event ${data(message)}`);
  },
  times(ctx) {
    const time = ctx.getWebSocketAutoResponseTimestamp(this.server);
    return time === null ? null : [time instanceof Date, Math.abs(Date.now() - time.getTime()) < 60_000];
  },
  unset: (ctx) => ctx.setWebSocketAutoResponse(),
});
staged('websocket auto-response: set after the socket was accepted, not for plain ones', async ({ object }) => {
  const stub = object();
  const plain = await connect(stub, 'plain');
  const other = await connect(stub, 'hibernatable');
  await stub.run('set');
  plain.ws.send('ping');
  other.ws.send('ping');
  return [await plain.until(1), await other.until(1)];
}, {
  ...server(),
  fetch(ctx, request) {
    return serve(ctx, this, new URL(request.url).pathname.slice(1));
  },
  set: (ctx) => ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair('ping', 'pong')),
});
alone('websocket auto-response: wrong arguments of the timestamp', (ctx) => {
  const [a, b] = pair();
  return outcomes(() => ctx.getWebSocketAutoResponseTimestamp(), () => ctx.getWebSocketAutoResponseTimestamp({}), () => ctx.getWebSocketAutoResponseTimestamp(a), () => (ctx.acceptWebSocket(b), ctx.getWebSocketAutoResponseTimestamp(b)));
});

// ---------------------------------------------------------------- event time-out
alone('websocket time-out: arguments', (ctx) => {
  const out = [];
  for (const value of [undefined, null, 0, 1, 1000, 604_800_000, 604_800_001, -1, 1.5, NaN, '5', 'x', {}, 2 ** 32 + 5, 2 ** 31]) {
    out.push([String(value), ...outcomes(() => ctx.setHibernatableWebSocketEventTimeout(value), () => ctx.getHibernatableWebSocketEventTimeout())]);
  }
  return out;
});
staged('websocket time-out: a handler that takes too long', async ({ object }) => {
  const stub = object();
  const ear = await connect(stub);
  ear.ws.send('x');
  await ear.closed();
  return [ear.events, await outcome(stub.echo(1)), await outcome(object().echo(2))];
}, {
  fetch(ctx) {
    ctx.setHibernatableWebSocketEventTimeout(50);
    return serve(ctx, this, 'hibernatable');
  },
  message: () => new Promise(() => setTimeout(() => {}, 1e6)),
});

// ---------------------------------------------------------------- events
staged('websocket events: arguments and this', async ({ object }) => {
  const stub = object();
  const ear = await connect(stub);
  ear.ws.send('x');
  await ear.until(1);
  ear.ws.close(3000, 'r');
  await until(async () => (await stub.notes()).length > 0);
  return [ear.events, await stub.notes()];
}, {
  fetch(ctx) {
    return serve(ctx, this, 'hibernatable');
  },
  message(ctx, ws, ...rest) {
    ws.send(JSON.stringify([rest, this.ctx === ctx, ws instanceof WebSocket, ws.readyState]));
  },
  close(ctx, ws, ...rest) {
    this.journal.push([rest, ws.readyState]);
  },
});
staged('websocket events: an async handler does not hold the next message', async ({ object }) => {
  const ear = await connect(object());
  ear.ws.send('slow');
  ear.ws.send('fast');
  return ear.until(2);
}, {
  fetch(ctx) {
    return serve(ctx, this, 'hibernatable');
  },
  async message(ctx, ws, message) {
    if (message === 'slow') await new Promise((resolve) => (this.go = resolve));
    else this.go();
    await pause(5);
    ws.send(`${message} done`);
  },
});
staged('websocket events: storage in a handler does hold it', async ({ object }) => {
  const ear = await connect(object());
  for (let i = 0; i < 20; i++) ear.ws.send('add');
  await ear.until(20);
  return ear.events;
}, {
  fetch(ctx) {
    return serve(ctx, this, 'hibernatable');
  },
  async message({ storage }, ws) {
    const n = (await storage.get('n')) ?? 0;
    await storage.put('n', n + 1);
    ws.send(`${n + 1}`);
  },
});
staged('websocket events: a section in a handler holds messages', async ({ object }) => {
  const ear = await connect(object());
  ear.ws.send('block');
  ear.ws.send('next');
  return ear.until(3);
}, {
  fetch(ctx) {
    return serve(ctx, this, 'hibernatable');
  },
  async message(ctx, ws, message) {
    if (message === 'block') {
      await ctx.blockConcurrencyWhile(async () => {
        ws.send('in');
        await pause(10);
        ws.send('out');
      });
    } else {
      ws.send(message);
    }
  },
});
staged('websocket events: a rejecting handler, a rejecting section', async ({ object }) => {
  const stub = object();
  const ear = await connect(stub);
  ear.ws.send('reject');
  ear.ws.send('next');
  await ear.until(1);
  ear.ws.send('section');
  await ear.closed();
  return [ear.events, await outcome(stub.echo(1)), await outcome(object().echo(2))];
}, {
  fetch(ctx) {
    return serve(ctx, this, 'hibernatable');
  },
  async message(ctx, ws, message) {
    if (message === 'reject') throw new Error('a handler rejects');
    if (message === 'section') {
      await ctx.blockConcurrencyWhile(async () => {
        throw new Error('a section rejects');
      });
    }
    ws.send(message);
  },
});
staged('websocket events: abort in a handler', async ({ object }) => {
  const stub = object();
  const ear = await connect(stub);
  ear.ws.send('x');
  await ear.closed();
  return [ear.events, await outcome(stub.echo(1)), await outcome(object().echo(2)), await object().run('count')];
}, {
  fetch(ctx) {
    return serve(ctx, this, 'hibernatable');
  },
  message(ctx, ws) {
    ws.send('never seen');
    ctx.abort('in a message handler');
  },
  count: (ctx) => ctx.getWebSockets().length,
});
staged('websocket events: send after a put waits, in order', async ({ object }) => {
  const ear = await connect(object());
  ear.ws.send('x');
  return ear.until(4);
}, {
  fetch(ctx) {
    return serve(ctx, this, 'hibernatable');
  },
  async message({ storage }, ws) {
    ws.send('1');
    await storage.put('a', 1);
    ws.send('2');
    await pause(1);
    ws.send('3');
    storage.put('b', 1);
    ws.send('4');
  },
});
definitions['websocket events: no handlers'] = {
  main: async ({ env, name }) => [await env.BARE.getByName(name).socket(), (await pause(20), await env.BARE.getByName(name).hello())],
};
definitions['websocket events: a class that extends nothing'] = {
  main: async ({ env, name }) => {
    const ear = await connect(env.LEGACY.getByName(name), 'socket');
    ear.ws.send('x');
    return [await ear.until(1), await (await env.LEGACY.getByName(name).fetch('http://x/')).json()];
  },
};

// ---------------------------------------------------------------- responses
alone('websocket response: what the constructor takes', () => {
  const [a] = pair();
  return outcomes(() => new Response(null, { status: 101 }).status, () => new Response(null, { status: 200, webSocket: a }), () => new Response(null, { status: 101, webSocket: a }).webSocket === a, () => new Response(null, { webSocket: a }), () => new Response('body', { status: 101, webSocket: a }).status, () => new Response(null, { status: 101, webSocket: {} }), () => new Response(null, { status: 101, webSocket: null }).status, () => new Response(null).webSocket, () => new Response(null, { status: 200, webSocket: undefined }).webSocket, () => new Response(null, { status: 102 }), () => new Response(null, { status: 600 }));
});
for (const [what, make] of Object.entries({
  'an end that was accepted': () => {
    const [a] = pair();
    a.accept();
    return a;
  },
  'an end that hibernates': (ctx) => {
    const [a] = pair();
    ctx.acceptWebSocket(a);
    return a;
  },
  'an end that was used': () => {
    const [a, b] = pair();
    b.accept();
    void new Response(null, { status: 101, webSocket: a });
    return a;
  },
})) {
  staged(`websocket response: with ${what}`, async ({ object }) => outcome(object().fetch('http://x/', { headers: { Upgrade: 'websocket' } }).then((r) => r.status)), {
    fetch: (ctx) => new Response(null, { status: 101, webSocket: make(ctx) }),
  });
}
staged('websocket response: to a request without Upgrade', async ({ object }) => outcome(object().fetch('http://x/').then((r) => [r.status, r.webSocket === null])), server('plain'));
staged('websocket response: the same one twice', async ({ object }) => {
  const stub = object();
  const ask = () => outcome(stub.fetch('http://x/', { headers: { Upgrade: 'websocket' } }).then((r) => r.status));
  return [await ask(), await ask()];
}, {
  fetch() {
    const [client, server] = pair();
    server.accept();
    this.client ??= client;
    return new Response(null, { status: 101, webSocket: this.client });
  },
});
staged('websocket response: without a socket, with Upgrade', async ({ object }) => {
  const response = await object().fetch('http://x/', { headers: { Upgrade: 'websocket' } });
  return [response.status, response.webSocket, await response.text()];
}, { fetch: () => new Response('no socket here') });
staged('websocket response: what the client gets', async ({ object }) => {
  const response = await object().fetch('http://x/', { headers: { Upgrade: 'websocket' } });
  const ws = response.webSocket;
  const before = outcomes(() => ws.send('x'), () => ws.close(), () => ws.readyState, () => ws.url, () => ws.protocol, () => ws.extensions);
  return [response.status, response.ok, response.body === null, response.headers.get('x-mine'), before, outcomes(() => ws.accept(), () => ws.accept(), () => ws.readyState), response.webSocket === ws];
}, {
  fetch() {
    const [client, server] = pair();
    server.accept();
    return new Response(null, { status: 101, webSocket: client, headers: { 'x-mine': 'a header' } });
  },
});
staged('websocket response: passed on by another object, as it is and copied', async ({ object }) => {
  const out = [];
  for (const way of ['plain', 'copied']) {
    const ear = await connect(object('proxy'), way);
    ear.ws.send('hello');
    await ear.until(1);
    ear.ws.close(3000, 'through');
    await ear.closed();
    await until(async () => (await object('far').notes()).length > out.length, 2000);
    out.push(ear.events);
  }
  return [out, await object('far').notes()];
}, {
  ...server('hibernatable'),
  async fetch(ctx, request) {
    if (ctx.id.name.endsWith('far')) return serve(ctx, this, 'hibernatable');
    const response = await this.env.STAGE.getByName(ctx.id.name.replace('proxy', 'far')).fetch(request);
    return request.url.endsWith('copied') ? new Response(response.body, response) : response;
  },
});
staged('websocket response: an object as the client of another', async ({ object }) => object().runAsync('talk'), {
  ...server('hibernatable'),
  async talk(ctx) {
    const ear = await connect(this.env.STAGE.getByName(`${ctx.id.name}far`));
    ear.ws.send('from an object');
    await ear.until(1);
    ear.ws.send('close 3000 done');
    return ear.closed();
  },
});
alone('websocket response: a client socket and the hibernation API', async function (ctx) {
  const response = await this.env.STAGE.getByName('websocket response: an object as the client of another#second').fetch('http://x/', { headers: { Upgrade: 'websocket' } });
  const ws = response.webSocket;
  return outcomes(() => ctx.acceptWebSocket(ws), () => ws.accept(), () => ctx.getTags(ws));
});

export const webSocketCases = definitions;
