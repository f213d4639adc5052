// A chat: one Durable Object per room, its WebSockets hibernate, its history is in SQL; one rate limiter per address.
//
//   http://chat.localhost:8787/            the page
//   ws://chat.localhost:8787/room/NAME     the socket of a room
import { DurableObject } from 'cloudflare:workers';
import page from './page.html';

interface Env {
  ROOMS: DurableObjectNamespace<Room>;
  LIMITERS: DurableObjectNamespace<RateLimiter>;
}

interface Session {
  name: string;
  address: string;
}

interface Message extends Record<string, SqlStorageValue> {
  id: number;
  at: number;
  name: string;
  text: string;
}

const kHistory = 100;
const kTextMax = 500;
const kNameMax = 32;

export class Room extends DurableObject<Env> {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS messages(id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, name TEXT NOT NULL, text TEXT NOT NULL)');
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair('ping', 'pong'));
  }

  override async fetch(request: Request): Promise<Response> {
    if (request.headers.get('upgrade')?.toLowerCase() !== 'websocket') {
      return Response.json(this.#history());
    }
    const name = (new URL(request.url).searchParams.get('name') ?? '').trim().slice(0, kNameMax) || 'anonymous';
    const { 0: client, 1: server } = new WebSocketPair();
    this.ctx.acceptWebSocket(server, [name]);
    server.serializeAttachment({ name, address: request.headers.get('cf-connecting-ip') ?? 'unknown' } satisfies Session);
    server.send(JSON.stringify({ type: 'history', messages: this.#history() }));
    this.#broadcast({ type: 'joined', name, people: this.#people() });
    return new Response(null, { status: 101, webSocket: client });
  }

  override async webSocketMessage(socket: WebSocket, data: string | ArrayBuffer): Promise<void> {
    const session = socket.deserializeAttachment() as Session;
    if (typeof data !== 'string') {
      socket.close(1003, 'text only');
      return;
    }
    const text = data.slice(0, kTextMax);
    if (text.trim() === '') return;
    if (!(await this.env.LIMITERS.getByName(session.address).allow())) {
      socket.send(JSON.stringify({ type: 'error', text: 'Slow down a little.' }));
      return;
    }
    const message = this.ctx.storage.sql
      .exec<Message>('INSERT INTO messages(at, name, text) VALUES (?, ?, ?) RETURNING *', Date.now(), session.name, text)
      .one();
    // The output gate holds this back until the message is on disk.
    this.#broadcast({ type: 'message', ...message });
  }

  override webSocketClose(socket: WebSocket): void {
    const session = socket.deserializeAttachment() as Session;
    this.#broadcast({ type: 'left', name: session.name, people: this.#people(socket) }, socket);
  }

  #people(except?: WebSocket): string[] {
    return this.ctx
      .getWebSockets()
      .filter((socket) => socket !== except && socket.readyState === WebSocket.READY_STATE_OPEN)
      .map((socket) => (socket.deserializeAttachment() as Session | null)?.name ?? '')
      .sort();
  }

  #history(): Message[] {
    return this.ctx.storage.sql.exec<Message>('SELECT * FROM (SELECT * FROM messages ORDER BY id DESC LIMIT ?) ORDER BY id', kHistory).toArray();
  }

  #broadcast(value: unknown, except?: WebSocket): void {
    const text = JSON.stringify(value);
    for (const socket of this.ctx.getWebSockets()) {
      if (socket !== except && socket.readyState === WebSocket.READY_STATE_OPEN) socket.send(text);
    }
  }
}

// A token bucket: five messages at once, then two a second. In memory only: forgetting it is harmless.
export class RateLimiter extends DurableObject<Env> {
  #tokens = 5;
  #at = Date.now();

  allow(): boolean {
    const now = Date.now();
    this.#tokens = Math.min(5, this.#tokens + ((now - this.#at) / 1000) * 2);
    this.#at = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === '/') return new Response(page, { headers: { 'content-type': 'text/html; charset=utf-8' } });
    const room = /^\/room\/([^/]{1,64})$/.exec(pathname)?.[1];
    if (room === undefined) return new Response('Not found\n', { status: 404 });
    return env.ROOMS.getByName(room).fetch(request);
  },
} satisfies ExportedHandler<Env>;
