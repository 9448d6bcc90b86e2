import { type ChildProcess, spawn } from "node:child_process";
import { labPort } from "./guest-files.ts";
import type { RootImage } from "./root-image.ts";

export interface MachineOptions {
  readonly image: RootImage;
  readonly projectDisk: string;
  /** Where the kernel's and systemd's words go. */
  readonly consoleLog: string;
  readonly timeoutMs: number;
  /** Called with each piece of what the tests say. */
  readonly onOutput: (text: string) => void;
}

/**
 * Runs a machine until it turns itself off. The processor is emulated: what runs this has mostly no KVM, or one that hangs.
 *
 * @returns why it ended otherwise, or undefined
 */
export async function runMachine(options: MachineOptions): Promise<string | undefined> {
  // The port counts as unplugged once stdin is at its end, so that is a pipe that stays open.
  const child = spawn(program, argumentsFor(options), { stdio: "pipe" });
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  let complaint = "";
  child.stdout.setEncoding("utf8").on("data", options.onOutput);
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint += text;
  });
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    kill();
  }, options.timeoutMs);
  const status = await endOf(child);
  clearTimeout(timer);
  process.off("exit", kill);
  if (late) return `the lab did not end within ${options.timeoutMs / 1000} s and was turned off`;
  return status === 0 ? undefined : `${program} ended with ${status}: ${complaint.trim()}`;
}

export const program = "qemu-system-x86_64";

function argumentsFor({ image, projectDisk, consoleLog }: MachineOptions): readonly string[] {
  const commandLine = [
    "root=/dev/vda rw console=ttyS0 quiet panic=-1 mitigations=off audit=0 random.trust_cpu=on",
    "systemd.unified_cgroup_hierarchy=1 systemd.show_status=0 fsck.mode=skip",
  ];
  return [
    ...["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-M", "q35"],
    // With a thread for each processor Node died now and then at its start, of a check of V8's; for tests that run one after the other one is as fast.
    ...["-accel", "tcg,thread=single", "-cpu", "Nehalem", "-smp", "2", "-m", "3G"],
    ...["-kernel", image.kernel, "-initrd", image.initrd, "-append", commandLine.join(" ")],
    ...disk("root", image.disk, "snapshot=on,cache=unsafe"),
    ...disk("project", projectDisk, "readonly=on"),
    ...["-chardev", `file,id=console,path=${consoleLog}`, "-serial", "chardev:console"],
    ...["-chardev", "stdio,id=lab,signal=off", "-device", "virtio-serial-pci"],
    ...["-device", `virtserialport,chardev=lab,name=${labPort}`],
    ...["-device", "virtio-rng-pci"],
  ];
}

function disk(id: string, path: string, options: string): readonly string[] {
  const drive = `if=none,id=${id},file=${path.replaceAll(",", ",,")},format=raw,${options}`;
  return ["-drive", drive, "-device", `virtio-blk-pci,drive=${id}`];
}

function endOf(child: ChildProcess): Promise<number | string | null> {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (status, signal) => resolve(status ?? signal));
  });
}
