/**
 * Node's own modules that each start needs, as objects.
 *
 * Importing one as an ES module evaluates all that it exports, lazy parts too: of node:http that is WebSocket, and with
 * it undici (20 ms); of node:fs the promises, of node:util the worker threads (8 ms together).
 */
export const http = process.getBuiltinModule("node:http");
export const fs = process.getBuiltinModule("node:fs");
export const util = process.getBuiltinModule("node:util");
export const net = process.getBuiltinModule("node:net");
