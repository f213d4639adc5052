// The border between the runtime's TypeScript and its C++: every function that crosses, and what it means.
//
// C++ calls runtime.js once per environment (= worker isolate: one script version on one shard) with a `Native` and a
// `Config`, and gets back a `Runtime` (src/worker/runtime.ts). All calls in both directions happen on the shard's
// thread. Everything that may run user code is queued with `enqueueTurn` (web/io.ts) and runs as a *turn*: C++ calls
// `Runtime.runTurn()` until it returns false; each call runs ONE queued event inside a node::CallbackScope, so that
// when it returns all microtasks and next-ticks have run. Then C++ ends the turn: it commits the implicit transaction
// of every database that was written (Database::endTurn). The other Runtime functions only queue; they run no user code.
//
// Numbers called `...Handle`, `...End`, `exchange` are opaque, positive and never reused. Ids of objects and namespaces
// cross as lowercase hex. Times are milliseconds since the epoch. Native functions throw `TypeError`, `RangeError`,
// `Error` or DOMException DataCloneError with the texts that user code shall see.

// ---------------------------------------------------------------------------------------------- configuration

export type BindingConfig =
  | { name: string; kind: 'plain_text' | 'secret_text'; text: string }
  | { name: string; kind: 'json'; json: string }
  | { name: string; kind: 'secret_key'; json: string } // {algorithm, format, usages, key_base64 | key_jwk}
  | { name: string; kind: 'data' | 'wasm'; part: string } // value: Native.moduleValue(part)
  | { name: string; kind: 'durable_object'; ns: string; className: string; script: string }
  | { name: string; kind: 'service'; script: string; entrypoint: string; props: string } // props: JSON text or ''
  | { name: string; kind: 'version_metadata' };

// A Durable Object class of THIS script that has storage.
export interface NamespaceConfig {
  ns: string;
  className: string;
  useSqlite: boolean;
}

export interface Config {
  address: number; // of this isolate, unique in the process
  shard: number;
  shardCount: number;
  script: string;
  versionId: string;
  versionTag: string;
  versionCreatedOn: string;
  compatibilityDate: string; // '' = oldest
  compatibilityFlags: string[];
  bindings: BindingConfig[];
  namespaces: NamespaceConfig[];
  secondMs: number; // what the runtime takes for a second when it looks for idle objects; 1000 but for tests
  checking: boolean; // true: started only to be looked at (deploy check); no events will come
}

// ---------------------------------------------------------------------------------------------- C++ for TypeScript

export type LogLevel = 'debug' | 'log' | 'info' | 'warn' | 'error';

// Result of sqlExec and cursorNext. A row's values: null, number, string, ArrayBuffer.
export type SqlValue = null | number | string | ArrayBuffer;

export interface SqlStart {
  cursor: number; // 0: finished already, nothing more to fetch
  columns: string[];
  row: SqlValue[] | undefined; // the first row, read ahead; undefined: none
  rowsRead: number;
  rowsWritten: number;
  commit: number; // as returned by kvPut; 0 when the statement wrote nothing and no transaction is open
}

export interface ListArguments {
  start: string | undefined;
  startAfter: string | undefined;
  end: string | undefined;
  prefix: string | undefined;
  reverse: boolean;
  limit: number | undefined;
  bytesMax: number | undefined; // no further entry once keys and values have come to this
}

export interface Native {
  // --- turns
  // Tells C++ that the turn queue is no longer empty. Needed only when a turn is queued while C++ is not inside one of
  // the Runtime functions (for example from a callback of Node's own event loop). Harmless otherwise.
  wake(): void;
  // Ends the JavaScript of the turn that runs; nothing can catch that, and no `finally` runs. True: loop until it does.
  // False: no turn runs, or the host cannot.
  cutTurn(): boolean;

  // --- log. `where`: "" or the object's id. C++ adds script and version.
  log(level: LogLevel, text: string, where: string): void;
  // An exception nobody caught: `event` says during what ("fetch", "alarm", "rpc increment", "waitUntil", ...).
  logException(event: string, name: string, message: string, stack: string, where: string): void;

  // --- structured clone (V8 ValueSerializer). mode 0: storage (class instances become plain objects, spec 4.5);
  // mode 1: RPC (class instances, functions, errors and everything in spec 9.3 that is not a plain copy throw
  // DataCloneError; more than 32 MiB throws Error; getters throw, for no user code runs).
  // mode 2, `clone` only: as 1, but gives `undefined` for a value that it refuses.
  serialize(value: unknown, mode: 0 | 1): ArrayBuffer;
  deserialize(bytes: ArrayBuffer | Uint8Array): unknown;
  // serialize + deserialize in one crossing: for calls that stay in this isolate.
  // `hidden`, if given, becomes a property `key` of the copy that is not enumerable.
  clone(value: unknown, mode: 0 | 1 | 2, hidden?: Function, key?: symbol): unknown;

  // --- modules: the value of a text, data (ArrayBuffer), JSON or wasm (WebAssembly.Module) module of the upload.
  moduleValue(part: string): unknown;

  // --- ids of Durable Objects (spec 1.2)
  // `jurisdiction`: an index of kJurisdictions (actor/ids.ts); 0: none.
  idFromName(ns: string, name: string, jurisdiction: number): string;
  idRandom(ns: string, jurisdiction: number): string;
  // The jurisdiction of an id of this namespace. Throws TypeError with spec 1.2's texts when it is none.
  idJurisdiction(ns: string, hex: string): number;

  // --- messages between isolates. `message` is any structured-cloneable value made of plain arrays, objects, strings,
  // numbers, ArrayBuffers, Uint8Arrays and user values (mode 1); it is serialised before the call returns (a
  // DataCloneError is thrown and nothing is sent). `limited`: more than 32 MiB throws RangeError. Order between one pair of (isolate, destination) is kept.
  // To another isolate: dropped when that is gone; Runtime.peerGone has then been or will be called.
  send(address: number, message: unknown, limited?: boolean): void;
  // To a Durable Object, wherever it lives: C++ finds the shard and the isolate (a live instance's, or the one that runs
  // the class now) and calls that isolate's Runtime.actorMessage. `name`: the name the id was made from, or undefined.
  // When the class or script is gone, Runtime.actorUnreachable(from's message token...) is not needed: C++ throws Error.
  sendToActor(ns: string, id: string, name: string | undefined, message: unknown): void;
  // The isolate on this shard that runs `script` now (started if need be), or 0 when there is no such script.
  scriptAddress(script: string): number;

  // --- placement of Durable Objects. There is at most one live instance per id in the process; C++ holds the table.
  // True: this isolate now owns (or owned already) the object and may run it. False: use sendToActor. Anything else: it
  // owns the object, which another version has handed over with this state.
  claimActor(ns: string, id: string, name: string | undefined): unknown;
  // The instance and its container are gone (evicted, reset); closes its database. Another isolate may claim it.
  releaseActor(ns: string, id: string): void;

  // Instead of releaseActor, for an object that sleeps with open sockets: it goes on in the isolate that runs its class
  // now, which is told (Runtime.adopt). What comes out of `ends` waits meanwhile.
  handOver(ns: string, id: string, name: string | undefined, ends: number[], state: unknown): void;

  // --- an object's database. Opened on first use, after claimActor. `databaseClose` drops uncommitted writes.
  databaseOpen(ns: string, id: string, name: string | undefined): number;
  databaseClose(db: number): void;
  // What can be made again at the next use. For an object that falls idle.
  databaseReleaseMemory(db: number): void;
  // undefined, or the message of the error that broke it (every later call throws it): the object must be reset.
  // Whose fault it was; undefined: it is not broken.
  databaseBroken(db: number): 'user' | 'infrastructure' | undefined;
  // ctx.abort(): drop what is not committed and refuse everything from now on with `message`.
  databaseAbort(db: number, message: string): void;

  // Facets: databases of their own that are committed together with the root's, and counted with it: commit numbers of
  // both are those of the root, and Runtime.durable names the root. `path`: JSON text of the names that lead to the
  // facet; '' with facetErase: all of them. What a tree writes in a round of turns is one commit.
  facetTree(root: number): void; // from now on: what it has written and not committed belongs to it
  facetOpen(root: number, path: string): number;
  // All below `path`, and what is there `itself`; the commit, 0: there was nothing.
  facetErase(root: number, path: string, itself: boolean): number;
  facetClone(root: number, from: string, to: string): number;

  // Key-value. Values are serialised (mode 0) and deserialised in C++. A write opens the implicit transaction, which the
  // end of the turn commits; it returns the number of the commit it will be part of. When that commit is durable,
  // Runtime.durable is told. Commits of one database are numbered 1, 2, 3 ... in order.
  kvGet(db: number, key: string): unknown; // undefined: not there
  kvGetMany(db: number, keys: string[]): unknown[]; // key, value, key, value ... in key order, missing ones omitted
  kvPut(db: number, key: string, value: unknown): number;
  kvPutMany(db: number, keysAndValues: unknown[]): number; // atomic
  kvDelete(db: number, key: string): boolean;
  kvDeleteMany(db: number, keys: string[]): number; // how many existed
  kvList(db: number, options: ListArguments): unknown[]; // key, value, ... in result order
  kvDeleteAll(db: number, deleteAlarm: boolean): number;
  // The commit that writes made now will be part of (for kvDelete...), 0 when no transaction is open.
  pendingCommit(db: number): number;
  // The last commit that was made (durable or not), 0 if none.
  lastCommit(db: number): number;
  // Commits the implicit transaction at once. Returns lastCommit.
  commitNow(db: number): number;

  alarmGet(db: number): number | null;
  alarmSet(db: number, at: number | null): number; // commit number

  sqlExec(db: number, text: string, bindings: SqlBinding[]): SqlStart;
  // One more row, or undefined at the end (the cursor is then closed). Throws on a run-time error (closed as well).
  cursorNext(cursor: number): SqlValue[] | undefined;
  // All rows that remain, after the one already read; closes the cursor.
  cursorAll(cursor: number): SqlValue[][];
  // [rowsRead, rowsWritten], live; kept after the end until cursorClose.
  cursorCounters(cursor: number): [number, number];
  cursorClose(cursor: number): void;
  databaseSize(db: number): number;

  // transactionSync's savepoints; transaction()'s explicit, nestable transactions (database.h).
  syncBegin(db: number): void;
  syncCommit(db: number): void;
  syncRollback(db: number): void;
  transactionBegin(db: number): void;
  transactionCommit(db: number): number; // commit number for the root, 0 for a nested one
  transactionRollback(db: number): void;

  // --- point-in-time recovery. `job`: a number that Runtime.storageReply brings back.
  bookmark(db: number): string; // of what is committed
  bookmarkForTime(job: number, db: number, time: number): void; // value: the bookmark
  restoreRequest(db: number, bookmark: string): string; // the undo bookmark; counts as a commit
  restorePending(ns: string, id: string): boolean;
  restoreObject(job: number, ns: string, id: string, name: string | undefined): void; // nobody may have it open

  // --- alarms. Called when Runtime.alarm's run has ended.
  // 'ok': done; 'cancelled': the stored time was another; 'retry': failed and counts; 'retry-uncounted'; 'abandon'.
  alarmDone(ns: string, id: string, outcome: 'ok' | 'cancelled' | 'retry' | 'retry-uncounted' | 'abandon'): void;

  // --- WebSocket pipes: two ends, each attached to at most one of: an isolate, a client's connection.
  // What is sent into one end comes out of the other, in order. An end may move to another isolate (its number is put
  // into a message) until it is attached. Messages wait for attachment.
  pipeCreate(): [number, number];
  // This isolate receives what comes out of `end`: Runtime.socketEvent.
  pipeAttach(end: number): void;
  // Text as string, binary as bytes (copied). False: the other side is gone, the message was dropped.
  pipeSend(end: number, data: string | ArrayBuffer | Uint8Array): boolean;
  // A Close frame. code 1005: without a status.
  pipeClose(end: number, code: number, reason: string): void;
  // Cuts the connection without a Close frame (reset, eviction): the other side sees 1006.
  pipeAbort(end: number): void;
  // The event with this end's oldest unacknowledged message has been handled (its synchronous part has run): the
  // network may read further. Call once per 'text' or 'binary' event.
  pipeAck(end: number): void;
  // An auto-response pair for this end, answered without JavaScript; undefined removes it.
  pipeAutoResponse(end: number, request: string | undefined, response: string): void;
  // When the auto-response last answered on this end, 0 never.
  pipeAutoResponseTime(end: number): number;

  // --- answering an HTTP request (`exchange` of Runtime.fetch). Headers: name, value, name, value ...
  // Whole response. `body` undefined: none. Bytes are copied before the call returns.
  respond(exchange: number, status: number, statusText: string, headers: string[],
    body: string | ArrayBuffer | Uint8Array | undefined): void;
  // Head first, then chunks. `length` < 0: unknown (chunked).
  respondStart(exchange: number, status: number, statusText: string, headers: string[], length: number): void;
  // True: there is room for more at once. False: wait for Runtime.responseDrain (or responseClosed).
  respondWrite(exchange: number, chunk: Uint8Array): boolean;
  respondEnd(exchange: number): void;
  respondAbort(exchange: number): void;
  // 101: the connection becomes a WebSocket joined to `end`. `deflate`: its messages may be deflated.
  respondUpgrade(exchange: number, headers: string[], end: number, deflate: boolean): void;
  // The handler threw: C++ answers 500 (or 503 when overloaded) with Cloudflare's page for it.
  respondError(exchange: number, overloaded: boolean): void;
  // Asks for the next chunk of the request's body: answered by Runtime.requestChunk.
  requestRead(exchange: number): void;
  // The body will not be read further.
  requestCancel(exchange: number): void;
}

export type SqlBinding = null | number | string | ArrayBuffer | Uint8Array;

// ---------------------------------------------------------------------------------------------- TypeScript for C++

export interface ExportReport {
  name: string;
  kind: 'handler-object' | 'entrypoint' | 'durable-object' | 'other';
  handlers: string[];
}

export interface Runtime {
  // Runs one queued turn. True: more are queued.
  runTurn(): boolean;

  // Whether user code may compile text (eval) while its modules start. Afterwards it never may.
  allowsEvalAtStart(): boolean;
  // The exports of a built-in module (`cloudflare:workers`, `node:buffer`, ...) for an import, or undefined when there
  // is none. With `default` among the keys where the module has one.
  builtinModule(specifier: string): Record<string, unknown> | undefined;
  // The main module has been evaluated. Called once.
  setMain(namespace: Record<string, unknown>): ExportReport[];
  // An exception as text for the log and the deploy check: "Uncaught Error: x\n  at index.js:3:1", source-mapped when
  // the upload had a source map. `maps`: module name -> source map text, set before.
  setSourceMaps(maps: Record<string, string>): void;
  describeException(error: unknown): string;

  // An HTTP request for this script. headers: name, value, name, value ... in the client's order. `bodyLength`: -1 none,
  // -2 unknown length (chunked). `upgrade`: it asks for a WebSocket.
  fetch(exchange: number, method: string, url: string, headers: string[], bodyLength: number, upgrade: boolean): void;
  // Answer to Native.requestRead. null: the end; string: it failed, with this message.
  requestChunk(exchange: number, chunk: ArrayBuffer | null | string): void;
  responseDrain(exchange: number): void;
  // The client went away before the response was complete. Before it is begun the client may only have finished sending,
  // and can still be answered.
  responseClosed(exchange: number): void;

  // A message from another isolate. `message` is deserialised.
  message(from: number, message: unknown): void;
  // The same for a Durable Object that this isolate owns (C++ has claimed it already).
  actorMessage(from: number, ns: string, id: string, name: string | undefined, message: unknown): void;
  // The isolate with this address is gone. 'ended': in order, all objects' calls answered; otherwise calls that wait for it
  // fail: because it exceeded its CPU or memory limit, or with "Network connection lost." `namespaces`: of its script.
  peerGone(address: number, why: 'ended' | 'cpu' | 'memory' | 'lost', namespaces: string[]): void;

  // Pairs (db, commit): everything up to that commit of that database is durable.
  durable(pairs: number[]): void;
  // The commit at the end of the turn failed, or the ledger was poisoned: the object of this database is to be reset.
  databaseFailed(db: number, message: string): void;

  // A job of the store has ended: with an error's text, or well.
  storageReply(job: number, error: string | undefined, value: string | undefined): void;

  // An alarm of an owned object is due. Ends with Native.alarmDone.
  alarm(ns: string, id: string, name: string | undefined, scheduledTime: number, retryCount: number): void;

  // What came out of a pipe's end that this isolate has attached.
  // 'text': data is a string; 'binary': an ArrayBuffer; 'close': code and reason of a Close frame; 'gone': cut without
  // a Close frame; 'error': a protocol error of the peer, `reason` says which.
  socketEvent(end: number, kind: 'text' | 'binary' | 'close' | 'gone' | 'error',
    data: string | ArrayBuffer | undefined, code: number, reason: string): void;

  // This version has been replaced. 'deferred': hand objects over when they fall idle (Native.releaseActor, handOver), at
  // the latest at `deadline` (ms); 'now': at once. Of those that are busy then what runs fails with "Durable Object reset
  // because its code was updated.", after at most 30 s.
  // No new objects will be claimed by this isolate.
  codeUpdated(mode: 'deferred' | 'now', deadline: number): void;
  // An object that another version has handed over is to be claimed now.
  adopt(ns: string, id: string, name: string | undefined): void;
  // The heap is nearly full: idle objects should leave it.
  memoryPressure(): void;
  // The namespaces were deleted: reset their objects.
  namespacesLeft(namespaces: string[], why: 'deleted' | 'transferred'): void;
  // The object's storage is about to be replaced from outside: reset it.
  storageReplaced(ns: string, id: string): void;
  // Objects, requests and background tasks that still need this isolate.
  activity(): number;
  // What is passed by reference and held: exports, those of them that other isolates hold, imports. For tests.
  referenceCounts(): { exports: number; sent: number; imports: number };
  // The process stops: no new events come; resolve (call `done`) when running ones have ended.
  drain(done: () => void): void;
}

// What runtime.js evaluates to.
export type CreateRuntime = (native: Native, nodeRequire: (id: string) => unknown, config: Config) => Runtime;
