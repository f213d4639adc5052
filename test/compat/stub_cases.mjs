// Ids, namespaces, stubs and stub.fetch(): spec 1.
import { brief, briefs, look, outcome } from './show.mjs';

const kOld = { date: '2024-03-01' }; // before `rpc` and `fetcher_no_get_put_delete`

// What a request looks like to the object.
const seen = async (response) => (await response).json();

export const stubCases = {
  'id: upper case, mixed case and blanks': {
    main: ({ env }) => {
      const id = env.RPC.idFromName('case').toString();
      return briefs(
        () => env.RPC.idFromString(id.toUpperCase()).toString() === id,
        () => env.RPC.idFromString(id.slice(0, 32).toUpperCase() + id.slice(32)).toString() === id,
        () => env.RPC.idFromString(` ${id}`).toString(),
        () => env.RPC.idFromString(`${id}\n`).toString(),
        () => env.RPC.idFromString(`0x${id.slice(2)}`).toString(),
        () => env.RPC.idFromString(id.slice(0, 63) + 'é').toString(),
        () => env.RPC.idFromString('0'.repeat(64)).toString(),
        () => env.RPC.idFromString((id[0] === 'a' ? 'b' : 'a') + id.slice(1)).toString(),
        () => env.RPC.idFromString(id.slice(0, 63) + (id[63] === 'a' ? 'b' : 'a')).toString(),
      );
    },
  },
  'id: arguments of other types': {
    main: ({ env }) =>
      briefs(
        () => env.RPC.idFromString(),
        () => env.RPC.idFromString(null),
        () => env.RPC.idFromString(5),
        () => env.RPC.idFromString({}),
        () => env.RPC.idFromString(env.RPC.idFromName('x')).equals(env.RPC.idFromName('x')),
        () => env.RPC.idFromString(Symbol('s')),
        () => env.RPC.idFromName(),
        () => env.RPC.idFromName(null).name,
        () => env.RPC.idFromName(5).name,
        () => env.RPC.idFromName({ toString: () => 'converted' }).name,
        () => env.RPC.idFromName(undefined).name,
        () => env.RPC.idFromName(Symbol('s')),
        () =>
          env.RPC.idFromName({
            toString() {
              throw new RangeError('from toString');
            },
          }),
      ),
  },
  'id: odd names': {
    main: ({ env }) => {
      const same = (a, b) => env.RPC.idFromName(a).equals(env.RPC.idFromName(b));
      return [env.RPC.idFromName('').name, same('\ud800', '\ufffd'), same('\ud800', '\udc00'), same('a\0', 'a'), same('é', 'e\u0301'), env.RPC.idFromName('a\0b').name.length, look(env.RPC.idFromName('\ud800').name), same('null', null)];
    },
  },
  'id: the name inside of the object': {
    main: async ({ env, name }) => {
      const inside = async (given) => look(await env.RPC.getByName(given).nameInside());
      return [await inside(`${name}\0`), (await inside('x'.repeat(1024))).length, await inside('x'.repeat(1025)), (await inside('é'.repeat(512))).length, await inside('é'.repeat(513))];
    },
  },
  'id: no name inside when it was reached by its digits': {
    main: async ({ env, name }) => {
      const id = env.RPC.idFromName(`${name} once`).toString();
      const first = await env.RPC.get(env.RPC.idFromString(id)).nameInside();
      return [first, await env.RPC.getByName(`${name} once`).nameInside()];
    },
  },
  'id: equals': {
    main: ({ env }) => {
      const id = env.RPC.idFromName('x');
      return briefs(
        () => id.equals(id),
        () => id.equals(env.RPC.idFromString(id.toString())),
        () => id.equals(env.RPC.idFromName('y')),
        () => id.equals(env.OTHER.idFromName('x')),
        () => id.equals(id.toString()),
        () => id.equals(null),
        () => id.equals(),
        () => id.equals({ toString: () => id.toString() }),
      );
    },
  },
  'id: shape': {
    main: ({ env }) => {
      const id = env.RPC.idFromName('x');
      const unique = env.RPC.newUniqueId();
      return [
        Object.prototype.toString.call(id), id.constructor.name, Object.keys(id), Object.keys(unique), 'name' in unique, look(unique.name), look(unique.jurisdiction), 'jurisdiction' in id, JSON.stringify(id), String(id) === id.toString(), `${id}`.length,
        Object.getOwnPropertyNames(Object.getPrototypeOf(id)).sort(),
      ];
    },
  },
  'id: properties cannot be changed': {
    main: ({ env }) => {
      const id = env.RPC.idFromName('x');
      return briefs(
        () => {
          id.name = 'y';
          return id.name;
        },
        () => delete id.name,
        () => {
          id.more = 1;
          return id.more;
        },
      );
    },
  },
  'id: the constructor and wrong receivers': {
    main: ({ env }) => {
      const { constructor, toString, equals } = env.RPC.idFromName('x');
      return briefs(() => new constructor(), () => toString.call({}), () => equals.call(null, 1), () => env.RPC.get.call({}, env.RPC.idFromName('x')), () => env.RPC.idFromName.call(env.CALLS, 'x'));
    },
  },
  'id: newUniqueId options': {
    main: ({ env }) => briefs(() => env.RPC.newUniqueId({}).toString().length, () => env.RPC.newUniqueId(null).toString().length, () => env.RPC.newUniqueId({ jurisdiction: undefined }).toString().length, () => env.RPC.newUniqueId(5)),
  },
  'namespace: shape': {
    main: ({ env }) => [Object.prototype.toString.call(env.RPC), env.RPC.constructor.name, Object.keys(env.RPC), typeof env.RPC, env.RPC === env.RPC, 'idFromName' in env.RPC, 'getByName' in env.RPC, typeof env.RPC.jurisdiction, look(env.RPC.missing), Object.getOwnPropertyNames(Object.getPrototypeOf(env.RPC)).sort()],
  },
  'namespace: get with wrong arguments': {
    main: ({ env }) =>
      briefs(
        () => env.RPC.get(),
        () => env.RPC.get('x'),
        () => env.RPC.get(null),
        () => env.RPC.get(env.RPC.idFromName('x').toString()),
        () => env.RPC.get({}),
        () => env.RPC.getByName().name,
        () => env.RPC.getByName(5).name,
        () => env.RPC.getByName(null).name,
        () => env.RPC.get(env.RPC.idFromName('x'), null).name,
        () => env.RPC.get(env.RPC.idFromName('x'), 5),
        () => env.RPC.get(env.RPC.idFromName('x'), {}).name,
        () => env.RPC.get(env.RPC.idFromName('x'), { locationHint: 'nowhere' }).name,
        () => env.RPC.get(env.RPC.idFromName('x'), { locationHint: 5 }).name,
        () => env.RPC.get(env.RPC.idFromName('x'), { routingMode: 'primary-only' }).name,
        () => env.RPC.getByName('x', { routingMode: '' }).name,
        () => env.RPC.get(env.RPC.idFromName('x'), { unknown: 1 }).name,
      ),
  },
  'namespace: jurisdiction() without one': {
    main: ({ env }) => briefs(() => env.RPC.jurisdiction().idFromName('x').equals(env.RPC.idFromName('x')), () => env.RPC.jurisdiction(null).idFromName('x').equals(env.RPC.idFromName('x')), () => env.RPC.jurisdiction(undefined) === env.RPC),
  },
  'stub: id and name': {
    main: ({ env }) => {
      const byId = env.RPC.get(env.RPC.idFromString(env.RPC.idFromName('x').toString()));
      const byName = env.RPC.getByName('x');
      return [byName.id.equals(byId.id), byName.name, look(byId.name), byName.id.name, byName.id === byName.id, Object.keys(byName).sort(), Object.keys(byId).sort(), JSON.stringify(Object.keys({ ...byName }).sort())];
    },
  },
  'stub: get() makes a new one each time': { main: ({ env }) => [env.RPC.getByName('x') === env.RPC.getByName('x'), env.RPC.get(env.RPC.idFromName('x')).id === env.RPC.getByName('x').id] },
  'stub: descriptors, symbols and deletion': {
    main: ({ env }) => {
      const stub = env.RPC.getByName('x');
      const { value, ...flags } = Object.getOwnPropertyDescriptor(stub, 'name');
      return [
        value, flags, look(Object.getOwnPropertyDescriptor(stub, 'method')), Object.getOwnPropertySymbols(stub).length, look(stub[Symbol.iterator]), look(stub[Symbol.toPrimitive]), String(stub), Reflect.has(stub, 'x'), Symbol('x') in stub, delete stub.method, stub.hasOwnProperty('name'),
        stub.hasOwnProperty('method'), stub.propertyIsEnumerable('id'),
      ];
    },
  },
  'stub: own properties hide names': {
    main: async ({ env, name }) => {
      const stub = env.RPC.getByName(name);
      stub.add = () => 'own';
      const own = stub.add(1, 2);
      delete stub.add;
      return [own, await stub.add(1, 2), Object.keys(Object.assign(stub, { more: 1 })).sort()];
    },
  },
  'stub: prototype chain': {
    main: ({ env, lib }) => {
      const stub = env.RPC.getByName('x');
      const chain = [];
      for (let at = Object.getPrototypeOf(stub); at !== null; at = Object.getPrototypeOf(at)) chain.push([at.constructor?.name, Object.getOwnPropertyNames(at).filter((key) => !/^__/.test(key) && at !== Object.prototype).sort()]);
      return [chain, stub instanceof lib.DurableObject, typeof globalThis.Fetcher, typeof globalThis.DurableObject, typeof globalThis.DurableObjectStub];
    },
  },
  'stub: classes are not to be made': {
    main: ({ env }) => briefs(() => new (env.RPC.getByName('x').constructor)(), () => new env.RPC.constructor(), () => new (Object.getPrototypeOf(env.CALLS).constructor)()),
  },
  'stub: fetch and connect are no RPC': {
    main: ({ env, name }) => {
      const stub = env.RPC.getByName(name);
      return briefs(() => typeof stub.fetch, () => typeof stub.connect, () => stub.fetch === stub.fetch, () => stub.fetch(), () => Object.hasOwn(stub, 'fetch'), () => stub.fetch.call({}, 'http://x/'));
    },
  },
  'stub: get, put and delete are names like others': {
    main: ({ env, name }) => briefs(() => env.SHAPED.getByName(name).get('http://x/'), () => env.SHAPED.getByName(name).put('a', 'b'), () => env.SHAPED.getByName(name).delete(), () => env.SHAPES.get(), () => env.SHAPES.put(1)),
  },
  'stub: get, put and delete before 2024-03-26': {
    ...kOld,
    main: async ({ env, name }) => {
      const stub = env.RPC.getByName(name);
      return [typeof stub.get, typeof stub.put, typeof stub.delete, JSON.parse(await stub.get('http://x/got')).method, await brief(() => stub.put('http://x/put', 'body')), await brief(() => stub.delete('http://x/deleted')), JSON.stringify(await stub.get('http://x/j', 'json')).length > 20];
    },
  },
  'stub: before the flag rpc': {
    ...kOld,
    main: async ({ env, name }) => {
      const stub = env.RPC.getByName(name);
      return [typeof stub.add, look(stub.missing), 'add' in stub, Object.keys(stub).sort(), (await seen(stub.fetch('http://x/works'))).url, typeof env.CALLS.add, await brief(() => stub.add(1, 2))];
    },
  },
  'stub: rpc by its flag': {
    date: '2024-03-01',
    flags: ['rpc', 'fetcher_no_get_put_delete'],
    main: async ({ env, name }) => [await env.RPC.getByName(name).add(1, 2), await env.CALLS.add(3, 4), await brief(() => env.RPC.getByName(name).fail('RangeError', 'old')), typeof env.RPC.getByName(name).get],
  },
  'stub: unawaited calls in order': {
    main: async ({ env, name }) => {
      const stub = env.RPC.getByName(name);
      for (let i = 0; i < 50; i++) void stub.note(i);
      return stub.noted();
    },
  },
  'stub: two stubs of one object': {
    main: async ({ env, name }) => {
      const [a, b] = [env.RPC.getByName(name), env.RPC.getByName(name)];
      await a.note('a');
      await b.note('b');
      return a.noted();
    },
  },
  'stub: a new one after an abort': {
    main: async ({ env, name, call, object }) => [await object.note(1), await outcome(() => call('end')), await outcome(() => object.note(2)), await outcome(() => object.fetch('http://x/')), await outcome(() => object.noted), await env.RPC.getByName(name).note(3), await outcome(() => object.note(4))],
    end() {
      this.ctx.abort('a new one');
    },
  },
  'stub: kept in the module over requests': {
    main: async ({ env, name }) => {
      globalThis.keptStub ??= env.RPC.getByName(name);
      return globalThis.keptStub.add(1, 2);
    },
  },

  // ---------------------------------------------------------------- fetch
  'stub fetch: kinds of input': {
    main: async ({ object }) => [
      await seen(object.fetch('http://x/a')),
      await seen(object.fetch(new URL('http://x/b?q'))),
      await seen(object.fetch(new Request('http://x/c', { method: 'POST', body: 'c', headers: { 'x-h': '1' } }))),
      await seen(object.fetch({ toString: () => 'http://x/d' })),
      await seen(object.fetch('http://x/e', { method: 'post', body: 'e' })),
      await seen(object.fetch('HTTP://USER:PW@X:80/../f?a=b#hash')),
    ],
  },
  'stub fetch: a request as the init': {
    main: async ({ object }) => {
      const first = new Request('http://x/old', { method: 'PUT', headers: { 'x-h': '1' }, body: 'body' });
      return [await seen(object.fetch('http://x/new', first)), first.bodyUsed, await seen(object.fetch(new Request('http://x/a', { headers: { a: '1' } }), { headers: { b: '2' }, method: 'DELETE' }))];
    },
  },
  'stub fetch: wrong inputs': {
    main: ({ object }) =>
      briefs(
        () => object.fetch('relative'),
        () => object.fetch('/relative'),
        () => object.fetch(''),
        () => object.fetch('http://'),
        () => object.fetch('mailto:x'),
        () => object.fetch('http://x/', { method: 'in valid' }),
        () => object.fetch('http://x/', { method: 'GET', body: 'b' }),
        () => object.fetch('http://x/', { redirect: 'nonsense' }),
        () => object.fetch('http://x/', { headers: { 'in valid': '1' } }),
      ),
  },
  'stub fetch: methods': {
    main: async ({ object }) => {
      const out = [];
      for (const method of ['get', 'Post', 'HEAD', 'OPTIONS', 'PATCH', 'patch', 'PURGE', 'custom', 'TRACE']) out.push(await brief(async () => (method === 'HEAD' ? (await object.fetch('http://x/', { method })).status : (await seen(object.fetch('http://x/', { method }))).method)));
      return out;
    },
  },
  'stub fetch: redirects': {
    main: async ({ object, name }) => {
      const go = (status, init) =>
        brief(async () => {
          const response = await object.fetch(`http://x/hop?case=${encodeURIComponent(name)}&status=${status}`, init);
          const text = await response.text();
          return [response.status, response.redirected, response.url, text];
        });
      const out = [];
      for (const status of [301, 302, 303, 307, 308, 300, 304]) out.push(await go(status), await go(status, { method: 'POST', body: 'b' }));
      out.push(await go(302, { redirect: 'manual' }), await go(302, { redirect: 'error' }), await go(307, { method: 'PUT', body: 'put' }), await go(302, { method: 'HEAD' }));
      return out;
    },
    async hop(request, url) {
      if (url.searchParams.has('landed')) return new Response(`${request.method} ${await request.text()}`);
      const status = Number(url.searchParams.get('status'));
      return new Response(null, { status, headers: status === 304 ? {} : { location: `/hop?case=${encodeURIComponent(url.searchParams.get('case'))}&landed=1` } });
    },
  },
  'stub fetch: too many redirects': {
    main: async ({ object, name }) => [await brief(async () => (await object.fetch(`http://x/loop?case=${encodeURIComponent(name)}&n=0&max=20`)).text()), await brief(async () => (await object.fetch(`http://x/loop?case=${encodeURIComponent(name)}&n=0&max=21`)).text())],
    loop(request, url) {
      const n = Number(url.searchParams.get('n'));
      if (n === Number(url.searchParams.get('max'))) return new Response(`hop ${n}`);
      url.searchParams.set('n', n + 1);
      return new Response(null, { status: 302, headers: { location: url.href } });
    },
  },
  'stub fetch: a redirect to another host stays with the object': {
    main: async ({ object, name }) => {
      const response = await object.fetch(`http://x/away?case=${encodeURIComponent(name)}`);
      return [response.url, (await response.json()).url];
    },
    away: () => Response.redirect('https://other.example/landed', 302),
  },
  'stub fetch: a redirect without a location': {
    main: async ({ object, name }) => {
      const response = await object.fetch(`http://x/nowhere?case=${encodeURIComponent(name)}`);
      return [response.status, response.redirected, await response.text()];
    },
    nowhere: () => new Response('nowhere', { status: 302 }),
  },
  'stub fetch: a request that was received is passed on': {
    main: async ({ object, name }) => {
      const response = await object.fetch(new Request(`http://x/forward?case=${encodeURIComponent(name)}`, { method: 'POST', body: 'forwarded', headers: { 'x-h': '1' } }));
      return [response.status, response.headers.get('location'), await response.text()];
    },
    async forward(request, url) {
      if (this.ctx.id.name.endsWith(' 2')) return new Response(`${request.method} ${[...request.headers].join()} ${request.redirect} ${await request.text()}`, { status: 302, headers: { location: '/not-followed' } });
      const seenHere = request.redirect;
      const response = await this.env.RPC.getByName(`${url.searchParams.get('case')} 2`).fetch(request);
      return new Response(`${seenHere} ${await response.text()}`, response);
    },
  },
  'stub fetch: status and headers of the response': {
    main: async ({ object, name }) => {
      const response = await object.fetch(`http://x/make?case=${encodeURIComponent(name)}`);
      return [response.status, response.statusText, [...response.headers], response.headers.getSetCookie(), response.type, response.url, response.ok, response.bodyUsed, await response.text()];
    },
    make: () => {
      const response = new Response('body', { status: 418, statusText: 'Own Text', headers: { 'X-Upper': 'V', 'content-type': 'text/own' } });
      response.headers.append('set-cookie', 'a=1');
      response.headers.append('set-cookie', 'b=2');
      return response;
    },
  },
  'stub fetch: request headers': {
    main: async ({ object }) => {
      const { headers } = await seen(object.fetch('http://some.host:81/', { headers: { Host: 'other', 'X-A': ' v ', cookie: 'c', 'content-length': '7', connection: 'close', 'cf-ray': 'x' }, method: 'POST', body: 'b' }));
      return headers;
    },
  },
  'stub fetch: an aborted signal': {
    main: async ({ object }) => {
      const later = new AbortController();
      const running = outcome(() => object.fetch('http://x/', { signal: later.signal }));
      return [await outcome(() => object.fetch('http://x/', { signal: AbortSignal.abort() })), await outcome(() => object.fetch('http://x/', { signal: AbortSignal.abort(new RangeError('own')) })), (await running).constructor.name];
    },
  },
  'stub fetch: bodies of every kind': {
    main: async ({ object }) => {
      const out = [];
      const form = new FormData();
      form.set('f', 'v');
      for (const body of ['text', new Uint8Array([65, 66]), new Uint8Array([67]).buffer, new Blob(['blob'], { type: 'text/b' }), new URLSearchParams('a=1&b=2'), form, '']) {
        const got = await seen(object.fetch('http://x/', { method: 'POST', body }));
        out.push([got.headers.find(([key]) => key === 'content-type')?.[1].replace(/boundary=.*/, 'boundary'), got.headers.find(([key]) => key === 'content-length')?.[1].replace(/^\d{3}$/, 'long'), got.body.length < 50 ? got.body : 'long']);
      }
      return out;
    },
  },
  'stub fetch: an object that fetches itself': {
    main: async ({ object, name }) => (await object.fetch(`http://x/outer?case=${encodeURIComponent(name)}`)).text(),
    async outer(request, url) {
      return new Response(`outer ${(await (await this.env.RPC.get(this.ctx.id).fetch('http://x/inner')).json()).url}`);
    },
  },
  'stub fetch: a handler that throws after its response': {
    main: async ({ object, name }) => (await object.fetch(`http://x/late?case=${encodeURIComponent(name)}`)).text(),
    late() {
      this.ctx.waitUntil(Promise.reject(new Error('late')));
      return new Response('in time');
    },
  },
  'stub fetch: a body that fails': {
    main: async ({ object, name }) => {
      const response = await object.fetch(`http://x/half?case=${encodeURIComponent(name)}`);
      return [response.status, await brief(() => response.text())];
    },
    half: () =>
      new Response(
        new ReadableStream({
          pull(controller) {
            controller.error(new RangeError('half way'));
          },
        }),
      ),
  },
};
