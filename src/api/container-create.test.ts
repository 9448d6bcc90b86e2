import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseCreateRequest } from "./container-create.ts";
import { FakeEngine } from "./testing/fake-engine.ts";
import type { CreateRequest, HostConfig } from "./wire.ts";

const { networks } = new FakeEngine();

function parse(request: Partial<CreateRequest>, name = "") {
  return parseCreateRequest({ Image: "host", ...request }, name, networks);
}

function parseHost(host: HostConfig) {
  return parse({ HostConfig: host });
}

describe("parseCreateRequest", () => {
  it("leaves out what has its default", () => {
    assert.deepEqual(
      parse({
        Cmd: ["true"],
        HostConfig: { Memory: 0, Binds: null, RestartPolicy: { Name: "no" }, NetworkMode: "default" },
      }),
      {
        image: "host",
        command: ["true"],
        attach: { stdin: false, stdout: false, stderr: false },
        network: "bridge",
      },
    );
  });

  it("reads what docker's client sends for docker run", () => {
    const config = parse(
      {
        Tty: true,
        OpenStdin: true,
        StdinOnce: true,
        AttachStdin: true,
        Env: ["A=1"],
        Entrypoint: ["/bin/sh"],
        Labels: { a: "b" },
        StopSignal: "SIGINT",
        StopTimeout: 3,
        HostConfig: {
          ConsoleSize: [24, 80],
          AutoRemove: true,
          NanoCpus: 200_000_000,
          Memory: 209_715_200,
          MemorySwap: -1,
          PidsLimit: 10,
          Ulimits: [{ Name: "nofile", Soft: 1, Hard: 2 }],
          Devices: [{ PathOnHost: "/dev/null", PathInContainer: "/dev/zero", CgroupPermissions: "r" }],
          LogConfig: { Type: "json-file", Config: { "max-size": "1m" } },
          NetworkMode: "host",
          Init: true,
        },
        NetworkingConfig: { EndpointsConfig: { host: { IPAMConfig: null, Aliases: null } } },
      },
      "web",
    );
    assert.deepEqual(config, {
      image: "host",
      name: "web",
      entrypoint: ["/bin/sh"],
      env: ["A=1"],
      labels: { a: "b" },
      terminal: true,
      terminalSize: [24, 80],
      openStdin: true,
      stdinOnce: true,
      attach: { stdin: true, stdout: false, stderr: false },
      stopSignal: "SIGINT",
      stopTimeoutSeconds: 3,
      autoRemove: true,
      network: "host",
      devices: [{ hostPath: "/dev/null", containerPath: "/dev/zero", permissions: "r" }],
      init: true,
      resources: { nanoCpus: 200_000_000, memoryBytes: 209_715_200, memorySwapBytes: -1, pidsLimit: 10 },
      ulimits: [{ name: "nofile", soft: 1, hard: 2 }],
      log: { driver: "json-file", options: { "max-size": "1m" } },
    });
  });

  it("tells an entrypoint that is cleared from one that is left out", () => {
    assert.deepEqual(parse({ Entrypoint: [""] }).entrypoint, []);
    assert.deepEqual(parse({ Entrypoint: [] }).entrypoint, []);
    assert.equal(parse({ Entrypoint: null }).entrypoint, undefined);
    assert.deepEqual(parse({ Cmd: "true" }).command, ["true"]);
  });

  it("exposes what it publishes", () => {
    const config = parse({
      ExposedPorts: { "443/tcp": {} },
      HostConfig: { PortBindings: { "80/tcp": [{ HostPort: "8080" }] } },
    });
    assert.deepEqual(config.exposedPorts, ["443/tcp", "80/tcp"]);
  });

  it("knows the networks there are", () => {
    assert.equal(parseHost({ NetworkMode: "container:abc" }).network, "container:abc");
    assert.equal(parse({ NetworkDisabled: true }).network, "none");
    assert.equal(parse({ NetworkingConfig: { EndpointsConfig: { none: {} } } }).network, "none");
    assert.throws(() => parseHost({ NetworkMode: "mine" }), { code: "invalid", message: "network mine not found" });
  });

  describe("refuses in Docker's words", () => {
    const cases: readonly (readonly [Partial<CreateRequest>, RegExp])[] = [
      [{ Image: "" }, /no image specified/],
      [{ WorkingDir: "tmp" }, /the working directory 'tmp' is invalid, it needs to be an absolute path/],
      [{ Env: ["=x"] }, /invalid environment variable: =x/],
      [{ StopSignal: "NONE" }, /invalid signal: NONE/],
      [{ HostConfig: { Memory: 1000 } }, /Minimum memory limit allowed is 6MB/],
      [{ HostConfig: { MemorySwap: 1000 } }, /You should always set the Memory limit when using Memoryswap limit/],
      [{ HostConfig: { NanoCpus: 1, CpuQuota: 5000 } }, /Conflicting options: Nano CPUs/],
      [{ HostConfig: { CpusetCpus: "a" } }, /Invalid value a for cpuset cpus/],
      [{ HostConfig: { OomScoreAdj: 1001 } }, /range for oom score adj is \[-1000, 1000\]/],
      [{ HostConfig: { RestartPolicy: { Name: "sometimes" } } }, /invalid restart policy: unknown policy 'sometimes'/],
      [
        { HostConfig: { AutoRemove: true, RestartPolicy: { Name: "always" } } },
        /can't create 'AutoRemove' container with restart policy/,
      ],
      [{ HostConfig: { LogConfig: { Type: "syslog" } } }, /no log driver named 'syslog' is registered/],
      [
        { Hostname: "a", HostConfig: { NetworkMode: "container:b" } },
        /conflicting options: hostname and the network mode/,
      ],
      [
        { NetworkingConfig: { EndpointsConfig: { bridge: { IPAMConfig: { IPv4Address: "1.2.3.4" } } } } },
        /user specified IP address is supported on user/,
      ],
    ];
    for (const [request, message] of cases) {
      it(message.source, () => assert.throws(() => parse(request), message));
    }
  });

  describe("refuses what would be left out silently", () => {
    const cases: readonly HostConfig[] = [
      { Links: ["a:b"] },
      { DeviceCgroupRules: ["c 1:3 r"] },
      { DeviceRequests: [{}] },
      { UsernsMode: "private" },
      { Runtime: "kata" },
      { CgroupParent: "/a" },
      { BlkioDeviceReadBps: [{}] },
      { CpuRealtimeRuntime: 1 },
      { MemorySwappiness: 10 },
      { MaskedPaths: [] },
    ];
    for (const host of cases)
      it(Object.keys(host).join(), () => assert.throws(() => parseHost(host), { code: "unsupported" }));

    it("Healthcheck", () => {
      assert.throws(() => parse({ Healthcheck: { Test: ["CMD", "true"] } }), { code: "unsupported" });
      assert.ok(parse({ Healthcheck: { Test: ["NONE"] } }));
    });
  });

  it("takes what docker's client always sends", () => {
    assert.ok(
      parseHost({
        MemorySwappiness: -1,
        UsernsMode: "",
        Runtime: "runc",
        MaskedPaths: null,
        VolumeDriver: "",
        Isolation: "",
        BlkioWeightDevice: [],
      }),
    );
  });
});
