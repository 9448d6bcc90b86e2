/** The few files that make a Debian the lab. */

/** Where the project is seen inside. */
export const projectPlace = "/project";
/** The port by which the lab tells its results, as udev names it. */
export const labPort = "onggi.lab";

/** What the kernel starts first: finds the disk and goes on from it. */
export function initScript(modules: readonly string[]): string {
  return `#!/bin/busybox sh
b=/bin/busybox
$b mount -t devtmpfs devtmpfs /dev
for module in ${modules.join(" ")}; do $b insmod /modules/$module.ko; done
tries=0
while [ ! -b /dev/vda ] && [ $tries -lt 100 ]; do $b sleep 0.1; tries=$((tries + 1)); done
$b mount -t ext4 -o rw,noatime /dev/vda /root
$b umount -l /dev
exec $b switch_root /root /sbin/init
`;
}

/**
 * Runs the tests that the disk of the project names, tells the port what they say, and turns the machine off.
 * The scratch of tests lies on the disk and not in memory: storage drivers want a file system that can hold their layers.
 */
export const labService = `[Unit]
Description=Onggi's tests
RequiresMountsFor=${projectPlace}
Wants=systemd-udev-settle.service
After=systemd-udev-settle.service
SuccessAction=poweroff-force
FailureAction=poweroff-force

[Service]
Type=oneshot
WorkingDirectory=${projectPlace}
Environment=HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin TMPDIR=/var/tmp ONGGI_LAB=1
ExecStart=/bin/sh -c 'exec >/dev/virtio-ports/${labPort} 2>&1; exec sh ${projectPlace}/lab-command'
Delegate=yes
TasksMax=infinity
TimeoutStartSec=infinity
`;
