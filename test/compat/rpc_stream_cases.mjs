// Streams over RPC, and the Request, Response and AbortSignal that may carry some.
import { brief, briefs, look, outcome, sleep, until } from './show.mjs';

const bytes = (text) => new TextEncoder().encode(text);
const text = async (stream) => new Response(stream).text();

// A stream of these chunks, made by the code itself.
const streamOf = (chunks, options = {}) =>
  new ReadableStream({
    type: options.type,
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      if (options.error) controller.error(options.error);
      else controller.close();
    },
    cancel: options.cancel,
  });

// A stream of bytes of the runtime itself.
function identityOf(chunks) {
  const { readable, writable } = new IdentityTransformStream();
  const written = (async () => {
    const writer = writable.getWriter();
    for (const chunk of chunks) await writer.write(bytes(chunk));
    await writer.close();
  })();
  written.catch(() => {});
  return readable;
}

// A writable that notes what it gets.
function sink(seen, more = {}) {
  return new WritableStream({
    write(chunk) {
      seen.push(typeof chunk === 'string' ? chunk : new TextDecoder().decode(chunk));
    },
    close: () => void seen.push('<close>'),
    abort: (reason) => void seen.push(`<abort: ${reason?.name} ${reason?.message ?? reason}>`),
    ...more,
  });
}

export const rpcStreamCases = {
  'rpc stream: bytes to the callee': {
    main: ({ call }) => call('read', streamOf([bytes('one '), bytes('two')], { type: 'bytes' })),
    read: async (stream) => [look(stream), await text(stream)],
  },
  'rpc stream: bytes from the callee': {
    main: async ({ call }) => {
      using result = await call('make');
      return [result.constructor.name, result.locked, await text(result)];
    },
    make: () => streamOf([bytes('from '), bytes('the callee')], { type: 'bytes' }),
  },
  'rpc stream: of the runtime, both ways': {
    main: async ({ object }) => text(await object.echo(identityOf(['through ', 'and ', 'back']))),
  },
  'rpc stream: of a value stream with bytes': {
    main: async ({ object }) => text(await object.echo(streamOf([bytes('a'), bytes('b')]))),
  },
  'rpc stream: of a value stream with other views': {
    main: async ({ object }) => text(await object.echo(streamOf([bytes('ab').buffer, new DataView(bytes('cd').buffer), new Uint8Array(bytes('xefx').buffer, 1, 2)]))),
  },
  'rpc stream: of strings': {
    main: ({ object, call }) => briefs(async () => text(await object.echo(streamOf(['a string']))), () => call('read', streamOf(['a string']))),
    read: (stream) => text(stream),
  },
  'rpc stream: of objects': {
    main: ({ object }) => brief(async () => text(await object.echo(streamOf([{ a: 1 }])))),
  },
  'rpc stream: empty': {
    main: async ({ object, call }) => [await text(await object.echo(streamOf([]))), await call('read', identityOf([]))],
    read: (stream) => text(stream),
  },
  'rpc stream: large': {
    main: async ({ object }) => {
      const chunk = new Uint8Array(100_000).fill(7);
      const result = await new Response(await object.echo(streamOf(Array.from({ length: 50 }, () => chunk)))).arrayBuffer();
      return [result.byteLength, new Uint8Array(result).every((b) => b === 7)];
    },
  },
  'rpc stream: larger than a message may be': {
    main: async ({ call }) => {
      let left = 40;
      const chunk = new Uint8Array(1024 * 1024);
      return call(
        'count',
        new ReadableStream({
          pull(controller) {
            if (left-- === 0) controller.close();
            else controller.enqueue(chunk);
          },
        }),
      );
    },
    async count(stream) {
      let size = 0;
      for await (const chunk of stream) size += chunk.byteLength;
      return size;
    },
  },
  'rpc stream: inside of other values': {
    main: async ({ object }) => {
      const { list, map } = await object.echo({ list: [streamOf([bytes('in a list')])], map: new Map([['k', streamOf([bytes('in a map')])]]) });
      return [await text(list[0]), await text(map.get('k'))];
    },
  },
  'rpc stream: the same one twice': {
    main: ({ object }) =>
      brief(async () => {
        const stream = streamOf([bytes('twice')]);
        const [a, b] = await object.echo([stream, stream]);
        return [a === b, await text(a)];
      }),
  },
  'rpc stream: one that is locked or read': {
    main: async ({ object }) => {
      const locked = streamOf([bytes('x')]);
      locked.getReader();
      const read = streamOf([bytes('x')]);
      await text(read);
      const sent = streamOf([bytes('x')]);
      const first = await object.echo(sent);
      return [await brief(() => object.echo(locked)), await brief(async () => text(await object.echo(read))), sent.locked, await brief(() => object.echo(sent)), await text(first)];
    },
  },
  'rpc stream: an error of the source': {
    main: async ({ call, object }) => [await call('read', streamOf([bytes('some')], { error: new RangeError('of the source') })), await brief(async () => text(await object.echo(streamOf([], { error: new RangeError('at once') }))))],
    read: (stream) => brief(() => text(stream)),
  },
  'rpc stream: an error of the source, after some bytes': {
    main: async ({ call }) => {
      let n = 0;
      return call(
        'read',
        new ReadableStream({
          async pull(controller) {
            if (n++ < 2) controller.enqueue(bytes(`part ${n}`));
            else controller.error(new TypeError('after two'));
          },
        }),
      );
    },
    async read(stream) {
      const seen = [];
      try {
        for await (const chunk of stream) seen.push(new TextDecoder().decode(chunk));
      } catch (error) {
        seen.push(`!${error.name}: ${error.message}`);
      }
      return seen.join('|').replace('part 1|part 2', 'part 1part 2');
    },
  },
  'rpc stream: cancelled by its reader': {
    main: async ({ call }) => {
      const heard = [];
      let n = 0;
      const result = await call(
        'first',
        new ReadableStream({
          pull(controller) {
            controller.enqueue(bytes(`${n++}`));
          },
          cancel: (reason) => void heard.push(`${reason?.name}: ${reason?.message ?? reason}`),
        }),
      );
      const wasHeard = await until(() => heard.length > 0, 1000);
      return [result, wasHeard, heard.length];
    },
    async first(stream) {
      const reader = stream.getReader();
      const { value } = await reader.read();
      await reader.cancel(new RangeError('enough'));
      return new TextDecoder().decode(value)[0];
    },
  },
  'rpc stream: teed before it is sent': {
    main: async ({ object }) => {
      const [a, b] = streamOf([bytes('two '), bytes('branches')]).tee();
      return [await text(await object.echo(a)), await text(b)];
    },
  },
  'rpc stream: teed where it arrives': {
    main: ({ call }) => call('tee', streamOf([bytes('two '), bytes('branches')])),
    async tee(stream) {
      const [a, b] = stream.tee();
      return Promise.all([text(a), text(b)]);
    },
  },
  'rpc stream: read after the call has ended': {
    main: async ({ call, object }) => {
      await call('keep', streamOf([bytes('kept')]));
      return object.noted(1);
    },
    keep(stream) {
      this.ctx.waitUntil(sleep(20).then(async () => this.trace.push(await brief(() => text(stream)))));
    },
  },
  'rpc stream: through two objects': {
    main: async ({ env, name }) => {
      const [a, b] = ['a', 'b'].map((which) => env.RPC.getByName(`${name} ${which}`));
      return text(await a.run(name, 'pass', b, streamOf([bytes('passed '), bytes('on')])));
    },
    pass: (other, stream) => other.echo(stream),
  },
  'rpc stream: written while the callee reads': {
    main: async ({ call }) => {
      const { readable, writable } = new TransformStream();
      const reading = call('read', readable);
      const writer = writable.getWriter();
      for (let i = 0; i < 5; i++) {
        await writer.write(bytes(`${i}`));
        await sleep(1);
      }
      await writer.close();
      return reading;
    },
    read: (stream) => text(stream),
  },
  'rpc stream: a source that goes away': {
    main: async ({ call }) => {
      const stream = await call('make');
      const reader = stream.getReader();
      const first = new TextDecoder().decode((await reader.read()).value);
      await brief(() => call('end'));
      return [first, await brief(() => reader.read())];
    },
    make: () => new ReadableStream({ start: (controller) => controller.enqueue(bytes('first')) }),
    end() {
      this.ctx.abort('the source is gone');
    },
  },

  // ---------------------------------------------------------------- writable
  'rpc writable: to the callee': {
    main: async ({ call }) => {
      const seen = [];
      const result = await call('write', sink(seen));
      await until(() => seen.includes('<close>'));
      return [result, seen];
    },
    async write(stream) {
      const writer = stream.getWriter();
      await writer.write(bytes('one'));
      await writer.write(bytes('two'));
      await writer.close();
      return [stream.constructor.name, 'written'];
    },
  },
  'rpc writable: from the callee': {
    main: async ({ call, object }) => {
      const writer = (await call('make')).getWriter();
      await writer.write(bytes('to the callee'));
      await writer.close();
      return object.noted(2);
    },
    make() {
      return sink(this.trace);
    },
  },
  'rpc writable: strings and other chunks': {
    main: async ({ call }) => {
      const seen = [];
      const result = await call('write', sink(seen));
      await sleep(20);
      return [result, seen];
    },
    async write(stream) {
      const writer = stream.getWriter();
      return briefs(() => writer.write('a string'), () => writer.write({ a: 1 }));
    },
  },
  'rpc writable: aborted': {
    main: async ({ call }) => {
      const seen = [];
      await call('abort', sink(seen));
      await until(() => seen.length > 0, 1000);
      return seen.map((entry) => entry.slice(0, 6));
    },
    async abort(stream) {
      await stream.abort(new RangeError('no more'));
    },
  },
  'rpc writable: left open': {
    main: async ({ call }) => {
      const seen = [];
      await call('leave', sink(seen));
      await until(() => seen.length > 1, 1000);
      return seen;
    },
    async leave(stream) {
      const writer = stream.getWriter();
      await writer.write(bytes('one'));
    },
  },
  'rpc writable: an error of the sink': {
    main: async ({ call }) => {
      const failing = new WritableStream({
        write() {
          throw new RangeError('of the sink');
        },
      });
      return call('write', failing);
    },
    async write(stream) {
      const writer = stream.getWriter();
      const out = await briefs(() => writer.write(bytes('one')), () => writer.write(bytes('two')), () => writer.close());
      return out.filter((entry) => entry !== '<undefined>').length > 0;
    },
  },
  'rpc writable: piped into': {
    main: async ({ call }) => {
      const seen = [];
      await call('pipe', sink(seen));
      await until(() => seen.includes('<close>'));
      return seen.join('');
    },
    pipe: (stream) => streamOf([bytes('piped '), bytes('through')]).pipeTo(stream),
  },
  'rpc writable: one that is locked': {
    main: ({ object }) => {
      const stream = sink([]);
      stream.getWriter();
      return brief(() => object.echo(stream));
    },
  },
  'rpc writable: both ends': {
    main: async ({ call }) => {
      const { readable, writable } = new IdentityTransformStream();
      const [, result] = await Promise.all([call('write', writable), text(readable)]);
      return result;
    },
    async write(stream) {
      const writer = stream.getWriter();
      await writer.write(bytes('from the callee'));
      await writer.close();
    },
  },
  'rpc writable: a transform stream is none': {
    main: ({ object }) => brief(() => object.echo(new TransformStream())),
  },

  // ---------------------------------------------------------------- Request, Response, AbortSignal
  'rpc request: as an argument': {
    main: ({ call }) => call('see', new Request('http://x/y?z=1#h', { method: 'PUT', headers: { a: 'b' }, body: 'text', redirect: 'manual' })),
    see: async (request) => [request instanceof Request, request.method, request.url, [...request.headers], request.redirect, request.bodyUsed, await request.text()],
  },
  'rpc request: without a body': {
    main: ({ call }) => call('see', new Request('http://x/')),
    see: async (request) => [request.method, request.body, request.redirect, await request.text()],
  },
  'rpc request: with a streamed body': {
    main: async ({ object }) => {
      const back = await object.echo(new Request('http://x/', { method: 'POST', body: streamOf([bytes('st'), bytes('ream')]) }));
      return [back.headers.get('content-length'), await back.text()];
    },
  },
  'rpc request: whose body was used': {
    main: async ({ object }) => {
      const request = new Request('http://x/', { method: 'POST', body: 'text' });
      await request.text();
      return brief(() => object.echo(request));
    },
  },
  'rpc request: with cf': {
    main: async ({ object }) => (await object.echo(new Request('http://x/', { cf: { cacheKey: 'k' } }))).cf?.cacheKey ?? null,
  },
  'rpc response: as a result': {
    main: async ({ call }) => {
      const response = await call('make');
      return [response instanceof Response, response.status, response.statusText, response.ok, response.url, response.redirected, [...response.headers], await response.text()];
    },
    make: () => new Response('body', { status: 201, statusText: 'Made', headers: { a: 'b' } }),
  },
  'rpc response: of each kind': {
    main: async ({ object }) => {
      const out = [];
      for (const response of [new Response(null, { status: 204 }), Response.json({ a: 1 }), Response.redirect('http://x/y', 307), new Response(streamOf([bytes('st'), bytes('ream')])), new Response(new Blob(['blob'], { type: 'text/b' })), new Response('', { status: 599 })]) {
        const back = await object.echo(response);
        out.push([back.status, back.headers.get('content-type'), back.headers.get('location'), back.body === null, await back.text()]);
      }
      return out;
    },
  },
  'rpc response: whose body was used': {
    main: ({ call }) => brief(() => call('make')),
    async make() {
      const response = new Response('body');
      await response.text();
      return response;
    },
  },
  'rpc response: Response.error()': {
    main: ({ call }) => outcome(() => call('make')),
    make: () => Response.error(),
  },
  'rpc response: with a WebSocket': {
    main: ({ call }) => brief(() => call('make')),
    make: () => new Response(null, { status: 101, webSocket: new WebSocketPair()[0] }),
  },
  'rpc response: of a fetch, passed on': {
    main: async ({ call, env }) => (await call('pass', env.CALLS)).text(),
    pass: (service) => service.fetch('http://x/passed'),
  },
  'rpc response: two of one result': {
    main: async ({ call }) => {
      const { a, b } = await call('make');
      return [await b.text(), await a.text()];
    },
    make: () => ({ a: new Response('a'), b: new Response('b') }),
  },
  'rpc response: cloned where it arrives': {
    main: async ({ call }) => {
      const response = await call('make');
      const copy = response.clone();
      return [await response.text(), await copy.text()];
    },
    make: () => new Response('body'),
  },
  'rpc signal: is no value without its flag': {
    main: ({ object }) => briefs(() => object.echo(new AbortController().signal), () => object.echo(AbortSignal.abort('reason')), () => object.echo(AbortSignal.timeout(1000))),
  },
};
