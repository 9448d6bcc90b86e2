import { chmodSync, mkdirSync, rmSync } from "node:fs";
import type { Server } from "node:net";
import { connect } from "node:net";
import { dirname } from "node:path";
import { isErrno } from "../base/errno.ts";
import { OnggiError } from "../base/error.ts";

const socketMode = 0o660;
const folderMode = 0o755;

export interface UnixHost {
  readonly path: string;
}

/**
 * Reads what `--host` names: `unix://PATH`, several parted by commas.
 *
 * @throws OnggiError `unsupported` for tcp, which has no access control; `invalid` for anything else
 */
export function parseHosts(text: string): readonly UnixHost[] {
  return text.split(",").map((host) => {
    const path = /^unix:\/\/(\/.+)$/.exec(host)?.[1];
    if (path !== undefined) return { path };
    if (/^(tcp|http|https):/.test(host)) {
      throw new OnggiError("unsupported", `cannot listen on ${host}: the API is served on unix sockets only`, {
        hint: "Whoever reaches the API is root. Reach it from afar through ssh: docker -H ssh://HOST, or ssh -L.",
      });
    }
    throw new OnggiError("invalid", `invalid host "${host}"`, { hint: "Write unix:///run/onggi/api.sock." });
  });
}

/**
 * Listens on a unix socket that its group may use. A socket file that nobody answers on is replaced.
 *
 * @throws OnggiError `in_use` when somebody answers
 */
export async function listenOn(server: Server, { path }: UnixHost): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: folderMode });
  try {
    await listen(server, path);
  } catch (error) {
    if (!isErrno(error, "EADDRINUSE")) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new OnggiError("unavailable", `cannot listen on unix://${path}: ${reason}`, {
        cause: error,
        hint: "Name another socket with --host.",
      });
    }
    if (await answers(path)) {
      throw new OnggiError("in_use", `another daemon serves unix://${path}`, {
        hint: "Use that one, stop it, or name another socket with --host.",
      });
    }
    rmSync(path, { force: true });
    await listen(server, path);
  }
}

function listen(server: Server, path: string): Promise<void> {
  // The socket is made within listen(), so that at no time anybody else can connect to it.
  const umask = process.umask(0o777 & ~socketMode);
  try {
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(path, () => {
        server.off("error", reject);
        chmodSync(path, socketMode);
        resolve();
      });
    });
  } finally {
    process.umask(umask);
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const settle = (isThere: boolean) => () => {
      socket.destroy();
      resolve(isThere);
    };
    socket.once("connect", settle(true)).once("error", settle(false));
  });
}
