import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { applyChanges, type FullImageConfig } from "./commit-changes.ts";

const base: FullImageConfig = { Cmd: ["old"], Env: ["PATH=/bin", "A=1"], WorkingDir: "/srv" };

function changed(...changes: string[]): FullImageConfig {
  return applyChanges(base, changes);
}

describe("applyChanges", () => {
  it("reads commands as lists and as a shell's line", () => {
    assert.deepEqual(changed('CMD ["a", "b c"]').Cmd, ["a", "b c"]);
    assert.deepEqual(changed("cmd echo $HOME").Cmd, ["/bin/sh", "-c", "echo $HOME"]);
    assert.deepEqual(changed("CMD [not json]").Cmd, ["/bin/sh", "-c", "[not json]"]);
  });

  it("lets a new entrypoint take the old command away, unless a command came before", () => {
    assert.deepEqual(changed('ENTRYPOINT ["/e"]'), { Env: base.Env, WorkingDir: "/srv", Entrypoint: ["/e"] });
    assert.deepEqual(changed("CMD []", 'ENTRYPOINT ["/e"]').Cmd, []);
  });

  it("sets variables in both forms, with quotes and the environment so far", () => {
    assert.deepEqual(changed(`ENV A=2 B="x y" C=$A-\${PATH} D=\${NO:-else} E=\\$A F='$A'`).Env, [
      "PATH=/bin",
      "A=2",
      "B=x y",
      "C=1-/bin",
      "D=else",
      "E=$A",
      "F=$A",
    ]);
    assert.deepEqual(changed("ENV NAME some value").Env?.at(-1), "NAME=some value");
  });

  it("adds labels, ports, volumes, triggers", () => {
    const config = changed(
      'LABEL a=b "c d"=e',
      "EXPOSE 80 53/udp 90-91",
      'VOLUME ["/a", "/b c"]',
      "VOLUME /d /e",
      "ONBUILD RUN true",
    );
    assert.deepEqual(config.Labels, { a: "b", "c d": "e" });
    assert.deepEqual(Object.keys(config.ExposedPorts ?? {}), ["80/tcp", "53/udp", "90/tcp", "91/tcp"]);
    assert.deepEqual(Object.keys(config.Volumes ?? {}), ["/a", "/b c", "/d", "/e"]);
    assert.deepEqual(config.OnBuild, ["RUN true"]);
  });

  it("sets user, folder and signal", () => {
    const config = changed("USER nobody:$A", "WORKDIR sub/../dir", "STOPSIGNAL SIGINT");
    assert.deepEqual([config.User, config.WorkingDir, config.StopSignal], ["nobody:1", "/srv/dir", "SIGINT"]);
  });

  it("reads health checks", () => {
    assert.deepEqual(changed("HEALTHCHECK NONE").Healthcheck, { Test: ["NONE"] });
    assert.deepEqual(changed("HEALTHCHECK --interval=1m30s --retries=3 CMD curl -f localhost").Healthcheck, {
      Test: ["CMD-SHELL", "curl -f localhost"],
      Interval: 90e9,
      Retries: 3,
    });
  });

  it("joins lines that go on", () => {
    assert.deepEqual(changed("ENV A=2 \\\n B=3\nUSER x").Env, ["PATH=/bin", "A=2", "B=3"]);
  });

  it("refuses what is no such instruction, in Docker's words", () => {
    for (const [change, message] of [
      ["RUN true", /^RUN is not a valid change command$/],
      ["FROM x", /FROM is not a valid change command/],
      ["toString", /TOSTRING is not a valid/],
      ["EXPOSE 99999", /invalid containerPort: 99999/],
      ["ENV", /ENV requires at least one argument/],
      ["STOPSIGNAL SIGNOTHING", /SIGNOTHING/i],
      ["HEALTHCHECK PING", /Unknown type "PING"/],
      ["ONBUILD FROM x", /FROM isn't allowed as an ONBUILD trigger/],
    ] as const) {
      assert.throws(() => changed(change), { code: "invalid", message });
    }
  });
});
