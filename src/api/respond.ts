import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { plainConnection } from "./connection.ts";
import type { Answer, HijackAnswer, PlainAnswer, StreamAnswer } from "./route.ts";
import { sendPieces } from "./stdcopy.ts";

type Headers = Readonly<Record<string, string>>;

/** Writes an answer. Throws what its stream throws; before `headersSent` nothing is lost yet. */
export async function respond(
  message: IncomingMessage,
  response: ServerResponse,
  answer: Answer,
  headers: Headers,
): Promise<void> {
  if ("stream" in answer) await respondStream(response, answer, headers);
  else if ("hijack" in answer) await respondRaw(message, response, answer, headers);
  else respondPlain(response, answer, headers);
}

function respondPlain(
  response: ServerResponse,
  { status = 200, json, text, headers: own }: PlainAnswer,
  headers: Headers,
): void {
  const body = json !== undefined ? `${JSON.stringify(json)}\n` : text;
  const type = json !== undefined ? "application/json" : "text/plain; charset=utf-8";
  if (body === undefined || status === 204 || status === 304) {
    response.writeHead(
      status,
      status === 204 || status === 304 ? { ...headers, ...own } : { ...headers, "Content-Length": "0", ...own },
    );
    response.end();
    return;
  }
  response.writeHead(status, { ...headers, "Content-Type": type, "Content-Length": Buffer.byteLength(body), ...own });
  response.end(body);
}

async function respondStream(response: ServerResponse, answer: StreamAnswer, headers: Headers): Promise<void> {
  const writeHead = () => {
    response.writeHead(200, { ...headers, "Content-Type": answer.contentType, ...answer.headers });
    response.flushHeaders();
  };
  if (answer.headerFirst) {
    writeHead();
    await sendPieces(response, answer.stream);
  } else {
    await sendPieces(response, afterFirst(answer.stream, writeHead));
  }
  if (!response.destroyed) response.end();
}

/** Runs `before` when the first piece is there, or at the end of none. */
async function* afterFirst<T>(pieces: AsyncIterable<T>, before: () => void): AsyncGenerator<T> {
  let isFirst = true;
  for await (const piece of pieces) {
    if (isFirst) before();
    isFirst = false;
    yield piece;
  }
  if (isFirst) before();
}

/** Without an upgrade: the answer's body is the raw stream, until the connection closes. */
async function respondRaw(
  message: IncomingMessage,
  response: ServerResponse,
  { hijack, contentType }: HijackAnswer,
  headers: Headers,
): Promise<void> {
  // Neither a length nor chunks: whoever reads the bytes behind the header sees the stream itself.
  response.removeHeader("Transfer-Encoding");
  response.writeHead(200, { ...headers, "Content-Type": contentType, Connection: "close" });
  response.flushHeaders();
  const isStreamed = message.headers["transfer-encoding"] !== undefined;
  await hijack(plainConnection(isStreamed && !message.readableEnded ? message : Readable.from([]), response));
}
