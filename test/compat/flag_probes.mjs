// One probe for each compatibility flag that we honour: a function body whose answer (JSON) differs between the flag being on
// and off. flags.test.mjs runs each four times: on workerd and on Holdfast, on and off.
//   date: the day from which the flag is on by itself; on = that day, off = the day before. Without: by name only.
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
  { flag: 'durable_object_fetch_requires_full_url', date: '2021-11-10', object: `fetch(r) { return new Response(r.url); }`, run: `return await attempt(async () => (await obj.fetch('/x')).text());` },
  { flag: 'fetch_refuses_unknown_protocols', date: '2021-11-10', run: `return (await attempt(() => fetch('foo://127.0.0.1:1/'))).includes?.('Unknown') ?? true;` },
  { flag: 'workers_api_getters_setters_on_prototype', date: '2022-01-31', run: `const r = new Response('x'); const q = new Request('http://x/'); const [a] = Object.values(new WebSocketPair()); const own = (o) => Object.getOwnPropertyNames(o).sort();
    class Sub extends Request { get url() { return 'mine'; } }
    return [own(r), own(q), own(a), own(new Headers()), Object.keys(q).length, new Sub('http://x/').url];` },
  { flag: 'global_navigator', date: '2022-03-21', run: `return [typeof navigator, typeof Navigator, globalThis.navigator?.userAgent];` },
  { flag: 'capture_async_api_throws', date: '2022-10-31', object: `f() { const out = []; for (const g of [() => this.ctx.storage.get(), () => this.ctx.storage.put(), () => this.ctx.storage.setAlarm(0), () => this.ctx.storage.delete()]) { try { const p = g(); p.catch(() => {}); out.push('promise'); } catch (e) { out.push('threw'); } } return out; }`, fetchObject: true,
    run: `const out = []; for (const g of [() => new Request('http://x/', { method: 'POST', body: 'x' }).text(), () => { const r = new Response('x'); r.text(); return r.text(); }, () => crypto.subtle.digest('nope', new Uint8Array(1)), () => fetch('bad url'), () => obj.fetch('bad url'), () => caches.default.match(), () => new Response('x').body.getReader().read(), () => scheduler.wait(), () => crypto.subtle.importKey('raw')]) { try { const p = g(); p.catch(() => {}); out.push('promise'); } catch (e) { out.push('threw'); } } return out;` },
  { flag: 'url_standard', date: '2022-10-31', run: `return [new URL('http://x/%7Efoo').href, new URL('HTTP://EXAMPLE.com:80/a b').href, await attempt(() => new URL('http://a b/').href), URL.canParse?.('x') ?? 'none', new URLSearchParams('a=1').size ?? 'none'];` },
  { flag: 'export_commonjs_default', date: '2022-10-31', run: `return 1;` },
  { flag: 'streams_enable_constructors', date: '2022-11-30', run: `return [await attempt(() => new Response(new ReadableStream({ start(c) { c.enqueue(new Uint8Array([65])); c.close(); } })).text()), await attempt(() => typeof new WritableStream({ write() {} })), typeof TransformStream, typeof ReadableStreamDefaultController, typeof ByteLengthQueuingStrategy, typeof ReadableStreamBYOBRequest];` },
  { flag: 'transformstream_enable_standard_constructor', date: '2022-11-30', run: `const t = new TransformStream({ transform(c, k) { k.enqueue(String(c).toUpperCase()); } }); const w = t.writable.getWriter(); const r = t.readable.getReader(); w.write('x').catch(() => {}); return await attempt(async () => (await r.read()).value);` },
  { flag: 'http_headers_getsetcookie', date: '2023-03-01', run: `const h = new Headers(); h.append('set-cookie', 'a=1'); h.append('set-cookie', 'b=2'); return [typeof h.getSetCookie, [...h], h.get('set-cookie')];` },
  { flag: 'dynamic_dispatch_tunnel_exceptions', date: '2023-03-01', run: `return 1;` },
  { flag: 'web_socket_compression', date: '2023-08-15', run: `const [a] = Object.values(new WebSocketPair()); return a.extensions;` },
  { flag: 'fetcher_no_get_put_delete', date: '2024-03-26', run: `return [typeof obj.get, typeof obj.put, typeof obj.delete, 'get' in Object.getPrototypeOf(Object.getPrototypeOf(obj))];` },
  { flag: 'unwrap_custom_thenables', date: '2024-04-01', object: `async fetch() { return new Response(String(this.x)); }`, run: `ctx.waitUntil({ then(ok) { ok(1); } }); return { then(ok) { ok('unwrapped'); } };` },
  { flag: 'rpc', date: '2024-04-03', object: `f() { return 1; }`, run: `return [typeof obj.f, await attempt(() => obj.f())];` },
  { flag: 'nodejs_compat', run: `return [typeof process, typeof global, (await attempt(async () => typeof (await import('node:util')).inspect)).slice(0, 28), (await attempt(async () => typeof (await import('util')).inspect)).slice(0, 23)];` },
  { flag: 'nodejs_compat_v2', date: '2024-09-23', with: ['nodejs_compat'], run: `return [typeof process, await attempt(async () => typeof (await import('node:util')).inspect), (await attempt(async () => typeof (await import('util')).inspect)).slice(0, 23)];` },
  { flag: 'nodejs_als', at: '2024-05-01', run: `return [(await attempt(async () => typeof (await import('node:async_hooks')).AsyncLocalStorage)).slice(0, 34), (await attempt(async () => typeof (await import('node:util')).inspect)).slice(0, 20)];` },
  { flag: 'handle_cross_request_promise_resolution', date: '2024-10-14', run: `return 1;` },
  { flag: 'set_tostring_tag', date: '2024-09-26', run: `return [String(new Headers()), String(new Request('http://x/')), String(new Response()), String(Object.values(new WebSocketPair())[0]), String(env.OBJ), String(new URL('http://x/')), String(new ReadableStream()), String(new AbortController().signal), String(new Event('x')), String(new Blob([])), String(new TextEncoder()), String(ctx), String(caches), String(performance), Object.prototype.toString.call(new URLSearchParams()), String(new TransformStream()), String(navigator), String(scheduler)];`,
    object: `f() { return [String(this.ctx), String(this.ctx.storage), String(this.ctx.storage.sql)]; }` },
  { flag: 'nodejs_compat_populate_process_env', date: '2025-04-01', with: ['nodejs_compat'], run: `return Object.keys(process.env).sort();` },
  { flag: 'urlpattern_standard', date: '2025-05-01', run: `const p = new URLPattern({ pathname: '/:a' }); return [typeof URLPattern, p.hasRegExpGroups, String(Object.keys(p.exec('http://x/1')?.pathname?.groups ?? {})), await attempt(() => new URLPattern('/x').pathname), await attempt(() => new URLPattern({ pathname: '/(\\\\m)' }).pathname)];` },
  { flag: 'enable_weak_ref', date: '2025-05-05', run: `return [typeof WeakRef, typeof FinalizationRegistry];` },
  { flag: 'allow_eval_during_startup', date: '2025-06-01', module: `let evaluated; try { evaluated = [eval('1 + 1'), new Function('return 3')()]; } catch (e) { evaluated = e.name; }`, run: `return [evaluated, await attempt(() => eval('1'))];` },
  { flag: 'expose_global_message_channel', date: '2025-08-15', run: `return typeof MessageChannel;` },
  { flag: 'enable_ctx_exports', date: '2025-11-17', object: `f() { return typeof this.ctx.exports; }`, run: `return [typeof ctx.exports, await obj.f()];` },
  { flag: 'rpc_params_dup_stubs', date: '2026-01-20', module: `class T extends RpcTarget { f() { return 1; } }`, object: `async take(t) { const v = await t.f(); t[Symbol.dispose]?.(); return v; } async give(s) { return await s.f(); }`,
    run: `const { RpcStub } = await import('cloudflare:workers'); const s = new RpcStub(new T()); const a = await attempt(() => obj.give(s)); await wait(10); return [a, await attempt(() => s.f())];` },
  { flag: 'unhandled_rejection_after_microtask_checkpoint', date: '2026-03-03', module: `const seen = []; addEventListener('unhandledrejection', (e) => seen.push('un ' + e.reason.message)); addEventListener('rejectionhandled', (e) => seen.push('handled'));`,
    run: `const p = Promise.reject(new Error('a')); await Promise.resolve(); p.catch(() => {}); const q = Promise.reject(new Error('b')); await wait(5); return seen;` },
  { flag: 'websocket_close_reason_byte_limit', date: '2026-03-03', run: `const [a] = Object.values(new WebSocketPair()); a.accept(); return await attempt(() => a.close(1000, 'é'.repeat(100)));` },
  { flag: 'websocket_standard_binary_type', date: '2026-03-17', run: `return Object.values(new WebSocketPair())[0].binaryType;` },
  { flag: 'web_socket_auto_reply_to_close', date: '2026-04-07', run: `const [a, b] = Object.values(new WebSocketPair()); a.accept(); b.accept(); const got = []; a.addEventListener('close', (e) => got.push(['a', e.code])); b.addEventListener('close', (e) => got.push(['b', e.code, b.readyState])); a.close(1000, 'x'); await wait(20); return got;` },
  { flag: 'enhanced_error_serialization', date: '2026-04-21', object: `f() { const e = new RangeError('x'); e.extra = 7; e.cause = { a: 1 }; throw e; }`, run: `try { await obj.f(); } catch (e) { return [e.name, e.message, e.extra, e.cause]; }` },
  { flag: 'enable_request_signal', date: '2026-11-17', run: `return [request.signal?.constructor?.name, request.signal === undefined];` },
  { flag: 'disallow_importable_env', run: `return Object.keys(importedEnv);` },
  { flag: 'upper_case_all_http_methods', date: '2024-10-14', run: `return [new Request('http://x/', { method: 'patch' }).method, await attempt(() => new Request('http://x/', { method: 'foo' }).method)];` },
  { flag: 'strip_bom_in_read_all_text', date: '2026-01-13', run: `return (await new Response(new Uint8Array([0xef, 0xbb, 0xbf, 65])).text()).length;` },
  { flag: 'fetch_iterable_type_support', date: '2026-02-19', run: `return await attempt(() => new Response((function* () { yield 'a'; yield 'b'; })()).text());` },
  { flag: 'no_global_importscripts', date: '2024-03-04', run: `return typeof importScripts;` },
  { flag: 'blob_standard_mime_type', date: '2024-06-03', run: `return new Blob([], { type: 'TEXT/Plain; X=Y' }).type;` },
  { flag: 'response_redirect_url_standard', date: '2023-03-14', run: `return [Response.redirect('http://x').headers.get('location'), await attempt(() => Response.redirect('HTTP://X/a b').headers.get('location'))];` },
  { flag: 'urlsearchparams_delete_has_value_arg', date: '2023-07-01', run: `const u = new URLSearchParams('a=1&a=2'); u.delete('a', '1'); return [String(u), new URLSearchParams('a=1').has('a', '2')];` },
  { flag: 'enable_navigator_language', date: '2025-05-19', run: `return typeof navigator.language;` },
  { flag: 'enable_nodejs_process_v2', date: '2025-09-15', with: ['nodejs_compat'], run: `return [typeof process.version, typeof process.hrtime, typeof process.uptime, process.title];` },
  { flag: 'formdata_parser_supports_files', date: '2021-11-03', run: `const f = new FormData(); f.append('a', new Blob(['x']), 'n.txt'); const g = await new Response(f).formData(); return typeof g.get('a');` },
  { flag: 'internal_stream_byob_return_view', date: '2024-05-13', run: `const r = new Response('').body; return String(r);` },
  { flag: 'crypto_preserve_public_exponent', date: '2023-12-01', run: `const k = await crypto.subtle.generateKey({ name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', modulusLength: 1024, publicExponent: new Uint8Array([1, 0, 1]) }, true, ['sign', 'verify']); return k.publicKey.algorithm.publicExponent.constructor.name;` },
  { flag: 'set_event_target_this', date: '2025-08-01', run: `let that; const t = new EventTarget(); t.addEventListener('x', function () { that = this === t; }); t.dispatchEvent(new Event('x')); return that;` },
  { flag: 'text_decoder_replace_surrogates', date: '2026-02-24', run: `return [...new TextDecoder('utf-16le').decode(new Uint8Array([0, 0xd8, 65, 0]))].map((c) => c.charCodeAt(0));` },
  { flag: 'text_decoder_cjk_decoder', date: '2026-03-03', run: `return [...new TextDecoder('big5').decode(new Uint8Array([0x87, 0x40]))].map((c) => c.codePointAt(0));` },
  { flag: 'dont_substitute_null_on_type_error', date: '2022-06-01', run: `return await attempt(() => new Response('x', { status: 200, webSocket: 5 }).status);` },
  { flag: 'spec_compliant_dispatch_exceptions', date: '2026-09-15', run: `const t = new EventTarget(); t.addEventListener('x', () => { throw new Error('from listener'); }); return await attempt(() => t.dispatchEvent(new Event('x')));` },
  { flag: 'strict_crypto_checks', date: '2023-08-01', run: `return await attempt(async () => { const k = await crypto.subtle.importKey('raw', new Uint8Array(16), 'AES-GCM', true, []); return k.type; });` },
  { flag: 'strict_compression_checks', date: '2023-08-01', run: `const d = new DecompressionStream('gzip'); const w = d.writable.getWriter(); const c = await new Response(new Response('hello').body.pipeThrough(new CompressionStream('gzip'))).arrayBuffer(); w.write(c.slice(0, c.byteLength - 4)).catch(() => {}); w.close().catch(() => {}); return await attempt(() => new Response(d.readable).text());` },
  { flag: 'cache_option_enabled', date: '2024-11-11', run: `return [await attempt(() => new Request('http://x/', { cache: 'no-store' }).cache), 'cache' in Request.prototype];` },
  { flag: 'no_cf_botmanagement_default', date: '2023-08-01', run: `return request.cf === undefined;` },
  { flag: 'streams_byob_reader_detaches_buffer', date: '2021-11-10', run: `const r = new Response('abc').body.getReader({ mode: 'byob' }); const b = new Uint8Array(10); await r.read(b); return b.byteLength;` },
  { flag: 'immutable_api_prototypes', run: `return await attempt(() => { 'use strict'; Headers.prototype.get2 = 1; return Headers.prototype.get2; });` },
  { flag: 'enable_global_performance_classes', date: '2026-03-17', with: ['nodejs_compat'], run: `return [typeof PerformanceEntry, typeof PerformanceMark, typeof PerformanceObserver];` },
  { flag: 'enable_nodejs_global_timers', date: '2026-02-10', with: ['nodejs_compat'], run: `const t = setTimeout(() => {}, 0); return typeof t;` },
  { flag: 'nodejs_process_version_24', date: '2026-11-24', with: ['nodejs_compat'], run: `return process.version.split('.')[0];` },
  { flag: 'writable_stream_spec_compliant_writer', date: '2026-03-24', run: `const w = new WritableStream({}).getWriter(); w.releaseLock(); return await attempt(() => w.closed);` },
  { flag: 'fetch_standard_url', date: '2024-06-03', run: `return new Request('http://x').url;` },
  { flag: 'bind_asynclocalstorage_snapshot_to_request', date: '2025-06-16', run: `return 1;` },
  { flag: 'allow_irrevocable_stub_storage', run: `return 1;` },
  { flag: 'unique_ctx_per_invocation', at: '2025-03-01', run: `return 1;` },
  { flag: 'disable_top_level_await_in_require', date: '2024-12-02', run: `return 1;` },
  { flag: 'diagnostics_channel_has_subscribers_getter', date: '2026-05-19', with: ['nodejs_compat'], run: `const d = await import('node:diagnostics_channel'); return typeof d.channel('x').hasSubscribers;` },
  { flag: 'throw_on_unrecognized_import_assertion', date: '2025-06-16', run: `return 1;` },
];
for (const p of probes) if (p.fetchObject) p.run = p.run.replace('return out;', "return [out, await (await obj.fetch('http://x/')).json()];"), p.object += ' fetch() { return Response.json(this.f()); }';
