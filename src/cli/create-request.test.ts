import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe, it } from "node:test";
import { createRequest } from "./create-request.ts";
import { parseMount } from "./mount-flag.ts";
import { parseFlags } from "./parse-flags.ts";
import { parseExposed, parsePublished } from "./port-spec.ts";
import { type CreateFlags, runFlags } from "./run-flags.ts";
import { parseUlimit } from "./ulimit-flag.ts";

function request(line: string, environment: Record<string, string> = {}) {
  const { values, args } = parseFlags(line.split(" "), runFlags, true);
  const flags = values as unknown as CreateFlags;
  return createRequest(flags, args, { attached: values.detach !== true, environment });
}

const body = (line: string, environment?: Record<string, string>) => request(line, environment).body;
const host = (line: string) => body(line).HostConfig;

describe("createRequest", () => {
  it("takes the image and its command", () => {
    assert.equal(body("debian").Image, "debian");
    assert.equal("Cmd" in body("debian"), false);
    assert.deepEqual(body("debian ls -l --all").Cmd, ["ls", "-l", "--all"]);
    assert.equal(request("--name web --platform linux/arm64 debian").name, "web");
    assert.equal(request("--name web --platform linux/arm64 debian").platform, "linux/arm64");
  });

  it("attaches to what is of use", () => {
    const attach = ({ AttachStdin, AttachStdout, AttachStderr, OpenStdin, StdinOnce }: ReturnType<typeof body>) =>
      [AttachStdin, AttachStdout, AttachStderr, OpenStdin, StdinOnce].map(Number).join("");
    assert.equal(attach(body("x")), "01100");
    assert.equal(attach(body("-i x")), "11111");
    assert.equal(attach(body("-itd x")), "00010");
    assert.equal(attach(body("-a stdout -a STDERR x")), "01100");
    assert.equal(attach(body("-i -a stdin x")), "10011");
  });

  it("counts limits in the API's units", () => {
    const limits = host(
      "--cpus 0.2 -m 200m --memory-swap -1 --memory-reservation 1g --pids-limit 50 --shm-size 64m --cpu-shares 512 x",
    );
    assert.equal(limits.NanoCpus, 200_000_000);
    assert.equal(limits.Memory, 209_715_200);
    assert.equal(limits.MemorySwap, -1);
    assert.equal(limits.MemoryReservation, 1024 ** 3);
    assert.equal(limits.PidsLimit, 50);
    assert.equal(limits.ShmSize, 64 * 1024 ** 2);
    assert.equal(limits.CpuShares, 512);
  });

  it("lets an empty entry point clear the image's", () => {
    assert.deepEqual(body("--entrypoint= x").Entrypoint, [""]);
    assert.deepEqual(body("--entrypoint sh x").Entrypoint, ["sh"]);
  });

  it("mounts folders of the host and volumes, with a name and without", () => {
    assert.deepEqual(host("-v /a:/b:ro -v ./c:/d x").Binds, ["/a:/b:ro", `${resolve("c")}:/d`]);
    assert.deepEqual(host("-v data:/d -v other:/o:ro,nocopy x").Binds, ["data:/d", "other:/o:ro,nocopy"]);
    assert.deepEqual(body("-v /d -v /e:/f x").Volumes, { "/d": {} });
    assert.deepEqual(host("--volumes-from a --volumes-from b:ro x").VolumesFrom, ["a", "b:ro"]);
    assert.throws(() => body("-v a:b:c:d x"), { code: "invalid" });
  });

  it("reads devices, hosts, tmpfs and restart policies", () => {
    assert.deepEqual(
      host("--device /dev/null --device /dev/a:/dev/b --device /dev/c:r --device /dev/d:/dev/e:rw x").Devices,
      [
        { PathOnHost: "/dev/null", PathInContainer: "/dev/null", CgroupPermissions: "rwm" },
        { PathOnHost: "/dev/a", PathInContainer: "/dev/b", CgroupPermissions: "rwm" },
        { PathOnHost: "/dev/c", PathInContainer: "/dev/c", CgroupPermissions: "r" },
        { PathOnHost: "/dev/d", PathInContainer: "/dev/e", CgroupPermissions: "rw" },
      ],
    );
    assert.deepEqual(host("--add-host a:1.2.3.4 --add-host b=::1 x").ExtraHosts, ["a:1.2.3.4", "b:::1"]);
    assert.deepEqual(host("--tmpfs /t:size=1m --tmpfs /u x").Tmpfs, { "/t": "size=1m", "/u": "" });
    assert.deepEqual(host("--restart on-failure:3 x").RestartPolicy, { Name: "on-failure", MaximumRetryCount: 3 });
    assert.deepEqual(host("x").RestartPolicy, { Name: "no", MaximumRetryCount: 0 });
  });

  it("names the network", () => {
    assert.equal(host("x").NetworkMode, "default");
    assert.equal(host("--network none x").NetworkMode, "none");
    assert.equal(host("--net name=host x").NetworkMode, "host");
  });

  it("takes variables and labels from files, flags and its own environment", () => {
    const folder = mkdtempSync(join(tmpdir(), "onggi-env-"));
    const path = join(folder, "env");
    try {
      writeFileSync(path, "# comment\n\nA=1\nHOME\nUNSET\nB=x=y\n");
      assert.deepEqual(body(`--env-file ${path} -e A=2 -e HOME -e GONE x`, { HOME: "/root" }).Env, [
        "A=1",
        "HOME=/root",
        "B=x=y",
        "A=2",
        "HOME=/root",
        "GONE",
      ]);
      writeFileSync(path, "a=1\nb\n");
      assert.deepEqual(body(`--label-file ${path} -l a=2 -l c x`).Labels, { a: "2", b: "", c: "" });
      writeFileSync(path, "not a name=1\n");
      assert.throws(() => body(`--env-file ${path} x`), { code: "invalid" });
      assert.throws(() => body(`--env-file ${folder}/none x`), {
        message: `open ${folder}/none: no such file or directory`,
      });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("sends the seccomp profile itself", () => {
    const folder = mkdtempSync(join(tmpdir(), "onggi-seccomp-"));
    const path = join(folder, "profile.json");
    try {
      writeFileSync(path, '{\n  "defaultAction": "SCMP_ACT_ALLOW"\n}\n');
      const options = host(
        `--security-opt seccomp=${path} --security-opt no-new-privileges --security-opt seccomp=unconfined x`,
      ).SecurityOpt;
      assert.deepEqual(options, [
        'seccomp={"defaultAction":"SCMP_ACT_ALLOW"}',
        "no-new-privileges",
        "seccomp=unconfined",
      ]);
      writeFileSync(path, "{");
      assert.throws(() => body(`--security-opt seccomp=${path} x`), { code: "invalid" });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  for (const [line, code] of [
    ["--rm --restart always x", "invalid"],
    ["--pull sometimes x", "invalid"],
    ["--gpus all x", "unsupported"],
    ["--runtime kata x", "unsupported"],
    ["--userns keep x", "unsupported"],
    ["--cpus 1 --cpu-quota 5 x", "invalid"],
    ["--restart on-failure:x x", "invalid"],
    ["--device a:b:c:d x", "invalid"],
    ["--add-host a x", "invalid"],
    ["-e =x y", "invalid"],
  ] as const) {
    it(`refuses ${line}`, () => {
      assert.throws(() => body(line), { code });
    });
  }
});

describe("parsePublished", () => {
  for (const [text, expected] of [
    ["80", { "80/tcp": [{ HostIp: "", HostPort: "" }] }],
    ["8080:80", { "80/tcp": [{ HostIp: "", HostPort: "8080" }] }],
    ["53:53/udp", { "53/udp": [{ HostIp: "", HostPort: "53" }] }],
    ["127.0.0.1:8080:80", { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "8080" }] }],
    ["127.0.0.1::80", { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "" }] }],
    ["[::1]:5:6", { "6/tcp": [{ HostIp: "::1", HostPort: "5" }] }],
    ["8000-8001:80-81", { "80/tcp": [{ HostIp: "", HostPort: "8000" }], "81/tcp": [{ HostIp: "", HostPort: "8001" }] }],
    ["8000-8010:80", { "80/tcp": [{ HostIp: "", HostPort: "8000-8010" }] }],
  ] as const) {
    it(`reads ${text}`, () => {
      assert.deepEqual(parsePublished([text]).bindings, expected);
    });
  }

  for (const text of ["99999:80", "x", "1:2:3:4", "80/icmp", "8000-8002:80-81", "2-1:3", ":", "a.b:1:2"]) {
    it(`refuses ${text}`, () => {
      assert.throws(() => parsePublished([text]), { code: "invalid" });
    });
  }

  it("joins what is bound to one port", () => {
    assert.deepEqual(parsePublished(["1:80", "2:80"]).bindings["80/tcp"], [
      { HostIp: "", HostPort: "1" },
      { HostIp: "", HostPort: "2" },
    ]);
    assert.deepEqual(parseExposed("10-11/udp"), ["10/udp", "11/udp"]);
  });
});

describe("parseMount", () => {
  it("reads bind and tmpfs mounts", () => {
    assert.deepEqual(parseMount("type=bind,src=/a,dst=/b,ro,bind-propagation=rslave"), {
      Type: "bind",
      Target: "/b",
      ReadOnly: true,
      Source: "/a",
      BindOptions: { Propagation: "rslave" },
    });
    assert.deepEqual(parseMount("type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1777"), {
      Type: "tmpfs",
      Target: "/t",
      TmpfsOptions: { SizeBytes: 1024 ** 2, Mode: 0o1777 },
    });
  });

  it("reads volumes, which need no type", () => {
    assert.deepEqual(parseMount("dst=/v"), { Type: "volume", Target: "/v" });
    const options = "volume-nocopy,volume-label=a=b,volume-label=c=d,volume-opt=size=1G,volume-subpath=in/side";
    assert.deepEqual(parseMount(`type=volume,src=name,target=/v,ro,${options}`), {
      Type: "volume",
      Target: "/v",
      ReadOnly: true,
      Source: "name",
      VolumeOptions: {
        NoCopy: true,
        Labels: { a: "b", c: "d" },
        DriverConfig: { Options: { size: "1G" } },
        Subpath: "in/side",
      },
    });
  });

  for (const text of [
    "type=bind",
    "type=bind,target=/b",
    "type=tape,target=/v",
    "type=volume,source=a",
    "type=bind,src=/a,dst=/b,foo=1",
    "type=tmpfs,dst=/t,tmpfs-mode=9",
  ]) {
    it(`refuses ${text}`, () => {
      assert.throws(() => parseMount(text), { code: "invalid" });
    });
  }
});

describe("parseUlimit", () => {
  it("reads one value for both, or two", () => {
    assert.deepEqual(parseUlimit("nofile=10"), { Name: "nofile", Soft: 10, Hard: 10 });
    assert.deepEqual(parseUlimit("core=0:-1"), { Name: "core", Soft: 0, Hard: -1 });
  });
  for (const text of ["x", "nofile=", "nofile=2:1", "what=1", "nofile=-1:5"]) {
    it(`refuses ${text}`, () => {
      assert.throws(() => parseUlimit(text), { code: "invalid" });
    });
  }
});
