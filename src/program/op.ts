/**
 * The operations a program is made of, each defined once.
 *
 * A program is data: TypeScript decides, `native/` performs. File descriptors that live across steps are named
 * by a {@link Slot}; the encoder numbers them. `slotTable` in `encode.ts` and `native/ops.c` hold one row per member.
 */

/** A name for a file descriptor that one step opens and later steps use; unique within a program. */
export type Slot = string;

/** What may go wrong with a step and be passed over. */
export interface Tolerance {
  /** Errno names that count as success, e.g. `["ENOENT"]`; at most four. */
  readonly ignore?: readonly ErrnoName[];
}

export type ErrnoName =
  | "EPERM"
  | "ENOENT"
  | "EACCES"
  | "EBUSY"
  | "EEXIST"
  | "ENOTDIR"
  | "EINVAL"
  | "EROFS"
  | "ENOTEMPTY"
  | "EOPNOTSUPP"
  | "ENOSYS"
  | "ENODEV"
  | "ESRCH"
  | "EXDEV"
  | "EISDIR"
  | "ENODATA";

/** A place in a netlink message or in the argument of an ioctl where the executor writes the number of a slot's descriptor (u32, native order). */
export interface SlotPatch {
  readonly offset: number;
  readonly slot: Slot;
}

export type Op =
  // --- descriptors ---------------------------------------------------------------------------------------------
  /** open(2), close-on-exec. */
  (
    | {
        readonly op: "open";
        readonly slot: Slot;
        readonly path: string;
        readonly flags: number;
        readonly mode?: number;
      }
    /** write(2) of the whole data to an open descriptor. */
    | { readonly op: "writeSlot"; readonly slot: Slot; readonly data: string | Uint8Array }
    | { readonly op: "closeSlot"; readonly slot: Slot }
    /** socket(AF_NETLINK, SOCK_RAW, protocol) in the network namespace the step runs in. */
    | { readonly op: "netlinkSocket"; readonly slot: Slot; readonly protocol: number }
    /**
     * Sends one batch of netlink messages and reads answers until the one that asks for an acknowledgement has it;
     * a negative acknowledgement of any message is the step's errno. `shell` says the same as commands, for explain.
     */
    | {
        readonly op: "netlink";
        readonly slot: Slot;
        readonly messages: Uint8Array;
        readonly patches?: readonly SlotPatch[];
        readonly shell: readonly string[];
      }
    /** pidfd_open(2), refused with ESRCH unless the process's start time (field 22 of /proc/PID/stat) is `startTime`. */
    | { readonly op: "openProcess"; readonly slot: Slot; readonly pid: number; readonly startTime: bigint }

    // --- process -------------------------------------------------------------------------------------------------
    | { readonly op: "unshare"; readonly flags: number }
    | { readonly op: "setns"; readonly slot: Slot; readonly flags: number }
    | { readonly op: "setHostname"; readonly name: string }
    | { readonly op: "setDomainname"; readonly name: string }
    | { readonly op: "setRlimit"; readonly resource: number; readonly soft: bigint; readonly hard: bigint }
    /** prctl(2) with plain integer arguments. */
    | { readonly op: "prctl"; readonly option: number; readonly args: readonly [bigint, bigint, bigint, bigint] }
    /** Drops from the bounding set all capabilities that `keep` (bit n = capability n) doesn't have. */
    | { readonly op: "boundingSet"; readonly keep: bigint }
    /** capset(2) of the three sets. */
    | { readonly op: "capset"; readonly effective: bigint; readonly permitted: bigint; readonly inheritable: bigint }
    /** PR_CAP_AMBIENT_RAISE of each bit. */
    | { readonly op: "ambientSet"; readonly raise: bigint }
    /** The process's own pipes or terminal are given to the user; then setgroups, setresgid, setresuid. At most 1,024 groups. */
    | { readonly op: "setUser"; readonly uid: number; readonly gid: number; readonly groups: readonly number[] }
    /** seccomp(SECCOMP_SET_MODE_FILTER): `filter` is an array of struct sock_filter, 8 bytes each. */
    | { readonly op: "seccomp"; readonly flags: number; readonly filter: Uint8Array }
    /** The umask that the program gets (022 without): modes of what the steps make are exact, whatever it is. */
    | { readonly op: "umask"; readonly mask: number }
    | { readonly op: "chdir"; readonly path: string; readonly create?: boolean }
    | { readonly op: "chroot"; readonly path: string }
    /** Writes oom_score_adj of the process itself; needs a /proc that shows it, so before the root changes. */
    | { readonly op: "oomScoreAdj"; readonly value: number }
    /**
     * execve(2). A file without a slash is sought along `searchPath`; ENOENT and EACCES are told apart as a shell does.
     * Descriptors above 2 are close-on-exec already; signals are unblocked and set to default.
     */
    | {
        readonly op: "exec";
        readonly file: string;
        readonly argv: readonly string[];
        readonly env: readonly string[];
        readonly searchPath: string;
      }
    /**
     * Becomes a tiny init: forks, the child goes on with the next steps, the parent (PID 1) forwards signals, reaps, and ends
     * with the child's status. `--init`. Stands last before the exec: PID 1 keeps whatever rights it has there, and its
     * descriptors are closed.
     */
    | { readonly op: "init" }

    // --- mounts --------------------------------------------------------------------------------------------------
    /**
     * mount(2). `target` is created where `create` says so. Of this and the other mounts: a relative target is resolved as if
     * the current directory were the root, so no link in an image leads out of it; that takes a /proc at /proc.
     */
    | {
        readonly op: "mount";
        readonly source: string;
        readonly target: string;
        readonly type: string;
        readonly flags: number;
        readonly data: string;
        readonly create?: "dir" | "file";
      }
    /**
     * fsopen, fsconfig, fsmount, move_mount: like mount, with one call an option, so that no page size limits them.
     * An option without `=` is a flag. `attributes` are MOUNT_ATTR_*.
     */
    | {
        readonly op: "fsmount";
        readonly type: string;
        readonly source: string;
        readonly options: readonly string[];
        readonly attributes: number;
        readonly target: string;
        readonly create?: "dir" | "file";
      }
    /**
     * open_tree(OPEN_TREE_CLONE): a detached copy of the mount at `path`, of all below it where `recursive`. A relative path is resolved like the
     * targets above.
     */
    | { readonly op: "openTree"; readonly slot: Slot; readonly path: string; readonly recursive: boolean }
    /** move_mount of a detached mount to `target`, made first where `create` says so (`like` = as the source is). */
    | {
        readonly op: "moveMount";
        readonly slot: Slot;
        readonly target: string;
        readonly create?: "dir" | "file" | "like";
      }
    /** mount_setattr(2) on `target` (or on the detached mount of `slot` with `target` ""). */
    | {
        readonly op: "mountAttributes";
        readonly slot?: Slot;
        readonly target: string;
        readonly set: bigint;
        readonly clear: bigint;
        readonly propagation: number;
        readonly recursive: boolean;
      }
    | { readonly op: "umount"; readonly target: string; readonly flags: number }
    | { readonly op: "pivotRoot"; readonly newRoot: string; readonly putOld: string }
    /** Hides a path: /dev/null over a file, an empty read-only tmpfs over a directory, nothing where it doesn't exist. */
    | { readonly op: "mask"; readonly path: string }
    /** Makes a path read-only by a bind mount on itself; nothing where it doesn't exist. */
    | { readonly op: "readonlyPath"; readonly path: string }

    // --- files ---------------------------------------------------------------------------------------------------
    | { readonly op: "mkdir"; readonly path: string; readonly mode: number; readonly parents?: boolean }
    /** Makes or replaces a whole small file. `exclusive` fails with EEXIST instead of replacing. */
    | {
        readonly op: "writeFile";
        readonly path: string;
        readonly data: string | Uint8Array;
        readonly mode: number;
        readonly exclusive?: boolean;
      }
    /** Writes to a file that is there (a control file): O_WRONLY without O_CREAT. */
    | { readonly op: "writeControl"; readonly path: string; readonly data: string }
    | { readonly op: "symlink"; readonly target: string; readonly path: string }
    | { readonly op: "link"; readonly target: string; readonly path: string }
    /** mknod(2) with the mode's file type; the mode is exact, whatever the umask. */
    | {
        readonly op: "mknod";
        readonly path: string;
        readonly mode: number;
        readonly major: number;
        readonly minor: number;
      }
    /** fchownat with AT_SYMLINK_NOFOLLOW. */
    | { readonly op: "chown"; readonly path: string; readonly uid: number; readonly gid: number }
    | { readonly op: "chmod"; readonly path: string; readonly mode: number }
    /** utimensat with AT_SYMLINK_NOFOLLOW; nanoseconds since the epoch. */
    | { readonly op: "utimens"; readonly path: string; readonly atimeNs: bigint; readonly mtimeNs: bigint }
    | { readonly op: "setxattr"; readonly path: string; readonly name: string; readonly value: Uint8Array }
    | { readonly op: "rename"; readonly from: string; readonly to: string }
    /**
     * unlink or rmdir; with `recursive` the whole tree, with `onlyFile` EISDIR for a directory. Missing is ENOENT. A cgroup directory is retried
     * while EBUSY, 2 s at most.
     */
    | { readonly op: "remove"; readonly path: string; readonly recursive?: boolean; readonly onlyFile?: boolean }
    /** Kills all that is in a cgroup: by `cgroup.kill`, or by pidfds in rounds until `cgroup.procs` is empty, 5 s at most. */
    | { readonly op: "killCgroup"; readonly path: string }

    // --- the monitor's own ---------------------------------------------------------------------------------------
    /** What the process's descriptors 0 to 2 are. Without `stdin` it reads /dev/null. */
    | {
        readonly op: "stdio";
        readonly terminal: boolean;
        readonly stdin: boolean;
        readonly rows: number;
        readonly columns: number;
      }
    /** Opens the container's terminal in its own devpts (`path` is its ptmx; ENODEV for anything else), makes it the controlling one and 0 to 2. Child part, after the mounts. */
    | { readonly op: "openTerminal"; readonly path: string }
    /** Where output is kept. `format` 0 none, 1 frames (`src/engine/log-frames.ts`), 2 Docker's json-file. */
    | {
        readonly op: "log";
        readonly directory: string;
        readonly name: string;
        readonly format: number;
        readonly maxBytes: number;
        readonly maxFiles: number;
      }
    /** The unix socket on which the next engine finds this monitor. */
    | { readonly op: "listen"; readonly path: string }
    /** Where the monitor records the exit (JSON, {@link ExitRecord}), before it tells anyone. */
    | { readonly op: "record"; readonly path: string }
    /** Counts memory-limit kills: `path` of memory.events (v2) or memory.oom_control (v1), and of the peak's file. */
    | {
        readonly op: "oomWatch";
        readonly version: 1 | 2;
        readonly path: string;
        readonly peakPath: string;
        readonly usagePath: string;
      }
    /** Starts the child part: clone3 with CLONE_VM|CLONE_VFORK and these namespace flags. Ends the host part; `intoCgroup` is v2 only. */
    | { readonly op: "clone"; readonly flags: number; readonly intoCgroup?: Slot }

    // --- a worker's own (answers carry data) ---------------------------------------------------------------------
    /** Reads a whole file of at most `maxBytes`; the answer carries it. */
    | { readonly op: "readFile"; readonly path: string; readonly maxBytes: number }
    /** Opens a file for `append`s to come: O_CREAT|O_EXCL|O_NOFOLLOW. */
    | { readonly op: "createFile"; readonly slot: Slot; readonly path: string; readonly mode: number }
    /**
     * Makes a whole file (O_EXCL) of ranges of the open file `from`, then sets owner (unless left out), mode and times. `extents` has three
     * numbers a range: offset in the file, offset in `from`, length; ascending, what is between is a hole.
     */
    | {
        readonly op: "placeFile";
        readonly from: Slot;
        readonly path: string;
        readonly mode: number;
        readonly owner?: readonly [uid: number, gid: number];
        readonly mtimeNs: bigint;
        readonly size: number;
        readonly extents: readonly number[];
      }
    /** Appends to it; a run of zeros may be left out with `skip` (bytes of hole before the data). */
    | { readonly op: "append"; readonly slot: Slot; readonly skip?: number; readonly data: Uint8Array }
    /**
     * ioctl(2) on `path`, which is opened for it with `flags` (O_*). The answer carries the argument as the call left it; where the argument is
     * empty, none is passed and the answer is what the call returned (i32). `argument` has at least the size that `request` has in it.
     * `shell` says the same as a command.
     */
    | {
        readonly op: "ioctl";
        readonly path: string;
        readonly flags: number;
        readonly request: number | bigint;
        readonly argument: Uint8Array;
        /** Where the argument names descriptors. */
        readonly patches?: readonly SlotPatch[];
        readonly shell?: string;
      }
    /**
     * From now on each path of a file operation is resolved inside the present root by openat2(2), with no way out through the links of a
     * /proc: a container that runs there can't lead the worker astray. What the last component names is never followed.
     */
    | { readonly op: "jail" }
    /** Begins to walk the tree at `path`; one walk at a time. `executor/tree-reader.ts` reads it. */
    | {
        readonly op: "openScan";
        readonly path: string;
        /** Folders of other file systems are told of, but not entered. */
        readonly oneFileSystem?: boolean;
        readonly xattrs?: boolean;
        /** A link at `path` is followed; of what isn't a folder then only what stat(2) tells. */
        readonly follow?: boolean;
        /** Tells of `path` itself alone. */
        readonly selfOnly?: boolean;
      }
    /** The next page of the walk, of about `maxBytes`; empty at its end. */
    | { readonly op: "scan"; readonly maxBytes: number }
    /** Reads a whole ordinary file of at most `maxBytes`. The answer begins with an errno (u32), which is no failure of the operation. */
    | { readonly op: "readRegular"; readonly path: string; readonly maxBytes: number }
    /** Opens an ordinary file to be read; ENXIO for anything else, which is never opened. */
    | { readonly op: "openRegular"; readonly slot: Slot; readonly path: string }
    /** Content from `offset` on; less than `maxBytes` only at the file's end. */
    | { readonly op: "readSlot"; readonly slot: Slot; readonly offset: number; readonly maxBytes: number }
    /** Where data lies from `offset` on: pairs of offset and length (u64), at most `maxCount`. */
    | { readonly op: "dataExtents"; readonly slot: Slot; readonly offset: number; readonly maxCount: number }
    /** quotactl_fd(2) on the file system of `path` (Linux 5.14); the answer carries the argument as the call left it. `command` is QCMD(). */
    | {
        readonly op: "quotactl";
        readonly path: string;
        readonly command: number;
        readonly id: number;
        readonly argument: Uint8Array;
      }
  ) &
    Tolerance;

export type OpName = Op["op"];

/** One part's share of a container's program: `host` before the clone, `child` in the new namespaces, `teardown` after the end. */
export interface Steps {
  readonly host: readonly Op[];
  readonly child: readonly Op[];
  readonly teardown: readonly Op[];
}

/** A whole program: what the monitor performs for one container or one exec. */
export type Program = Steps;

export const noSteps: Steps = { host: [], child: [], teardown: [] };

/** What the monitor leaves in its record file and says in its `exited` message. */
export interface ExitRecord {
  /** Exit status as a shell has it: 0 to 255, 128 + n for signal n. */
  readonly status: number;
  /** The signal that ended it, 0 for none. */
  readonly signal: number;
  readonly finishedAtNs: bigint;
  /** Kills by the memory limit, and the highest use in bytes; 0 where unknown. */
  readonly oomKills: number;
  readonly memoryPeakBytes: number;
}
