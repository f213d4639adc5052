// ctx.facets, used in every way: runs on Holdfast and on workerd (facets.test.mjs). Each method without arguments of Parent
// is a case.
import { DurableObject, RpcTarget } from 'cloudflare:workers';
let born = 0;
export class Kid extends DurableObject {
  constructor(ctx, env) { super(ctx, env); this.born = ++born; }
  ids() { return [String(this.ctx.id), this.ctx.id?.name, this.ctx.id?.constructor?.name, typeof this.ctx.id]; }
  async put(k, v) { await this.ctx.storage.put(k, v); return v; }
  get(k) { return this.ctx.storage.get(k); }
  which() { return this.born; }
  async alarmSet() { await this.ctx.storage.setAlarm(Date.now() + 100000); }
  async alarmGet() { return this.ctx.storage.getAlarm(); }
  async alarmDel() { return this.ctx.storage.deleteAlarm(); }
  alarm() {}
  abortMe(reason) { this.ctx.abort(reason); }
  boom() { throw Object.assign(new TypeError('kid boom'), { code: 3 }); }
  deeper(n) { if (n === 0) return 'bottom'; return this.ctx.facets.get('d' + n, () => ({ class: this.ctx.exports.Kid })).deeper(n - 1); }
  child() { return this.ctx.facets.get('child', () => ({ class: this.ctx.exports.Kid })); }
  childPut(k, v) { return this.child().put(k, v); }
  childGet(k) { return this.child().get(k); }
  // Whether get() itself refuses, or the first call.
  canGet(n) { if (n > 0) return this.ctx.facets.get('g', () => ({ class: this.ctx.exports.Kid })).canGet(n - 1); try { this.ctx.facets.get('g', () => ({ class: this.ctx.exports.Kid })); return 'got'; } catch (e) { return e.message; } }
  hang() { return new Promise(() => {}); }
  async clear() { await this.ctx.storage.deleteAll(); }
  props() { return this.ctx.props; }
  async ws() { const [a, b] = Object.values(new WebSocketPair()); this.ctx.acceptWebSocket(b); return 'accepted'; }
  bookmark() { return this.ctx.storage.getCurrentBookmark(); }
  async size() { return this.ctx.storage.sql.databaseSize; }
  cb(f) { return f(41); }
  target() { return new (class extends RpcTarget { hi() { return 'hi'; } })(); }
  get prop() { return 'p'; }
  fetch(req) { return new Response('kid ' + new URL(req.url).pathname + ' ' + req.method); }
}
export class Thrower extends DurableObject { constructor(ctx, env) { super(ctx, env); throw new Error('no birth'); } x() {} }
export class Other extends DurableObject { kind() { return 'other'; } get(k) { return this.ctx.storage.get(k); } }
export class Parent extends DurableObject {
  kid(name = 'a', opt) { return this.ctx.facets.get(name, () => ({ class: this.ctx.exports.Kid, ...opt })); }
  run(name) { return this[name](); }
  async ids() { const [hex, ...rest] = await this.kid().ids(); return [String(this.ctx.id) === hex, rest]; }
  async idString() { return this.kid('s', { id: 'custom' }).ids(); }
  async idObject() { const id = this.env.PARENT.idFromName('zzz'); const r = await this.kid('o', { id }).ids(); return [r[0] === String(id), r.slice(1)]; }
  shape() { const k = this.kid(); return [k.constructor.name, Object.prototype.toString.call(k), k.id === undefined, typeof k.id, 'id' in k, typeof k.name, Object.keys(k), typeof k.fetch, typeof k.dup]; }
  facetsShape() { const f = this.ctx.facets; return [Object.prototype.toString.call(f), f.constructor.name, f === this.ctx.facets, Object.getOwnPropertyNames(Object.getPrototypeOf(f)).sort()]; }
  async storage() { await this.kid().put('x', 1); await this.ctx.storage.put('x', 2); return [await this.kid().get('x'), await this.ctx.storage.get('x'), await this.kid('b').get('x')]; }
  async once() { let n = 0; const f = () => { n++; return { class: this.ctx.exports.Kid }; }; const k = this.ctx.facets.get('once', f); await k.which(); await this.ctx.facets.get('once', f).which(); return n; }
  async lazy() { let n = 0; this.ctx.facets.get('lazy', () => { n++; return { class: this.ctx.exports.Kid }; }); await scheduler.wait(20); return n; }
  async sync() { let n = 0; const k = this.ctx.facets.get('sync', () => { n++; return { class: this.ctx.exports.Kid }; }); const p = k.which(); const at = n; await p; return [at, n]; }
  async asyncCb() { const [hex, ...rest] = await this.ctx.facets.get('async', async () => { await scheduler.wait(5); return { class: this.ctx.exports.Kid }; }).ids(); return [hex === String(this.ctx.id), rest]; }
  async cbThrows() { return err(() => this.ctx.facets.get('t', () => { throw new RangeError('cb'); }).which()); }
  async cbRejects() { return err(() => this.ctx.facets.get('t2', async () => { throw new RangeError('cb2'); }).which()); }
  async cbNothing() { return err(() => this.ctx.facets.get('t3', () => {}).which()); }
  async cbNoClass() { return err(() => this.ctx.facets.get('t4', () => ({})).which()); }
  async cbBadClass() { return err(() => this.ctx.facets.get('t5', () => ({ class: Kid })).which()); }
  async cbBadClass2() { return err(() => this.ctx.facets.get('t6', () => ({ class: 5 })).which()); }
  async envNs() { return err(() => this.ctx.facets.get('t7', () => ({ class: this.env.KID })).which()); }
  async badId() { return err(() => this.kid('t8', { id: 5 }).ids()); }
  async badId2() { return err(() => this.kid('t9', { id: null }).ids()); }
  async noArgs() { return err(() => this.ctx.facets.get()); }
  async noCb() { return err(() => this.ctx.facets.get('q')); }
  async badCb() { return err(() => this.ctx.facets.get('q', 5)); }
  async longName() { return [await err(() => this.kid('x'.repeat(256)).which().then((n) => typeof n)), await err(() => this.kid('x'.repeat(257)).which())]; }
  async longNameAbort() { return [await err(() => this.ctx.facets.abort('x'.repeat(257), new Error('q'))), await err(() => this.ctx.facets.delete('x'.repeat(257)))]; }
  async emptyName() { return err(() => this.kid('').which().then((n) => typeof n)); }
  async zero() { return err(() => this.kid('Kid\0name').which().then((n) => typeof n)); }
  async depth() { return [await err(() => this.kid('deep').deeper(1)), await err(() => this.kid('deep').deeper(2)), await err(() => this.kid('deep').deeper(3)), await err(() => this.kid('deep').deeper(4))]; }
  async alarms() { return [await err(() => this.kid().alarmSet()), await err(() => this.kid().alarmGet()), await err(() => this.kid().alarmDel())]; }
  async pass() { return err(() => this.env.PARENT.getByName('other').take(this.kid())); }
  async ret() { return this.kid(); }
  take() { return 'took'; }
  async store() { return err(() => this.ctx.storage.put('stub', this.kid())); }
  async clone1() { return err(() => structuredClone(this.kid())); }
  async abort() { const k = this.kid('ab'); const b1 = await k.which(); const hang = err(() => k.hang()); await scheduler.wait(5); this.ctx.facets.abort('ab', new RangeError('why')); const later = await err(() => k.which()); const b2 = await err(() => this.kid('ab').which()); return [await hang, later, typeof b2 === 'number' ? b2 > b1 : b2]; }
  async abortText() { const k = this.kid('abt'); await k.which(); const hang = err(() => k.hang()); await scheduler.wait(5); this.ctx.facets.abort('abt', 'text'); return [await hang, await err(() => k.which())]; }
  async abortNone() { return err(() => { this.ctx.facets.abort('never', new Error('x')); return 'ok'; }); }
  async abortNoReason() { return err(() => { this.ctx.facets.abort('never'); return 'ok'; }); }
  async abortKeeps() { await this.kid('keep').put('v', 7); this.ctx.facets.abort('keep', new Error('x')); return this.kid('keep').get('v'); }
  async abortInside() { const k = this.kid('ai'); const r = await err(() => k.abortMe('inside')); return [r, await err(() => k.which().then((n) => typeof n)), typeof await err(() => this.kid('ai').which())]; }
  async boom() { return err(() => this.kid().boom()); }
  async ctor() { const k = this.ctx.facets.get('ctor', () => ({ class: this.ctx.exports.Thrower })); return [await err(() => k.x()), await err(() => k.x()), await err(() => this.ctx.facets.get('ctor', () => ({ class: this.ctx.exports.Thrower })).x())]; }
  async del() { const k = this.kid('del'); await k.put('v', 1); const hang = err(() => k.hang()); await scheduler.wait(5); const ret = this.ctx.facets.delete('del'); return [ret, await hang, await err(() => k.which()), await this.kid('del').get('v')]; }
  async delNever() { return err(() => { this.ctx.facets.delete('nope'); return 'ok'; }); }
  async delChildren() { const k = this.kid('dc'); await k.childPut('x', 1); this.ctx.facets.delete('dc'); return [await this.kid('dc').childGet('x')]; }
  async cloneChildren() { await this.kid('cs').childPut('x', 1); await this.kid('cd').childPut('y', 2); this.ctx.facets.clone('cs', 'cd'); return [await this.kid('cd').childGet('x'), await this.kid('cd').childGet('y'), await this.kid('cs').childGet('x')]; }
  async clearChildren() { const k = this.kid('cc'); await k.put('own', 1); await k.childPut('x', 1); await this.kid('sibling').put('s', 1); await k.clear(); return [await k.get('own'), await k.childGet('x'), await this.kid('sibling').get('s')]; }
  async deepGet() { return err(() => this.kid('dg').canGet(2)); }
  async clone() { const f = this.ctx.facets; await this.kid('src').put('v', 'sv'); await this.kid('dst').put('w', 1); const d = this.kid('dst'); await d.which(); const hang = err(() => d.hang()); const s = this.kid('src'); const b = await s.which(); const shang = err(() => Promise.race([s.hang(), scheduler.wait(30).then(() => 'still')])); await scheduler.wait(5); const ret = f.clone('src', 'dst'); return [ret === undefined, await hang, await shang, await this.kid('dst').get('v'), await this.kid('dst').get('w'), (await this.kid('src').which()) === b, await err(() => d.which().then((n) => typeof n))]; }
  async cloneNone() { return err(async () => { this.ctx.facets.clone('none1', 'none2'); return 'ok ' + (await this.kid('none2').get('v')); }); }
  async cloneSame() { return err(async () => { await this.kid('same').put('v', 3); this.ctx.facets.clone('same', 'same'); return 'ok ' + (await this.kid('same').get('v')); }); }
  async deleteAll() { await this.kid('da').put('v', 1); await this.ctx.storage.put('p', 1); const k = this.kid('da'); const hang = err(() => k.hang()); await scheduler.wait(5); await this.ctx.storage.deleteAll(); const r = await Promise.race([hang, scheduler.wait(30).then(() => 'still hangs')]); return [r, await err(() => k.get('v')), await err(() => this.kid('da').get('v'))]; }
  async otherClass() { await this.kid('oc').put('v', 5); this.ctx.facets.abort('oc', new Error('z')); const o = this.ctx.facets.get('oc', () => ({ class: this.ctx.exports.Other })); return [await o.kind(), await o.get('v')]; }
  async changeWhileRunning() { await this.kid('cw').which(); return err(() => this.ctx.facets.get('cw', () => ({ class: this.ctx.exports.Other })).kind()); }
  async kidNs() { return err(() => this.ctx.facets.get('ns', () => ({ class: this.ctx.exports.NsKid })).hello()); }
  async propsCall() { return err(() => this.ctx.facets.get('pr', () => ({ class: this.ctx.exports.Kid({ props: { a: 1 } }) })).props()); }
  async propsNone() { return err(() => this.kid('pn').props()); }
  async propsNs() { return err(() => this.ctx.facets.get('prn', () => ({ class: this.ctx.exports.NsKid({ props: { a: 1 } }) })).props()); }
  async ws() { return err(() => this.kid('ws').ws()); }
  async bookmark() { return err(() => this.kid('bm').bookmark().then((b) => typeof b)); }
  async size() { await this.kid('sz'); return [await this.kid('sz').size(), this.ctx.storage.sql.databaseSize > 0]; }
  async rpc() { const k = this.kid(); return [await k.cb((x) => x + 1), await k.target().hi(), await k.prop]; }
  async fetchIt() { const k = this.kid(); return (await k.fetch('http://x/path', { method: 'PUT', body: 'x' })).text(); }
  async classShape() { const c = this.ctx.exports.Kid; return [typeof c, Object.prototype.toString.call(c), c?.constructor?.name, typeof this.ctx.exports.NsKid, Object.prototype.toString.call(this.ctx.exports.NsKid)]; }
  async tables() { await this.kid('tb').put('x', 1); return [this.ctx.storage.sql.exec("SELECT name FROM sqlite_master").toArray(), this.ctx.storage.sql.databaseSize]; }
  async order() { const k = this.kid('ord'); const out = []; await Promise.all([1, 2, 3].map(async (i) => { await k.put('n', i); out.push(i); })); return [out, await k.get('n')]; }
  async sectioned() { return err(() => this.ctx.blockConcurrencyWhile(async () => (await this.kid('sec').put('a', 1)))); }
  async inTxn() { return err(() => this.ctx.storage.transaction(async (t) => { await t.put('q', 1); await this.kid('txn').put('a', 1); return this.kid('txn').get('a'); })); }
  async txnRollback() { await err(() => this.ctx.storage.transaction(async (t) => { await t.put('qq', 1); await this.kid('txr').put('a', 1); throw new Error('back'); })); return [await this.ctx.storage.get('qq'), await this.kid('txr').get('a')]; }
  async parentAbort() { this.ctx.abort('parent gone'); }
  async bornOf() { return this.kid('life').which(); }
  async hangKid() { return this.kid('life').hang(); }
}
export class NsKid extends DurableObject { hello() { return 'ns ' + this.ctx.id.name; } props() { return this.ctx.props; } }
async function err(f) { try { return await f(); } catch (e) { return [e?.name, e?.message, ...Object.keys(e ?? {}).filter((k) => !['stack', 'name', 'message'].includes(k) && !(k === 'code' && e.name === 'DataCloneError')).sort().map((k) => k + '=' + (k === 'durableObjectId' ? 'ID' : e[k]))]; } }
export default { async fetch(req, env) {
  const m = new URL(req.url).pathname.slice(1);
  if (m === 'list') return Response.json(Object.getOwnPropertyNames(Parent.prototype).filter((n) => !['constructor', 'kid', 'run', 'take', 'parentAbort', 'bornOf', 'hangKid'].includes(n)));
  if (m === 'parentAbortAll') { const p = env.PARENT.getByName('pa'); const b = await p.bornOf(); const h = err(() => p.hangKid()); await scheduler.wait(5); const a = await err(() => p.parentAbort()); return Response.json([a, await h, (await env.PARENT.getByName('pa').bornOf()) > b]); }
  const p = env.PARENT.getByName('p-' + m);
  return Response.json((await err(() => p.run(m))) ?? null);
} };
