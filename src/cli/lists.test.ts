import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ContainerSummary, ImageHistoryItem, ImageSummary, StatsBody } from "../api/wire.ts";
import { containerList, portsText } from "./container-list.ts";
import { formatList } from "./format.ts";
import { historyList } from "./history.ts";
import { imageList, namesOf } from "./image-list.ts";
import { cpuPercent, memoryUse, statsList } from "./stats-row.ts";
import { layOut } from "./table.ts";

const nowMs = Date.UTC(2026, 0, 2, 12);
const created = nowMs / 1000 - 7200;

function aContainer(fields: Partial<ContainerSummary> = {}): ContainerSummary {
  return {
    Id: "1".repeat(64),
    Names: ["/web"],
    Image: "debian:12",
    ImageID: `sha256:${"d".repeat(64)}`,
    Command: "sleep infinity and more words",
    Created: created,
    Ports: [],
    Labels: { a: "1", "com.x.build-date": "today" },
    State: "running",
    Status: "Up 2 hours",
    HostConfig: { NetworkMode: "bridge" },
    NetworkSettings: { Networks: { bridge: {} } },
    Mounts: [],
    ...fields,
  };
}

function anImage(fields: Partial<ImageSummary> = {}): ImageSummary {
  return {
    Id: `sha256:${"a1b2c3d4".repeat(8)}`,
    ParentId: "",
    RepoTags: ["host:latest"],
    RepoDigests: [],
    Created: created,
    Size: 4_049_999,
    SharedSize: -1,
    Labels: null,
    Containers: -1,
    ...fields,
  };
}

const list = containerList({ trunc: true, size: false, nowMs });
const label = {
  Label:
    ({ Labels }: ContainerSummary) =>
    (name = "") =>
      Labels[name] ?? "",
};

describe("ps", () => {
  it("prints Docker's table", () => {
    const ports = [{ IP: "0.0.0.0", PrivatePort: 80, PublicPort: 8080, Type: "tcp" }];
    assert.deepEqual(formatList([aContainer({ Ports: ports })], "", list), [
      "CONTAINER ID   IMAGE       COMMAND                  CREATED       STATUS       PORTS                  NAMES",
      '111111111111   debian:12   "sleep infinity and …"   2 hours ago   Up 2 hours   0.0.0.0:8080->80/tcp   web',
    ]);
  });

  it("prints the header alone of an empty list", () => {
    assert.deepEqual(formatList([], "table", list), [
      "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES",
    ]);
  });

  it("fills templates, with titles where they are a table", () => {
    const template = '{{.ID}} {{.Label "a"}} {{.State}} {{.Networks}} {{.RunningFor}}';
    assert.deepEqual(formatList([aContainer()], template, list, label), ["111111111111 1 running bridge 2 hours ago"]);
    assert.deepEqual(formatList([aContainer()], 'table {{.Names}}\\t{{.Label "com.x.build-date"}}', list, label), [
      "NAMES     build date",
      "web       today",
    ]);
  });

  it("prints JSON with sorted names, fit for HTML", () => {
    const [line = ""] = formatList([aContainer({ Image: "" })], "json", list);
    assert.ok(line.startsWith('{"Command":'));
    assert.match(line, /"Image":"\\u003cno image\\u003e"/);
    assert.equal(JSON.parse(line).Labels, "a=1,com.x.build-date=today");
  });

  it("shortens nothing with --no-trunc", () => {
    const whole = containerList({ trunc: false, size: false, nowMs });
    const container = aContainer({ Names: ["/web", "/other/link"] });
    assert.deepEqual(formatList([container], "{{.ID}} {{.Command}} {{.Names}}", whole), [
      `${"1".repeat(64)} "sleep infinity and more words" web,other/link`,
    ]);
    assert.deepEqual(formatList([container], "{{.Names}}", list), ["web"]);
  });

  it("shows sizes where they were asked for", () => {
    const sized = containerList({ trunc: true, size: true, nowMs });
    assert.match(
      formatList([aContainer({ SizeRw: 4_050_000, SizeRootFs: 123_456_789 })], "", sized)[1] ?? "",
      /4\.05MB \(virtual 123MB\)$/,
    );
  });

  it("joins neighbouring ports to ranges", () => {
    const port = (IP: string | undefined, PrivatePort: number, PublicPort?: number, Type = "tcp") => ({
      ...(IP === undefined ? {} : { IP }),
      PrivatePort,
      ...(PublicPort === undefined ? {} : { PublicPort }),
      Type,
    });
    const ports = [
      port("0.0.0.0", 80, 8080),
      port("::", 80, 8080),
      port(undefined, 443),
      port(undefined, 444),
      port("0.0.0.0", 9000, 9000, "udp"),
      port("0.0.0.0", 9001, 9001, "udp"),
    ];
    assert.equal(
      portsText(ports),
      "443-444/tcp, 0.0.0.0:9000-9001->9000-9001/udp, 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp",
    );
  });
});

describe("images", () => {
  const images = imageList({ trunc: true, digests: false, nowMs });

  it("prints a row for each name, and one for an image without", () => {
    const rows = [anImage({ RepoTags: ["host:latest", "localhost:5000/x:1"] }), anImage({ RepoTags: [] })].flatMap(
      (image) => namesOf(image, false),
    );
    assert.deepEqual(formatList(rows, "", images), [
      "REPOSITORY         TAG       IMAGE ID       CREATED       SIZE",
      "host               latest    a1b2c3d4a1b2   2 hours ago   4.05MB",
      "localhost:5000/x   1         a1b2c3d4a1b2   2 hours ago   4.05MB",
      "<none>             <none>    a1b2c3d4a1b2   2 hours ago   4.05MB",
    ]);
  });

  it("puts digests beside the tags of their repository", () => {
    const digest = `sha256:${"e".repeat(64)}`;
    const image = anImage({ RepoTags: ["a:1", "b:2"], RepoDigests: [`a@${digest}`, `c@${digest}`] });
    const rows = namesOf(image, true).map(({ repository, tag, digest: one }) => [repository, tag, one]);
    assert.deepEqual(rows, [
      ["a", "1", digest],
      ["b", "2", "<none>"],
      ["c", "<none>", digest],
    ]);
  });
});

describe("history", () => {
  const item: ImageHistoryItem = {
    Id: "<missing>",
    Created: created,
    CreatedBy: "ADD\tx /",
    Tags: null,
    Size: 12_345_678,
    Comment: "",
  };

  it("prints Docker's table", () => {
    assert.deepEqual(formatList([item], "", historyList({ human: true, trunc: true, nowMs })), [
      "IMAGE       CREATED       CREATED BY   SIZE      COMMENT",
      "<missing>   2 hours ago   ADD x /      12.3MB    ",
    ]);
  });

  it("prints plain numbers and dates for programs", () => {
    const plain = historyList({ human: false, trunc: true, nowMs });
    assert.deepEqual(formatList([item], "{{.CreatedSince}} {{.Size}}", plain), ["2026-01-02T10:00:00Z 12345678"]);
  });
});

describe("stats", () => {
  const cpu = (total: number, system: number) => ({
    cpu_usage: { total_usage: total, usage_in_kernelmode: 0, usage_in_usermode: 0 },
    system_cpu_usage: system,
    online_cpus: 2,
    throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
  });
  const sample: StatsBody = {
    id: "1".repeat(64),
    name: "/web",
    read: "2026-01-02T12:00:00Z",
    preread: "2026-01-02T11:59:59Z",
    num_procs: 0,
    pids_stats: { current: 3 },
    cpu_stats: cpu(3e9, 100e9),
    precpu_stats: cpu(2.8e9, 98e9),
    memory_stats: { usage: 1_576_960, limit: 209_715_200, stats: { inactive_file: 4096 } },
    blkio_stats: {
      io_service_bytes_recursive: [
        { major: 1, minor: 1, op: "read", value: 4096 },
        { major: 1, minor: 1, op: "write", value: 12_345_678 },
      ],
    },
    storage_stats: {},
    networks: {
      eth0: {
        rx_bytes: 1250,
        rx_packets: 0,
        rx_errors: 0,
        rx_dropped: 0,
        tx_bytes: 0,
        tx_packets: 0,
        tx_errors: 0,
        tx_dropped: 0,
      },
    },
  };

  it("counts a share of the host's time in cores", () => {
    assert.equal(cpuPercent(sample), 20);
    assert.equal(cpuPercent({ ...sample, precpu_stats: sample.cpu_stats }), 0);
  });

  it("leaves out the cache that could be given back", () => {
    assert.equal(memoryUse(sample), 1_572_864);
    assert.equal(memoryUse({ ...sample, memory_stats: { usage: 10, stats: { total_inactive_file: 20 } } }), 10);
  });

  it("prints Docker's table, with dashes for what isn't known", () => {
    const row = { key: "web", id: sample.id, name: "web", sample };
    assert.deepEqual(formatList([row, { ...row, sample: undefined }], "", statsList({ trunc: true })), [
      "CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT   MEM %     NET I/O       BLOCK I/O        PIDS",
      "111111111111   web       20.00%    1.5MiB / 200MiB     0.75%     1.25kB / 0B   4.1kB / 12.3MB   3",
      "111111111111   web       --        -- / --             --        -- / --       -- / --          --",
    ]);
  });
});

describe("layOut", () => {
  it("counts letters, not bytes, and pads no last column", () => {
    assert.deepEqual(
      layOut([
        ["a", "b"],
        ["ääääääääää", "c"],
      ]),
      ["a            b", "ääääääääää   c"],
    );
  });
});
