// Cases that Holdfast does not pass yet: name -> what is missing. They do not fail a run, until they pass: then the line
// has to go.
// The Close frame of a hibernating socket is answered before its handler: there readyState is 3 and nothing can be sent.
// In workerd it is 2, send() and close() work, and nothing is answered for a handler that does not.
const hibernatedClose = 'a hibernating socket is closed before its close handler has run';
const throwingListener = 'a listener that throws is to end its socket';

export const pending = {
  'websocket close: in the close handler, with code, reason, and send': hibernatedClose,
  'websocket close: hibernatable, the client closes': hibernatedClose,
  'websocket events: arguments and this': hibernatedClose,
  "network: hibernatable, the client's close codes": hibernatedClose,
  'websocket response: passed on by another object, as it is and copied': hibernatedClose,
  'websocket: plain, an exception in a handler leaves the socket open': throwingListener,
  'websocket: half-open, an exception in a handler leaves the socket open': throwingListener,
  'websocket: a listener that throws': throwingListener,
  'abort: nothing runs after it': 'code after abort() runs on, and finally blocks',
  'abort: a response body under way': 'a body that is cut by a reset does not say why',
};
