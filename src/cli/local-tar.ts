import { spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { OnggiError } from "../base/error.ts";
import { errorCode } from "./client.ts";

/** All that belongs to a file; holes stay holes. */
const whole = ["--format=pax", "--sparse", "--numeric-owner", "--xattrs", "--xattrs-include=*"];

/** GNU tar's status for a file that changed while it was read. */
const changedMeanwhile = 1;

export interface Packing {
  readonly stream: Readable;
  /** Resolves when all was read; rejects with what tar said. */
  readonly done: Promise<void>;
}

/** An archive of one entry of a folder of this machine, under `name` where it is given. */
export function packLocal(folder: string, entry: string, name: string | undefined): Packing {
  const times = "--pax-option=delete=atime,delete=ctime";
  const { child, ended } = startTar(
    ["--create", ...whole, times, ...transform(name), "-C", folder, "--", entry],
    ["ignore", "pipe"],
  );
  const done = ended.then(({ status, said }) => {
    if (status !== 0 && status !== changedMeanwhile) throw failed(`reading ${folder}/${entry}`, said);
  });
  // Whoever sends the archive sees its end first.
  done.catch(() => {});
  return { stream: child.stdout as Readable, done };
}

/** Unpacks into a folder of this machine; all belongs to who runs this unless `keepsOwners`. */
export async function unpackLocal(
  archive: Readable,
  folder: string,
  { name, keepsOwners }: { readonly name: string | undefined; readonly keepsOwners: boolean },
): Promise<void> {
  const owners = keepsOwners ? "--same-owner" : "--no-same-owner";
  const flags = ["--extract", ...whole.slice(2), "--same-permissions", owners, ...transform(name), "-C", folder];
  const { child, ended } = startTar(flags, ["pipe", "ignore"]);
  const [sent, end] = await Promise.allSettled([
    child.stdin === null ? Promise.resolve() : pipeline(archive, child.stdin),
    ended,
  ]);
  if (end.status === "rejected") throw end.reason;
  // tar tells better than a broken pipe what went wrong.
  if (end.value.status !== 0) throw failed(`writing to ${folder}`, end.value.said);
  if (sent.status === "rejected") throw sent.reason;
}

/** Gives the topmost entry another name, and hard links to what is in it; symbolic links stay as they are. */
function transform(name: string | undefined): readonly string[] {
  if (name === undefined) return [];
  return [`--transform=flags=rSh;s|^[^/]*|${name.replaceAll(/[\\&|\n]/g, "\\$&")}|`];
}

function startTar(flags: readonly string[], [stdin, stdout]: readonly ["ignore" | "pipe", "ignore" | "pipe"]) {
  const child = spawn("tar", ["--file=-", ...flags], {
    stdio: [stdin, stdout, "pipe"],
    env: { ...process.env, LC_ALL: "C", TAR_OPTIONS: "" },
  });
  let said = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  const ended = new Promise<{ readonly status: number; readonly said: string }>((resolve, reject) => {
    child.once("error", (error) => reject(notStarted(error)));
    child.once("close", (status) => resolve({ status: status ?? 2, said }));
  });
  return { child, ended };
}

function notStarted(cause: Error): OnggiError {
  const isMissing = errorCode(cause) === "ENOENT";
  return new OnggiError(
    "unsupported",
    isMissing ? "there is no tar on this machine" : `can't run tar: ${cause.message}`,
    {
      hint: "cp works with GNU tar: install it, or copy an archive: onggi cp CONTAINER:PATH - > archive.tar",
      cause,
    },
  );
}

function failed(what: string, said: string): OnggiError {
  const lines = said
    .split("\n")
    .map((line) => line.replace(/^tar: /, ""))
    .filter((line) => line !== "" && !/^(Exiting|Error is not recoverable)/.test(line));
  return new OnggiError("invalid", `${what}: ${lines.slice(0, 5).join("; ") || "tar failed"}`);
}
