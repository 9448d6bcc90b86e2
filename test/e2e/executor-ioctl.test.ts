import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { isOnggiError } from "../../src/base/error.ts";
import type { Executor, Worker } from "../../src/executor/executor.ts";
import { openExecutor } from "../../src/executor/spawner.ts";
import { O_RDONLY } from "../../src/program/kernel.ts";
import type { Op } from "../../src/program/op.ts";

const binary = join(import.meta.dirname, "../../build/onggi-exec");
/** `linux/fs.h`: block size of a file system (int); flags of an inode (long). */
const FIGETBSZ = 2;
const FS_IOC_GETFLAGS = 0x80086601;

describe("a worker's ioctl", () => {
  let scratch: string;
  let executor: Executor;
  let worker: Worker;
  const call = (request: number, argument: Uint8Array, more: Partial<Op> = {}): Op =>
    ({ op: "ioctl", path: scratch, flags: O_RDONLY, request, argument, ...more }) as Op;

  before(async () => {
    scratch = mkdtempSync(join(tmpdir(), "onggi-ioctl-"));
    executor = await openExecutor({ binary, socketDirectory: scratch });
    worker = await executor.work([]);
  });

  after(async () => {
    await worker.close();
    await executor.close();
    rmSync(scratch, { recursive: true });
  });

  it("answers the argument as the kernel left it, in the order of the calls that answer", async () => {
    writeFileSync(join(scratch, "file"), "read");
    const answers = await worker.run([
      call(FIGETBSZ, Buffer.alloc(4)),
      { op: "readFile", path: join(scratch, "file"), maxBytes: 100 },
      call(FIGETBSZ, Buffer.alloc(6, 0xff)),
    ]);

    const [first = Buffer.alloc(0), read = Buffer.alloc(0), second = Buffer.alloc(0)] = answers.map((data) =>
      Buffer.from(data),
    );
    const size = first.readUInt32LE(0);
    assert.ok(size >= 512 && size <= 65536, `blocks of ${size} bytes`);
    assert.equal(read.toString(), "read");
    assert.deepEqual([second.length, second.readUInt32LE(0), second.readUInt16LE(4)], [6, size, 0xffff]);
  });

  it("puts a slot's descriptor where the argument names one", async () => {
    const open: Op = { op: "open", slot: "directory", path: scratch, flags: O_RDONLY };
    const argument = Buffer.alloc(8, 0xff);
    const patched = call(FIGETBSZ, argument, { patches: [{ offset: 4, slot: "directory" }] });
    const [answer = Buffer.alloc(0)] = await worker.run([open, patched, { op: "closeSlot", slot: "directory" }]);

    const descriptor = Buffer.from(answer).readUInt32LE(4);
    assert.ok(descriptor > 2 && descriptor < 64, `descriptor ${descriptor}`);
  });

  it("fails with the errno of the call, and says it as a command", async () => {
    const shell = "btrfs subvolume list here";
    await assert.rejects(
      worker.run([call(0xd000941a, Buffer.alloc(4096), { path: "/proc", shell })]),
      (error) => isOnggiError(error) && /ENOTTY/.test(error.message) && error.message.includes(shell),
    );
    await assert.rejects(
      worker.run([call(FIGETBSZ, Buffer.alloc(4), { path: join(scratch, "missing") })]),
      (error) => isOnggiError(error) && /ENOENT/.test(error.message),
    );
  });

  it("is refused where the argument is smaller than the request says", async () => {
    await assert.rejects(
      worker.run([call(FS_IOC_GETFLAGS, Buffer.alloc(4))]),
      (error) => isOnggiError(error) && /doesn't understand step 0/.test(error.message),
    );
  });
});
