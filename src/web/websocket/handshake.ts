// The opening handshake of an outgoing WebSocket, through Node's HTTP client (RFC 6455 section 4).

import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { failure } from '../errors.ts';
import { nodeCrypto, nodeHttp, nodeHttps } from '../host_modules.ts';
import { runAsHost } from '../io.ts';
import { arrayJoin, split, startsWith, toLowerCase, trim } from '../primordials.ts';

const kGuid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
// We keep no dictionary from one message to the next, and the server is to keep none for us.
const kOffer = 'permessage-deflate; client_no_context_takeover; server_no_context_takeover';

export interface HandshakeRequest {
  url: string; // http: or https:
  headers: readonly [string, string][];
  protocols: readonly string[];
  offersDeflate: boolean;
}

export type HandshakeResult =
  | { kind: 'open'; socket: Socket; head: Uint8Array; flat: string[]; protocol: string | null; extensions: string | null }
  // The server answers with something else than 101.
  | { kind: 'declined'; message: IncomingMessage }
  // It says 101, but not to us.
  | { kind: 'broken'; text: string };

function isOffered(extensions: string): boolean {
  const parts = split(extensions, ';');
  if (trim(parts[0]!) !== 'permessage-deflate') return false;
  let serverForgets = false;
  for (let i = 1; i < parts.length; i++) {
    const parameter = toLowerCase(trim(parts[i]!));
    if (parameter === 'server_no_context_takeover') serverForgets = true;
    // A smaller window than 32 KB for its own messages is the server's affair; we offered none for ours.
    else if (parameter !== 'client_no_context_takeover' && !startsWith(parameter, 'server_max_window_bits=')) return false;
  }
  return serverForgets;
}

function judge(request: HandshakeRequest, key: string, message: IncomingMessage, socket: Socket, head: Uint8Array): HandshakeResult {
  const expected = nodeCrypto().createHash('sha1').update(key + kGuid).digest('base64');
  const got = message.headers['sec-websocket-accept'];
  if (got !== expected) {
    const what = got === undefined ? 'missing Sec-WebSocket-Accept header.' : `incorrect Sec-WebSocket-Accept header: expected '${expected}', got '${got}'.`;
    return { kind: 'broken', text: `Server failed WebSocket handshake: ${what}` };
  }
  const extensions = message.headers['sec-websocket-extensions'] ?? null;
  if (extensions !== null && !(request.offersDeflate && isOffered(extensions))) {
    return { kind: 'broken', text: `Server failed WebSocket handshake: Sec-WebSocket-Extensions that were not asked for: '${extensions}'.` };
  }
  const protocol = message.headers['sec-websocket-protocol'] ?? null;
  return { kind: 'open', socket, head, flat: message.rawHeaders, protocol, extensions };
}

// `done` and `failed` are called once in all, by Node. Returns how to give up, after which neither is called.
export function startHandshake(
  request: HandshakeRequest,
  done: (result: HandshakeResult) => void,
  failed: (error: Error) => void,
): () => void {
  let settled = false;
  const settle = (call: () => void): void => {
    if (settled) return;
    settled = true;
    call();
  };
  const lost = (cause: unknown): void =>
    settle(() => {
      const error = failure('Network connection lost.', { retryable: true });
      Object.defineProperty(error, 'cause', { value: cause, configurable: true, writable: true });
      failed(error);
    });
  const outgoing = runAsHost((): ClientRequest => {
    const key = nodeCrypto().randomBytes(16).toString('base64');
    const headers: string[] = ['Host', new URL(request.url).host];
    for (let i = 0; i < request.headers.length; i++) headers.push(request.headers[i]![0], request.headers[i]![1]);
    headers.push('Upgrade', 'websocket', 'Connection', 'Upgrade', 'Sec-WebSocket-Key', key, 'Sec-WebSocket-Version', '13');
    if (request.protocols.length > 0) headers.push('Sec-WebSocket-Protocol', arrayJoin(request.protocols, ', '));
    if (request.offersDeflate) headers.push('Sec-WebSocket-Extensions', kOffer);
    const { request: start } = startsWith(request.url, 'https:') ? nodeHttps() : nodeHttp();
    const sent = start(request.url, { method: 'GET', headers, agent: false });
    sent.on('upgrade', (message, socket, head) => {
      const result = judge(request, key, message, socket as Socket, head);
      if (settled || result.kind !== 'open') socket.destroy();
      settle(() => done(result));
    });
    sent.on('response', (message) => {
      if (settled) message.destroy();
      settle(() => done({ kind: 'declined', message }));
    });
    sent.on('error', lost);
    sent.on('close', () => lost(undefined));
    sent.end();
    return sent;
  });
  return () => {
    settled = true;
    outgoing.destroy();
  };
}
