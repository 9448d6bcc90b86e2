import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { KernelLog } from "./kernel-log.ts";
import { lastReportOf, oomSentence, parseKernelRecord, parseOomReports } from "./oom-report.ts";

const log = [
  "4,1801,2310450001,-;stress invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
  "6,1830,2310450100,-;memory: usage 204800kB, limit 204800kB, failcnt 31",
  "6,1840,2310450200,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/onggi/abc,task_memcg=/onggi/abc,task=my, stress,pid=4012,uid=0",
  "3,1841,2310450210,-;Memory cgroup out of memory: Killed process 4012 (my, stress) total-vm:208712kB, anon-rss:204000kB, file-rss:256kB, shmem-rss:0kB, UID:0 pgtables:440kB oom_score_adj:0",
  "6,1850,2310460000,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/onggi,task_memcg=/onggi/def,task=sh,pid=4100,uid=0",
  "3,1851,2310460001,-;Memory cgroup out of memory: Killed process 4100 (sh) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB, UID:0",
  "3,1852,2310470000,-;Memory cgroup out of memory: Killed process 4200 (unnamed) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB",
];
const records = log.flatMap((line) => parseKernelRecord(`${line}\n SUBSYSTEM=x\n`) ?? []);

describe("parseOomReports", () => {
  it("joins the line with the cgroup and the line with the sizes", () => {
    const reports = parseOomReports(records);
    assert.deepEqual(reports[0], {
      memoryPath: "/onggi/abc",
      task: "my, stress",
      pid: 4012,
      residentBytes: 204_256 * 1024,
      virtualBytes: 208_712 * 1024,
      atUs: 2_310_450_210,
    });
    assert.equal(reports.length, 2);
  });

  it("finds a container's last, not one of its neighbour or of the group above", () => {
    const reports = parseOomReports(records);
    assert.equal(lastReportOf(reports, "/onggi/abc")?.pid, 4012);
    assert.equal(lastReportOf(reports, "/onggi/def"), undefined);
    assert.equal(lastReportOf(reports, "/onggi/ab"), undefined);
  });
});

describe("oomSentence", () => {
  it("says limit, process and use", () => {
    const report = lastReportOf(parseOomReports(records), "/onggi/abc");
    assert.equal(
      oomSentence(200 * 1024 * 1024, report),
      "the memory limit of 200 MiB killed my, stress (pid 4012) at 199.5 MiB",
    );
  });

  it("says what it knows when the kernel's log doesn't tell", () => {
    const mib = 1024 * 1024;
    assert.equal(
      oomSentence(200 * mib, undefined, 199 * mib),
      "the memory limit of 200 MiB killed a process; the highest use was 199 MiB",
    );
    assert.equal(oomSentence(0, undefined), "the memory limit killed a process");
  });
});

describe("KernelLog", () => {
  it("tells nothing where there is no log", () => {
    assert.equal(new KernelLog("/nowhere/kmsg").lastOom("/onggi/abc"), undefined);
  });

  it("passes over kills before a moment", () => {
    const directory = mkdtempSync(join(tmpdir(), "onggi-kmsg-"));
    try {
      const path = join(directory, "kmsg");
      writeFileSync(path, log[2] ?? "");
      const kernelLog = new KernelLog(path);
      assert.equal(kernelLog.lastOom("/onggi/abc"), undefined);
      // As the device does: a read goes on where the last one ended, one record each.
      writeFileSync(path, `${log[2]}${log[3]}`);
      assert.equal(kernelLog.lastOom("/onggi/abc")?.pid, 4012);
      assert.equal(kernelLog.lastOom("/onggi/abc", 2_350_000_000), undefined);
      kernelLog.close();
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
