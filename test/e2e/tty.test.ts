/** Terminals and signals: what a person at the keyboard meets. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Inventory } from "../host-inventory.ts";
import { assertNothingLeft, type Client, clientNames, clientOf, skipOf } from "./clients.ts";
import { runCommand, startDaemon, type TestDaemon } from "./harness.ts";
import { Terminal } from "./terminal.ts";

const ctrlC = "\x03";
const ctrlD = "\x04";
const detach = "\x10\x11";
const prompt = /# $/;

const hasScript = await runCommand("script", ["--version"]).then(
  ({ code }) => code === 0,
  () => false,
);

let daemon: TestDaemon;
let atFirst: Inventory;

before(async () => {
  daemon = await startDaemon();
  await daemon.onggi(["image", "from-host"]);
  await daemon.onggi(["run", "--rm", "host", "true"]);
  atFirst = daemon.inventory();
});

after(async () => {
  try {
    await assertNothingLeft(daemon, atFirst);
  } finally {
    await daemon.stop();
  }
});

for (const name of clientNames) {
  describe(`a terminal of ${name}`, { skip: skipOf(name) || (hasScript ? false : "there is no script") }, () => {
    let client: Client;
    const open = (...args: string[]) => Terminal.open([...client.words, ...args], client.env);
    before(() => {
      client = clientOf(name, daemon);
    });

    it("gives a prompt, echoes what is typed, and ends with the shell's status", async () => {
      await using terminal = await open("run", "--rm", "-it", "host", "sh");
      await terminal.sees(prompt);
      assert.ok(terminal.settings().includes("-echo"), "the container's terminal echoes, not this one");
      terminal.type("echo a$((1+1))b\r");
      await terminal.sees(/echo a\$\(\(1\+1\)\)b\r\na2b\r\n/);
      await terminal.sees(prompt);
      terminal.type("tty; ps -o pid,tty,comm\r");
      await terminal.sees(/\/dev\/pts\/0\r\n/);
      await terminal.sees(/ 1 pts\/0 +sh\r\n/);
      await terminal.sees(prompt);
      terminal.type("exit 7\r");
      assert.equal(await terminal.status(), 7);
    });

    it("restores the terminal when it ends", async () => {
      await using terminal = await open("run", "--rm", "-it", "host", "true");
      assert.equal(await terminal.status(), 0);
      await using shell = await Terminal.open(
        ["sh", "-c", `${[...client.words, "run", "--rm", "-it", "host", "true"].join(" ")}; stty -a; echo done`],
        client.env,
      );
      const [text] = await shell.sees(/speed[\s\S]*done/);
      assert.match(text, / icanon/);
      assert.match(text, /[ ;]echo /);
    });

    it("has this terminal's size, from the start and when it changes", async () => {
      await using terminal = await open(
        "run",
        "--rm",
        "-it",
        "host",
        "sh",
        "-c",
        "stty size; trap 'stty size' WINCH; while :; do sleep 0.05; done",
      );
      await terminal.sees(/24 80\r\n/);
      terminal.resize(31, 97);
      await terminal.sees(/31 97\r\n/);
      terminal.resize(50, 132);
      await terminal.sees(/50 132\r\n/);
      terminal.type(ctrlC);
      assert.equal(await terminal.status(), 130);
    });

    it("passes ctrl-c and ctrl-d to the container's terminal", async () => {
      await using terminal = await open("run", "--rm", "-it", "host", "sh");
      await terminal.sees(prompt);
      terminal.type("sleep 60\r");
      await terminal.sees(/sleep 60\r\n/);
      await sleep(200);
      terminal.type(ctrlC);
      await terminal.sees(/\^C[\s\S]*# $/);
      terminal.type("cat\r");
      await terminal.sees(/cat\r\n/);
      terminal.type("line\r");
      await terminal.sees(/line\r\nline\r\n/);
      terminal.type(ctrlD);
      await terminal.sees(prompt);
      terminal.type(ctrlD);
      // dash ends with the status of the last command.
      assert.equal(await terminal.status(), 0);
    });

    it("detaches by ctrl-p ctrl-q and attaches again", async () => {
      const container = `detached-${name}`;
      {
        await using terminal = await open("run", "-it", "--name", container, "host", "sh");
        await terminal.sees(prompt);
        terminal.type("kept=here\r");
        await terminal.sees(/here\r\n/);
        await terminal.sees(prompt);
        terminal.type(detach);
        assert.equal(await terminal.status(), 0);
      }
      assert.equal(await client.output(["inspect", "-f", "{{.State.Running}}", container]), "true");
      {
        await using terminal = await open("attach", container);
        terminal.type("echo $kept\r");
        await terminal.sees(/\r\nhere\r\n/);
        terminal.type("exit 4\r");
        assert.equal(await terminal.status(), 4);
      }
      {
        await using terminal = await open("start", "-ai", container);
        await terminal.sees(prompt);
        terminal.type("exit 5\r");
        assert.equal(await terminal.status(), 5);
      }
      await client.output(["rm", container]);
    });

    it("takes other keys to detach, and passes ctrl-p alone on", async () => {
      const container = `keys-${name}`;
      await using terminal = await open(
        "run",
        "-it",
        "--rm",
        "--detach-keys",
        "ctrl-a,x",
        "--name",
        container,
        "host",
        "sh",
      );
      await terminal.sees(prompt);
      terminal.type("\x01\r");
      await terminal.sees(/# $/);
      terminal.type("\x01x");
      assert.equal(await terminal.status(), 0);
      await using again = await open("attach", container);
      again.type("echo \x10y\r");
      await again.sees(/y\r\n/);
      await again.sees(prompt);
      again.type("exit\r");
      assert.equal(await again.status(), 0);
    });

    it("execs with a terminal of its own size, and detaches from it", async () => {
      const container = `exec-${name}`;
      await client.output(["run", "-d", "--rm", "--name", container, "host", "sleep", "60"]);
      {
        await using terminal = await open("exec", "-it", container, "sh");
        await terminal.sees(prompt);
        terminal.type("stty size; tty\r");
        await terminal.sees(/24 80\r\n\/dev\/pts\/\d+\r\n/);
        terminal.resize(40, 100);
        await sleep(300);
        terminal.type("stty size\r");
        await terminal.sees(/40 100\r\n/);
        terminal.type("exit 9\r");
        assert.equal(await terminal.status(), 9);
      }
      {
        await using terminal = await open("exec", "-it", container, "sh");
        await terminal.sees(prompt);
        terminal.type(detach);
        await terminal.status();
      }
      await client.output(["rm", "-f", container]);
    });

    it("-t without -i prints through a terminal", async () => {
      const { stdout, code } = await client.run([
        "run",
        "--rm",
        "-t",
        "host",
        "sh",
        "-c",
        "[ -t 1 ] && echo one; echo two >&2",
      ]);
      assert.deepEqual([stdout, code], ["one\r\ntwo\r\n", 0]);
    });

    it("refuses -it where input is no terminal", async () => {
      const { code, stderr } = await client.run(["run", "--rm", "-it", "host", "true"]);
      assert.equal(code, 1);
      assert.match(stderr, /the input device is not a TTY/);
    });

    it("passes signals on to the container", async () => {
      for (const [signal, status] of [
        ["SIGTERM", 15],
        ["SIGINT", 2],
        ["SIGUSR1", 10],
        ["SIGHUP", 1],
      ] as const) {
        const script =
          "trap 'exit 15' TERM; trap 'exit 2' INT; trap 'exit 10' USR1; trap 'exit 1' HUP; echo ready; while :; do sleep 0.05; done";
        const child = spawn(
          client.words[0] ?? "",
          [...client.words.slice(1), "run", "--rm", "host", "sh", "-c", script],
          { env: client.env, stdio: ["ignore", "pipe", "inherit"] },
        );
        const ended = endOf(child);
        await new Promise((resolve) => child.stdout.once("data", resolve));
        child.kill(signal);
        assert.equal(await ended, status, signal);
      }
    });

    it("--sig-proxy=false keeps them", async () => {
      const child = spawn(
        client.words[0] ?? "",
        [
          ...client.words.slice(1),
          "run",
          "--rm",
          "--name",
          "unmoved",
          "--sig-proxy=false",
          "host",
          "sh",
          "-c",
          "echo ready; sleep 60",
        ],
        { env: client.env, stdio: ["ignore", "pipe", "inherit"] },
      );
      const ended = endOf(child);
      await new Promise((resolve) => child.stdout.once("data", resolve));
      // Docker's client gives in to the third.
      const asking = setInterval(() => child.kill("SIGTERM"), 50);
      await ended;
      clearInterval(asking);
      assert.equal(await client.output(["inspect", "-f", "{{.State.Running}}", "unmoved"]), "true");
      await client.output(["rm", "-f", "unmoved"]);
    });
  });
}

function endOf(child: ChildProcess): Promise<number | null | string> {
  const late = setTimeout(() => child.kill("SIGKILL"), 15_000);
  return new Promise((resolve) => {
    child.once("exit", (code, signal) => {
      clearTimeout(late);
      resolve(code ?? signal);
    });
  });
}
