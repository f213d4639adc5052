// One probe for each compatibility flag that we honour: a function body whose answer (JSON) differs between the flag being on
// and off. flags.test.mjs runs each four times: on workerd and on Holdfast, on and off.
//   date: the day from which the flag is on by itself; on = that day, off = the day before. Without: by name only.
//   at: this day in both, and the flag (or `off`, its opposite) by name.
//   with: other flags, in both.  module: source that goes before the handler.

const worker = (probe) => `
import { DurableObject, WorkerEntrypoint, RpcTarget, env as importedEnv } from 'cloudflare:workers';
const say = (e) => (e instanceof Error ? e.name + ': ' + e.message : String(e));
const attempt = async (f) => { try { return await f(); } catch (e) { return say(e); } };
const wait = (ms) => new Promise((r) => setTimeout(r, ms));
${probe.module ?? ''}
export class Obj extends DurableObject {
  ${probe.object ?? ''}
}
export default { async fetch(request, env, ctx) {
  const obj = env.OBJ.getByName('one');
  ${probe.route ?? ''}
  try {
    const value = await (async () => { ${probe.run} })();
    return value instanceof Response ? value : Response.json(value ?? null);
  } catch (e) {
    return new Response('threw ' + say(e));
  }
} };`;

const dayBefore = (date) => new Date(Date.parse(date) - 86_400_000).toISOString().slice(0, 10);

/** What to deploy so that the probe's flag is 'on' or 'off'. */
export function resolve(probe, state) {
  const byName = probe.date === undefined || probe.at !== undefined;
  const date = probe.at ?? (probe.date === undefined ? '2026-05-01' : state === 'on' ? probe.date : dayBefore(probe.date));
  const named = byName ? (state === 'on' ? [probe.flag] : probe.off === undefined ? [] : [probe.off]) : [];
  return { date, flags: [...(probe.with ?? []), ...named], modules: { 'm.mjs': worker(probe) } };
}

export const probes = [
  { flag: 'delete_all_deletes_alarm', date: '2026-02-24', object: `async f() { await this.ctx.storage.setAlarm(Date.now() + 1e6); await this.ctx.storage.deleteAll(); return (await this.ctx.storage.getAlarm()) === null; } alarm() {}`, run: `return await obj.f();` },
  { flag: 'durable_object_fetch_requires_full_url', date: '2021-11-10', object: `fetch(r) { return new Response(r.url); }`, run: `return (await attempt(async () => (await obj.fetch('/x')).text())).slice(0, 9);` },
  { flag: 'fetch_refuses_unknown_protocols', date: '2021-11-10', object: `fetch(r) { return new Response('came'); }`, run: `return await attempt(async () => (await obj.fetch('foo://x/')).text());` },
  { flag: 'workers_api_getters_setters_on_prototype', date: '2022-01-31', run: `const r = new Response('x'); const q = new Request('http://x/'); const [a] = Object.values(new WebSocketPair()); const own = (o) => Object.getOwnPropertyNames(o).sort();
    class Sub extends Request { get url() { return 'mine'; } }
    return [own(r), own(q), own(a), own(new Headers()), Object.keys(q).length, new Sub('http://x/').url];` },
  { flag: 'global_navigator', date: '2022-03-21', run: `return [typeof navigator, typeof Navigator, globalThis.navigator?.userAgent];` },
  { flag: 'capture_async_api_throws', date: '2022-10-31', object: `f() { const out = []; for (const g of [() => this.ctx.storage.get(), () => this.ctx.storage.put(), () => this.ctx.storage.setAlarm(0), () => this.ctx.storage.delete()]) { try { const p = g(); p.catch(() => {}); out.push('promise'); } catch (e) { out.push('threw'); } } return out; } fetch() { return Response.json(this.f()); }`,
    run: `return await (await obj.fetch('http://x/')).json();` },
  { flag: 'streams_enable_constructors', date: '2022-11-30', run: `return [await attempt(() => new Response(new ReadableStream({ start(c) { c.enqueue(new Uint8Array([65])); c.close(); } })).text()), await attempt(() => typeof new WritableStream({ write() {} })), typeof TransformStream, typeof ReadableStreamDefaultController, typeof ByteLengthQueuingStrategy, typeof ReadableStreamBYOBRequest];` },
  { flag: 'transformstream_enable_standard_constructor', date: '2022-11-30', run: `const t = new TransformStream({ transform(c, k) { k.enqueue(String(c).toUpperCase()); } }); const w = t.writable.getWriter(); const r = t.readable.getReader(); w.write('x').catch(() => {}); return await attempt(async () => (await r.read()).value);` },
  { flag: 'http_headers_getsetcookie', date: '2023-03-01', run: `const h = new Headers(); h.append('set-cookie', 'a=1'); h.append('set-cookie', 'b=2'); return [typeof h.getSetCookie, [...h], h.get('set-cookie')];` },
  { flag: 'fetcher_no_get_put_delete', date: '2024-03-26', run: `return [typeof obj.get, typeof obj.put, typeof obj.delete, 'get' in Object.getPrototypeOf(Object.getPrototypeOf(obj))];` },
  { flag: 'rpc', date: '2024-04-03', object: `f() { return 1; }`, run: `return [typeof obj.f, await attempt(() => obj.f())];` },
  { flag: 'nodejs_compat', run: `return [typeof process, typeof global, (await attempt(async () => typeof (await import('node:util')).inspect)).slice(0, 28), (await attempt(async () => typeof (await import('util')).inspect)).slice(0, 23)];` },
  { flag: 'nodejs_compat_v2', date: '2024-09-23', with: ['nodejs_compat'], run: `return [typeof process, await attempt(async () => typeof (await import('node:util')).inspect), (await attempt(async () => typeof (await import('util')).inspect)).slice(0, 23)];` },
  { flag: 'nodejs_als', at: '2024-05-01', run: `return [(await attempt(async () => typeof (await import('node:async_hooks')).AsyncLocalStorage)).slice(0, 34), (await attempt(async () => typeof (await import('node:util')).inspect)).slice(0, 20)];` },
  { flag: 'set_tostring_tag', date: '2024-09-26', run: `return [String(new Headers()), String(new Request('http://x/')), String(new Response()), String(Object.values(new WebSocketPair())[0]), String(env.OBJ), String(new URL('http://x/')), String(new ReadableStream()), String(new AbortController().signal), String(new Event('x')), String(new Blob([])), String(new TextEncoder()), String(ctx), String(caches), String(performance), Object.prototype.toString.call(new URLSearchParams()), String(new TransformStream()), String(navigator), String(scheduler)];`,
    object: `f() { return [String(this.ctx), String(this.ctx.storage), String(this.ctx.storage.sql)]; }` },
  { flag: 'nodejs_compat_populate_process_env', date: '2025-04-01', with: ['nodejs_compat'], run: `return Object.keys(process.env).sort();` },
  { flag: 'allow_eval_during_startup', date: '2025-06-01', module: `let evaluated; try { evaluated = [eval('1 + 1'), new Function('return 3')()]; } catch (e) { evaluated = e.name; }`, run: `return [evaluated, await attempt(() => eval('1'))];` },
  { flag: 'expose_global_message_channel', date: '2025-08-15', run: `return typeof MessageChannel;` },
  { flag: 'enable_ctx_exports', date: '2025-11-17', object: `f() { return typeof this.ctx.exports; }`, run: `return [typeof ctx.exports, await obj.f()];` },
  { flag: 'websocket_close_reason_byte_limit', date: '2026-03-03', run: `const [a] = Object.values(new WebSocketPair()); a.accept(); return await attempt(() => a.close(1000, 'é'.repeat(100)));` },
  { flag: 'websocket_standard_binary_type', date: '2026-03-17', run: `return Object.values(new WebSocketPair())[0].binaryType;` },
  { flag: 'web_socket_auto_reply_to_close', date: '2026-04-07', run: `const [a, b] = Object.values(new WebSocketPair()); a.accept(); b.accept(); const got = []; a.addEventListener('close', (e) => got.push(['a', e.code])); b.addEventListener('close', (e) => got.push(['b', e.code, b.readyState])); a.close(1000, 'x'); await wait(20); return got;` },
  { flag: 'enhanced_error_serialization', date: '2026-04-21', object: `f() { const e = new RangeError('x'); e.extra = 7; e.cause = { a: 1 }; throw e; }`, run: `try { await obj.f(); } catch (e) { return [e.name, e.message, e.extra, e.cause]; }` },
  { flag: 'disallow_importable_env', run: `return Object.keys(importedEnv);` },
  { flag: 'upper_case_all_http_methods', date: '2024-10-14', run: `return [new Request('http://x/', { method: 'patch' }).method, await attempt(() => new Request('http://x/', { method: 'foo' }).method)];` },
  { flag: 'strip_bom_in_read_all_text', date: '2026-01-13', run: `return (await new Response(new Uint8Array([0xef, 0xbb, 0xbf, 65])).text()).length;` },
  { flag: 'fetch_iterable_type_support', date: '2026-02-19', run: `return await attempt(() => new Response((function* () { yield 'a'; yield 'b'; })()).text());` },
  { flag: 'no_global_importscripts', date: '2024-03-04', run: `return typeof importScripts;` },
  { flag: 'urlsearchparams_delete_has_value_arg', date: '2023-07-01', run: `const u = new URLSearchParams('a=1&a=2'); u.delete('a', '1'); return [String(u), new URLSearchParams('a=1').has('a', '2')];` },
  { flag: 'enable_navigator_language', date: '2025-05-19', run: `return typeof navigator.language;` },
  { flag: 'spec_compliant_dispatch_exceptions', date: '2026-09-15', run: `const t = new EventTarget(); t.addEventListener('x', () => { throw new Error('from listener'); }); return await attempt(() => t.dispatchEvent(new Event('x')));` },
  { flag: 'cache_option_enabled', date: '2024-11-11', run: `return [await attempt(() => new Request('http://x/', { cache: 'no-store' }).cache), 'cache' in Request.prototype];` },
  { flag: 'enable_global_performance_classes', date: '2026-03-17', with: ['nodejs_compat'], run: `return [typeof PerformanceEntry, typeof PerformanceMark, typeof PerformanceObserver];` },
  { flag: 'enable_nodejs_global_timers', date: '2026-02-10', with: ['nodejs_compat'], run: `const t = setTimeout(() => {}, 0); return typeof t;` },
  { flag: 'rpc_params_dup_stubs', date: '2026-01-20', module: `class T extends RpcTarget { f() { return 1; } }`, object: `async give(s) { return await s.f(); }`,
    run: `const { RpcStub } = await import('cloudflare:workers'); const s = new RpcStub(new T()); const a = await attempt(() => obj.give(s)); await wait(10); return [a, await attempt(() => s.f())];` },
];
