/** The lab's Debian: a disk, its kernel and what the kernel starts with, kept between runs until its recipe changes. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { initScript, labService, projectPlace } from "./guest-files.ts";

const cache = "/var/cache/onggi-test";
const release = "bookworm";
const mirror = "http://deb.debian.org/debian";
/** What tests find inside, beside Debian's minimum. */
const packages = [
  ...["systemd", "systemd-sysv", "udev", "dbus", "kmod", "busybox-static", "libatomic1"],
  ...["iproute2", "nftables", "iputils-ping", "procps", "stress", "strace", "zstd"],
  ...["e2fsprogs", "xfsprogs", "dmsetup", "thin-provisioning-tools"],
];
/** Debian's kernel for virtual machines: a third of the modules, the ones of containers and storage all there. */
const kernelPackage = "linux-image-cloud-amd64";
/** What the root disk needs before modules can be read from it, in the order of their dependencies. */
const earlyModules = [
  ...["virtio", "virtio_ring", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk"],
];
const diskSize = "8G";

/** Paths of the parts of a machine. */
export interface RootImage {
  readonly disk: string;
  readonly kernel: string;
  readonly initrd: string;
}

/** The image, made when its recipe changed; takes two minutes then. */
export function rootImage(say: (line: string) => void): RootImage {
  const recipe = [
    release,
    mirror,
    packages,
    kernelPackage,
    earlyModules,
    diskSize,
    initScript(earlyModules),
    labService,
  ];
  const hash = createHash("sha256")
    .update(JSON.stringify(recipe))
    .update(readFileSync(import.meta.filename));
  const directory = join(cache, `lab-${hash.digest("hex").slice(0, 16)}`);
  if (!existsSync(directory)) {
    say(`making the lab's image of Debian ${release} in ${directory}`);
    build(directory);
  }
  return { disk: join(directory, "root.img"), kernel: join(directory, "vmlinuz"), initrd: join(directory, "initrd") };
}

function build(directory: string): void {
  mkdirSync(cache, { recursive: true });
  const scratch = mkdtempSync(join(cache, "new-lab-"));
  try {
    const root = join(scratch, "root");
    const made = join(scratch, "made");
    mkdirSync(made);
    run("debootstrap", ["--variant=minbase", `--include=${packages.join(",")}`, release, root, mirror]);
    const kernel = unpackKernel(root);
    renameSync(join(root, "boot", `vmlinuz-${kernel}`), join(made, "vmlinuz"));
    makeInitrd(root, kernel, join(made, "initrd"));
    furnish(root);
    run("mkfs.ext4", ["-q", "-L", "lab", "-d", root, "-E", "lazy_itable_init=1", join(made, "root.img"), diskSize]);
    removeOlder();
    renameSync(made, directory);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Without the package's scripts, which would make a generic initrd that takes as long to boot as all the rest. */
function unpackKernel(root: string): string {
  const depends = run("chroot", [root, "apt-cache", "depends", kernelPackage]);
  const name = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
  if (name === undefined) throw new Error(`${kernelPackage} depends on no kernel:\n${depends}`);
  run("chroot", [
    root,
    "sh",
    "-c",
    `cd /tmp && apt-get -qq download ${name} && dpkg-deb -x ${name}_*.deb kernel && rm *.deb`,
  ]);
  const version = name.replace(/^linux-image-/, "");
  const unpacked = join(root, "tmp/kernel");
  // Into place by hand: dpkg-deb would put a folder where the link /lib is.
  renameSync(join(unpacked, "lib/modules"), join(root, "usr/lib/modules"));
  renameSync(join(unpacked, "boot", `vmlinuz-${version}`), join(root, "boot", `vmlinuz-${version}`));
  rmSync(unpacked, { recursive: true });
  run("chroot", [root, "depmod", version]);
  return version;
}

function makeInitrd(root: string, kernel: string, path: string): void {
  const place = join(root, "tmp/initrd");
  for (const name of ["bin", "dev", "modules", "root"]) mkdirSync(join(place, name), { recursive: true });
  cpSync(join(root, "bin/busybox"), join(place, "bin/busybox"));
  const drivers = join(root, "lib/modules", kernel, "kernel");
  const files = readdirSync(drivers, { recursive: true, encoding: "utf8" });
  for (const module of earlyModules) {
    const file = files.find((name) => name.endsWith(`/${module}.ko`));
    if (file === undefined) throw new Error(`the kernel ${kernel} has no module ${module}`);
    cpSync(join(drivers, file), join(place, "modules", `${module}.ko`));
  }
  writeFileSync(join(place, "init"), initScript(earlyModules));
  chmodSync(join(place, "init"), 0o755);
  run("chroot", [root, "sh", "-c", "cd /tmp/initrd && find . | busybox cpio -o -H newc > /tmp/initrd.cpio"]);
  cpSync(join(root, "tmp/initrd.cpio"), path);
  rmSync(place, { recursive: true });
  rmSync(join(root, "tmp/initrd.cpio"));
}

/** What starts in the lab: its tests and as little else as may be. */
function furnish(root: string): void {
  for (const name of ["usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists"]) {
    rmSync(join(root, name), { recursive: true, force: true });
    mkdirSync(join(root, name), { recursive: true });
  }
  mkdirSync(join(root, projectPlace.slice(1)));
  writeFileSync(join(root, "etc/fstab"), `/dev/vda / ext4 defaults 0 0\n/dev/vdb ${projectPlace} ext4 ro 0 0\n`);
  writeFileSync(join(root, "etc/hostname"), "lab\n");
  writeFileSync(join(root, "etc/hosts"), "127.0.0.1 localhost lab\n");
  writeFileSync(join(root, "etc/systemd/system/lab.service"), labService);
  const units = join(root, "etc/systemd/system");
  mkdirSync(join(units, "multi-user.target.wants"), { recursive: true });
  run("ln", ["-s", "../lab.service", join(units, "multi-user.target.wants/lab.service")]);
  for (const unit of unwanted) run("ln", ["-sf", "/dev/null", join(units, unit)]);
}

const unwanted = [
  ...["apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer"],
  ...["getty.target", "systemd-timesyncd.service", "e2scrub_reap.service", "systemd-update-utmp.service"],
  ...["systemd-journal-flush.service", "systemd-random-seed.service", "systemd-pstore.service", "nftables.service"],
];

/** One image is kept: the newest. */
function removeOlder(): void {
  for (const name of readdirSync(cache)) {
    if (name.startsWith("lab-")) rmSync(join(cache, name), { recursive: true });
  }
}

function run(program: string, args: readonly string[]): string {
  const options = { encoding: "utf8", maxBuffer: 64 << 20, timeout: 300_000 } as const;
  const { status, stdout, stderr, error } = spawnSync(program, args, options);
  if (status === 0) return stdout;
  const said = `${stdout}${stderr}`.split("\n").slice(-15).join("\n");
  throw new Error(`${program} ${args.join(" ")}: ${error?.message ?? said}`);
}
