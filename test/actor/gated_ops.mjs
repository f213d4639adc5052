// Everything that may resume an object's code from outside of it. `operations` is taken as text into Workers: for each name
// a function that starts the operation and returns a promise of what comes back. `given`: what a test brings along.
//
// Not in here, since it runs within the turn that asked for it: queueMicrotask, process.nextTick, streams and events made of
// JavaScript alone (pipeTo, TransformStream, TextDecoderStream, node:stream, node:events).
export function operations(given) {
  const node = (name) => process.getBuiltinModule(`node:${name}`);
  const crypto_ = () => node('crypto');
  const { promisify } = node('util');
  const called = (start) => new Promise((resolve, reject) => start((error, ...values) => (error ? reject(error) : resolve(values))));
  const big = () => new Uint8Array(200_000).fill(7);
  const aes = () => crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, true, ['encrypt', 'decrypt', 'wrapKey', 'unwrapKey']);
  const hmac = () => crypto.subtle.generateKey({ name: 'HMAC', hash: 'SHA-256' }, true, ['sign', 'verify']);
  const password = () => crypto.subtle.importKey('raw', big().slice(0, 16), 'PBKDF2', false, ['deriveBits', 'deriveKey']);
  const pbkdf2 = { name: 'PBKDF2', salt: new Uint8Array(8), iterations: 1000, hash: 'SHA-256' };
  const iv = new Uint8Array(12);
  const rsa = () => crypto_().generateKeyPairSync('rsa', { modulusLength: 1024 });
  const event = (target, type) => new Promise((resolve) => target.addEventListener(type, resolve, { once: true }));
  const pair = (options) => {
    const { writable, readable } = new CompressionStream('gzip');
    return { writer: writable.getWriter(), reader: readable.getReader(), options };
  };
  // name: [start] or [prepare, start]: `prepare` has ended when `start` begins.
  const table = {
    setTimeout: [() => new Promise((resolve) => setTimeout(resolve, 5))],
    setInterval: [() => new Promise((resolve) => { const id = setInterval(() => { clearInterval(id); resolve(); }, 5); })],
    setImmediate: [() => new Promise((resolve) => setImmediate(resolve))],
    'scheduler.wait': [() => scheduler.wait(5)],
    'AbortSignal.timeout': [() => event(AbortSignal.timeout(5), 'abort')],
    'promisify(setTimeout)': [() => promisify(setTimeout)(5)],
    'node:timers': [() => new Promise((resolve) => node('timers').setTimeout(resolve, 5))],
    'node:timers/promises setTimeout': [() => node('timers/promises').setTimeout(5)],
    'node:timers/promises setImmediate': [() => node('timers/promises').setImmediate(1)],
    'node:timers/promises setInterval': [async () => { for await (const _ of node('timers/promises').setInterval(5)) break; }],
    'node:timers/promises scheduler.yield': [() => node('timers/promises').scheduler.yield()],
    'timers.promises': [() => node('timers').promises.setTimeout(5)],

    fetch: [() => fetch(given.origin)],
    'fetch that fails': [() => fetch('http://127.0.0.1:1/').catch(() => 1)],
    'fetch aborted': [() => fetch(`${given.origin}/hang`, { signal: AbortSignal.timeout(5) }).catch(() => 1)],
    'fetch body chunk': [() => fetch(`${given.origin}/slow`), (response) => response.body.getReader().read()],
    'fetch body text': [() => fetch(`${given.origin}/slow`), (response) => response.text()],
    'fetch body arrayBuffer': [() => fetch(`${given.origin}/slow`), (response) => response.arrayBuffer()],
    'fetch body json': [() => fetch(`${given.origin}/slow`), (response) => response.json()],
    'fetch pulls its request body': [() => new Promise((resolve) => {
      void fetch(given.origin, { method: 'PUT', body: new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(1)); c.close(); resolve(); } }, { highWaterMark: 0 }) }).catch(() => {});
    })],
    ...(given.request && { 'request body chunk': [() => given.request.body.getReader().read()] }),

    'subtle.digest': [() => crypto.subtle.digest('SHA-256', big())],
    'subtle.generateKey': [aes],
    'subtle.importKey': [() => crypto.subtle.importKey('raw', new Uint8Array(16), 'AES-GCM', true, ['encrypt'])],
    'subtle.exportKey': [aes, (key) => crypto.subtle.exportKey('raw', key)],
    'subtle.encrypt': [aes, (key) => crypto.subtle.encrypt({ name: 'AES-GCM', iv }, key, big())],
    'subtle.decrypt': [async () => { const key = await aes(); return [key, await crypto.subtle.encrypt({ name: 'AES-GCM', iv }, key, big())]; }, ([key, data]) => crypto.subtle.decrypt({ name: 'AES-GCM', iv }, key, data)],
    'subtle.sign': [hmac, (key) => crypto.subtle.sign('HMAC', key, big())],
    'subtle.verify': [hmac, (key) => crypto.subtle.verify('HMAC', key, new Uint8Array(32), big())],
    'subtle.deriveBits': [password, (key) => crypto.subtle.deriveBits(pbkdf2, key, 256)],
    'subtle.deriveKey': [password, (key) => crypto.subtle.deriveKey(pbkdf2, key, { name: 'AES-GCM', length: 256 }, true, ['encrypt'])],
    'subtle.wrapKey': [aes, (key) => crypto.subtle.wrapKey('raw', key, key, { name: 'AES-GCM', iv })],
    'subtle.unwrapKey': [async () => { const key = await aes(); return [key, await crypto.subtle.wrapKey('raw', key, key, { name: 'AES-GCM', iv })]; }, ([key, data]) => crypto.subtle.unwrapKey('raw', data, key, { name: 'AES-GCM', iv }, 'AES-GCM', true, ['encrypt'])],
    'subtle.getPublicKey': [() => crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']), ({ privateKey }) => crypto.subtle.getPublicKey(privateKey, ['verify'])],
    'node:crypto webcrypto': [() => crypto_().webcrypto.subtle.digest('SHA-256', big())],
    'node:crypto subtle': [() => crypto_().subtle.digest('SHA-256', big())],

    'crypto.randomBytes': [() => called((done) => crypto_().randomBytes(16, done))],
    'crypto.randomFill': [() => called((done) => crypto_().randomFill(new Uint8Array(16), done))],
    'crypto.randomInt': [() => called((done) => crypto_().randomInt(100, done))],
    'crypto.pbkdf2': [() => called((done) => crypto_().pbkdf2('p', 's', 1000, 32, 'sha256', done))],
    'crypto.scrypt': [() => called((done) => crypto_().scrypt('p', 's', 32, { N: 1024 }, done))],
    'crypto.hkdf': [() => called((done) => crypto_().hkdf('sha256', 'k', 's', 'i', 32, done))],
    'crypto.generateKeyPair': [() => called((done) => crypto_().generateKeyPair('ed25519', {}, done))],
    'crypto.generateKey': [() => called((done) => crypto_().generateKey('aes', { length: 128 }, done))],
    'crypto.generatePrime': [() => called((done) => crypto_().generatePrime(64, done))],
    'crypto.checkPrime': [() => called((done) => crypto_().checkPrime(97n, done))],
    'crypto.sign': [rsa, ({ privateKey }) => called((done) => crypto_().sign('sha256', Buffer.from('x'), privateKey, done))],
    'crypto.verify': [rsa, ({ publicKey }) => called((done) => crypto_().verify('sha256', Buffer.from('x'), publicKey, Buffer.alloc(128), done))],
    'promisify(crypto.randomBytes)': [() => promisify(crypto_().randomBytes)(16)],
    'promisify(crypto.generateKeyPair)': [() => promisify(crypto_().generateKeyPair)('ed25519', {})],

    ...Object.fromEntries(['deflate', 'gzip', 'deflateRaw', 'brotliCompress', 'zstdCompress'].map((name) => [`zlib.${name}`, [() => called((done) => node('zlib')[name](Buffer.from('x'), done))]])),
    ...Object.fromEntries([['inflate', 'deflate'], ['gunzip', 'gzip'], ['unzip', 'gzip'], ['inflateRaw', 'deflateRaw'], ['brotliDecompress', 'brotliCompress'], ['zstdDecompress', 'zstdCompress']]
      .map(([name, inverse]) => [`zlib.${name}`, [() => called((done) => node('zlib')[name](node('zlib')[`${inverse}Sync`]('x'), done))]])),
    'promisify(zlib.gzip)': [() => promisify(node('zlib').gzip)('x')],

    'CompressionStream read': [pair, ({ writer, reader }) => { void writer.write(big()).catch(() => {}); void writer.close().catch(() => {}); return reader.read(); }],
    'CompressionStream write': [pair, ({ writer, reader }) => { const done = writer.write(big()); void reader.read(); return done; }],
    'DecompressionStream read': [() => new Response(new Response(big()).body.pipeThrough(new CompressionStream('deflate'))).bytes(), (bytes) => new Response(bytes).body.pipeThrough(new DecompressionStream('deflate')).getReader().read()],
    'TextDecoderStream behind it': [() => new Response(new Response('abc').body.pipeThrough(new CompressionStream('gzip'))).bytes(), (bytes) => new Response(bytes).body.pipeThrough(new DecompressionStream('gzip')).pipeThrough(new TextDecoderStream()).getReader().read()],

    'Blob.text': [() => new Blob(['x']).text()],
    'Blob.arrayBuffer': [() => new Blob(['x']).arrayBuffer()],
    'Blob.bytes': [() => new Blob(['x']).bytes()],
    'Blob.stream': [() => new Blob(['x']).stream().getReader().read()],
    'Blob.textStream': [() => new Blob(['x']).textStream().getReader().read()],
    'File.text': [() => new File(['x'], 'name').text()],
    'Blob.slice.text': [() => new Blob(['xyz']).slice(1).text()],
    'Response of a Blob': [() => new Response(new Blob(['x'])).text()],
    'Request of a Blob': [() => new Request('http://x/', { method: 'PUT', body: new Blob(['x']) }).text()],
    'Response of a form with a file': [() => { const form = new FormData(); form.set('f', new Blob(['x'])); return new Response(form).text(); }],
    'node:stream/consumers of a Blob': [() => node('stream/consumers').text(new Blob(['x']).stream())],

    MessageChannel: [() => new Promise((resolve) => { const { port1, port2 } = new MessageChannel(); port1.onmessage = resolve; port2.postMessage(1); })],
    'Atomics.waitAsync, timed out': [() => Atomics.waitAsync(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5).value],
    'Atomics.waitAsync, notified': [() => { const cell = new Int32Array(new SharedArrayBuffer(4)); const { value } = Atomics.waitAsync(cell, 0, 0); Atomics.notify(cell, 0); return value; }],
    PerformanceObserver: [() => new Promise((resolve) => { new PerformanceObserver(resolve).observe({ entryTypes: ['mark'] }); performance.mark('x'); })],
    'perf_hooks.PerformanceObserver': [() => new Promise((resolve) => { new (node('perf_hooks').PerformanceObserver)(resolve).observe({ entryTypes: ['mark'] }); performance.mark('x'); })],
    ...(given.collect && { FinalizationRegistry: [() => new Promise((resolve) => { new FinalizationRegistry(resolve).register({}, 1); given.collect(); })] }),

    ...(given.sockets && {
      'new WebSocket, open': [() => event(new WebSocket(given.sockets), 'open')],
      'new WebSocket, message': [async () => { const ws = new WebSocket(given.sockets); await event(ws, 'open'); return ws; }, (ws) => { ws.send('x'); return event(ws, 'message'); }],
      'new WebSocket, close': [async () => { const ws = new WebSocket(given.sockets); await event(ws, 'open'); return ws; }, (ws) => { ws.close(); return event(ws, 'close'); }],
      'fetch with Upgrade': [() => fetch(given.sockets.replace('ws:', 'http:'), { headers: { upgrade: 'websocket' } })],
      'fetched WebSocket, message': [async () => { const { webSocket } = await fetch(given.sockets.replace('ws:', 'http:'), { headers: { upgrade: 'websocket' } }); webSocket.accept(); return webSocket; }, (ws) => { ws.send('x'); return event(ws, 'message'); }],
    }),
    'WebSocketPair': [() => { const [a, b] = Object.values(new WebSocketPair()); a.accept(); b.accept(); b.send('x'); return event(a, 'message'); }],

    'RPC to another object': [() => given.other.echo(1)],
    'RPC that throws': [() => given.other.boom().catch(() => 1)],
    'property of another object': [() => given.other.value],
    'fetch to another object': [() => given.other.fetch('http://x/')],
    'body chunk of another object': [() => given.other.fetch('http://x/slow'), (response) => response.body.getReader().read()],
    'body of another object': [() => given.other.fetch('http://x/slow'), (response) => response.text()],
    'another object reads our body': [() => new Promise((resolve) => {
      void given.other.fetch('http://x/read', { method: 'PUT', body: new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(1)); c.close(); resolve(); } }, { highWaterMark: 0 }) }).catch(() => {});
    })],
    ...(given.service && {
      'service binding, fetch': [() => given.service.fetch('http://x/')],
      'service binding, RPC': [() => given.service.echo(1)],
    }),
    'import()': [() => given.load()],
  };
  // What cannot start at all in a handler.
  const refused = {
    'WebAssembly.compile': () => WebAssembly.compile(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])),
    'WebAssembly.instantiate': () => WebAssembly.instantiate(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])),
    'WebAssembly.Module': () => new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])),
    'structuredClone of a stream': () => { const stream = new ReadableStream(); structuredClone(stream, { transfer: [stream] }); },
    'postMessage of a stream': () => { const stream = new ReadableStream(); new MessageChannel().port1.postMessage(stream, [stream]); },
    'zlib.createGzip': () => node('zlib').createGzip(),
    'util.debounce': () => (node('util').debounce ?? (() => { throw new Error('none'); }))(() => {}, 1),
  };
  return { table, refused };
}
