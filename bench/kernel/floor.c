/* floor.c - what the kernel itself takes for one complete container: the yardstick of `npm run bench`.
 *
 *   floor DIRECTORY          one container for each line on stdin, answered by a line with its nanoseconds
 *   floor DIRECTORY N JOBS   N containers, JOBS at a time; prints containers per second
 *
 * DIRECTORY holds lower1 to lower5 (lower1 with a static `/bin/true`), and gets an upper and a work directory a container.
 * A container is what an engine makes of one on a bridge network: overlay of five layers, all namespaces, a veth pair with address and
 * route, cgroups with limits, Docker's mounts, masked and read-only paths, pivot_root, capabilities, a seccomp filter, exec, exit, and the removal
 * of its cgroups and directories. One clone(CLONE_VM|CLONE_VFORK), no handshake, no policy: no engine can be faster in the same way.
 * All of it happens in private mount and network namespaces; the bridge is in there too. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/seccomp.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NETWORK 0x0ad20000u /* 10.210.0.0/16, seen by nobody else */
enum { BRIDGE_INDEX_UNKNOWN = 0 };

static const char *directory;
static int host_netlink, bridge_index = BRIDGE_INDEX_UNKNOWN;
static const char *group_roots[8];
static int group_count, groups_are_v2;
static unsigned serial;

/* What the child needs: it shares the parent's memory until it execs. */
static struct {
    char upper[256], work[256], merged[256], host_link[IFNAMSIZ];
    int tasks[8];
    uint32_t address;
    const char *failed;
    int error;
} job;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void fail(const char *what) {
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- netlink ---- */
struct batch {
    char bytes[1024];
    uint32_t length;
    struct nlmsghdr *last;
};

static void add_message(struct batch *b, uint16_t type, uint16_t flags, const void *body, size_t size) {
    b->last = (struct nlmsghdr *)(b->bytes + b->length);
    *b->last = (struct nlmsghdr){.nlmsg_len = NLMSG_LENGTH(size), .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | flags};
    memcpy(NLMSG_DATA(b->last), body, size);
    b->length += NLMSG_ALIGN(b->last->nlmsg_len);
}

static struct rtattr *add_attribute(struct batch *b, uint16_t type, const void *data, size_t size) {
    struct rtattr *a = (struct rtattr *)(b->bytes + b->length);
    a->rta_type = type;
    a->rta_len = (uint16_t)RTA_LENGTH(size);
    if (data) memcpy(RTA_DATA(a), data, size);
    b->length += RTA_ALIGN(a->rta_len);
    b->last->nlmsg_len = (uint32_t)(b->bytes + b->length - (char *)b->last);
    return a;
}

static void end_nested(struct batch *b, struct rtattr *a) { a->rta_len = (uint16_t)(b->bytes + b->length - (char *)a); }

static int send_batch(int fd, struct batch *b) {
    char answer[4096];
    b->last->nlmsg_flags |= NLM_F_ACK;
    if (send(fd, b->bytes, b->length, 0) < 0) return -1;
    int n = (int)recv(fd, answer, sizeof answer, 0);
    for (struct nlmsghdr *h = (struct nlmsghdr *)answer; n > 0 && NLMSG_OK(h, (unsigned)n); h = NLMSG_NEXT(h, n)) {
        int e = h->nlmsg_type == NLMSG_ERROR ? ((struct nlmsgerr *)NLMSG_DATA(h))->error : 0;
        if (e) return errno = -e, -1;
    }
    return n < 0 ? -1 : 0;
}

static void add_up(struct batch *b, int index) {
    struct ifinfomsg m = {.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    add_message(b, RTM_NEWLINK, 0, &m, sizeof m);
}

static void add_address(struct batch *b, int index, uint32_t address) {
    struct ifaddrmsg m = {.ifa_family = AF_INET, .ifa_prefixlen = 16, .ifa_index = (unsigned)index};
    uint32_t wire = __builtin_bswap32(address);
    add_message(b, RTM_NEWADDR, NLM_F_CREATE, &m, sizeof m);
    add_attribute(b, IFA_LOCAL, &wire, 4);
    add_attribute(b, IFA_ADDRESS, &wire, 4);
}

static int connect_child(void) {
    int ns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), inside = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    struct batch pair = {.length = 0}, setup = {.length = 0};
    struct ifinfomsg up = {.ifi_flags = IFF_UP, .ifi_change = IFF_UP}, peer = {.ifi_index = 2};
    add_message(&pair, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &up, sizeof up);
    add_attribute(&pair, IFLA_IFNAME, job.host_link, strlen(job.host_link) + 1);
    add_attribute(&pair, IFLA_MASTER, &bridge_index, 4);
    struct rtattr *info = add_attribute(&pair, IFLA_LINKINFO, 0, 0);
    add_attribute(&pair, IFLA_INFO_KIND, "veth", 4);
    struct rtattr *data = add_attribute(&pair, IFLA_INFO_DATA, 0, 0), *other = add_attribute(&pair, VETH_INFO_PEER, &peer, sizeof peer);
    add_attribute(&pair, IFLA_IFNAME, "eth0", 5);
    add_attribute(&pair, IFLA_NET_NS_FD, &ns, 4);
    end_nested(&pair, other), end_nested(&pair, data), end_nested(&pair, info);
    if (send_batch(host_netlink, &pair)) return -1;
    add_up(&setup, 1), add_up(&setup, 2), add_address(&setup, 2, job.address);
    struct rtmsg route = {.rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT, .rtm_type = RTN_UNICAST};
    uint32_t gateway = __builtin_bswap32(NETWORK + 1);
    add_message(&setup, RTM_NEWROUTE, NLM_F_CREATE, &route, sizeof route);
    add_attribute(&setup, RTA_GATEWAY, &gateway, 4);
    int result = send_batch(inside, &setup);
    close(inside), close(ns);
    return result;
}

static void make_bridge(void) {
    struct batch b = {.length = 0};
    struct ifinfomsg m = {.ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    host_netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    add_message(&b, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &m, sizeof m);
    add_attribute(&b, IFLA_IFNAME, "floor0", 7);
    struct rtattr *info = add_attribute(&b, IFLA_LINKINFO, 0, 0);
    add_attribute(&b, IFLA_INFO_KIND, "bridge", 6);
    end_nested(&b, info);
    if (send_batch(host_netlink, &b)) fail("bridge");
    bridge_index = (int)if_nametoindex("floor0");
    struct batch a = {.length = 0};
    add_address(&a, bridge_index, NETWORK + 1);
    if (send_batch(host_netlink, &a)) fail("bridge address");
}

/* ---- cgroups ---- */
static int write_text(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t n = write(fd, text, strlen(text));
    close(fd);
    return n < 0 ? -1 : 0;
}

static void group_path(char *out, int group, const char *file) { snprintf(out, 256, "%s/onggi-floor/%d-%u%s", group_roots[group], getpid(), serial, file); }

static void make_groups(void) {
    static const char *const v1[][2] = {{"/cpu.cfs_quota_us", "150000"}, {"/memory.limit_in_bytes", "268435456"}, {"/pids.max", "512"}, {0, 0}};
    static const char *const v2[][2] = {{"/cpu.max", "150000 100000"}, {"/memory.max", "268435456"}, {"/pids.max", "512"}};
    char path[256];
    for (int g = 0; g < group_count; g++) {
        group_path(path, g, "");
        if (mkdir(path, 0755)) fail(path);
        for (int k = groups_are_v2 ? 0 : g; k < (groups_are_v2 ? 3 : g + 1); k++) {
            const char *const *set = groups_are_v2 ? v2[k] : v1[k];
            if (!set[0]) continue;
            group_path(path, g, set[0]);
            if (write_text(path, set[1])) fail(path);
        }
        group_path(path, g, groups_are_v2 ? "/cgroup.procs" : "/tasks");
        if ((job.tasks[g] = open(path, O_WRONLY | O_CLOEXEC)) < 0) fail(path);
    }
}

static void remove_groups(void) {
    char path[256];
    for (int g = 0; g < group_count; g++) {
        group_path(path, g, "");
        while (rmdir(path) && errno == EBUSY) usleep(100);
    }
}

static void find_groups(void) {
    static const char *const v1[] = {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/cpuacct"};
    char path[256];
    if (access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0) {
        groups_are_v2 = 1;
        group_roots[group_count++] = "/sys/fs/cgroup";
        write_text("/sys/fs/cgroup/cgroup.subtree_control", "+cpu +memory +pids");
    } else {
        for (int i = 0; i < 4; i++)
            if (access(v1[i], F_OK) == 0) group_roots[group_count++] = v1[i];
    }
    for (int g = 0; g < group_count; g++) {
        snprintf(path, sizeof path, "%s/onggi-floor", group_roots[g]);
        if (mkdir(path, 0755) && errno != EEXIST) fail(path);
    }
    if (groups_are_v2) write_text("/sys/fs/cgroup/onggi-floor/cgroup.subtree_control", "+cpu +memory +pids");
}

static void drop_groups(void) {
    char path[256];
    for (int g = 0; g < group_count; g++) {
        snprintf(path, sizeof path, "%s/onggi-floor", group_roots[g]);
        rmdir(path);
    }
}

/* ---- the container ---- */
static int mount_root(void) {
    char options[2048];
    snprintf(options, sizeof options, "lowerdir=%s/lower5:%s/lower4:%s/lower3:%s/lower2:%s/lower1,upperdir=%s,workdir=%s", directory, directory, directory, directory,
             directory, job.upper, job.work);
    return mount("overlay", job.merged, "overlay", 0, options) || chdir(job.merged);
}

static int mount_system(void) {
    static const struct {
        const char *name;
        unsigned major, minor;
    } nodes[] = {{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};
    static const char *const links[][2] = {{"/proc/self/fd", "dev/fd"}, {"/proc/self/fd/0", "dev/stdin"}, {"/proc/self/fd/1", "dev/stdout"}, {"/proc/self/fd/2", "dev/stderr"}, {"pts/ptmx", "dev/ptmx"}};
    const unsigned long quiet = MS_NOSUID | MS_NOEXEC;
    char path[64];
    if (mount("proc", "proc", "proc", quiet | MS_NODEV, 0) || mount("tmpfs", "dev", "tmpfs", MS_NOSUID, "mode=755,size=64m")) return -1;
    for (unsigned i = 0; i < sizeof nodes / sizeof *nodes; i++) {
        snprintf(path, sizeof path, "dev/%s", nodes[i].name);
        if (mknod(path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor))) return -1;
    }
    for (unsigned i = 0; i < sizeof links / sizeof *links; i++)
        if (symlink(links[i][0], links[i][1])) return -1;
    if (mkdir("dev/pts", 0755) || mkdir("dev/shm", 01777) || mkdir("dev/mqueue", 0755)) return -1;
    return mount("devpts", "dev/pts", "devpts", quiet, "newinstance,ptmxmode=0666,mode=0620") || mount("shm", "dev/shm", "tmpfs", quiet | MS_NODEV, "mode=1777,size=64m") ||
           mount("mqueue", "dev/mqueue", "mqueue", quiet | MS_NODEV, 0) || mount("sysfs", "sys", "sysfs", quiet | MS_NODEV | MS_RDONLY, 0);
}

static int hide_paths(void) {
    static const char *const hidden[] = {"proc/acpi", "proc/asound", "proc/interrupts", "proc/kcore", "proc/keys", "proc/latency_stats", "proc/timer_list", "proc/sched_debug", "proc/scsi", "sys/firmware"};
    static const char *const fixed[] = {"proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"};
    for (unsigned i = 0; i < sizeof hidden / sizeof *hidden; i++)
        if (mount("dev/null", hidden[i], 0, MS_BIND, 0) && errno == ENOTDIR) mount("tmpfs", hidden[i], "tmpfs", MS_RDONLY, "size=0");
    for (unsigned i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (mount(fixed[i], fixed[i], 0, MS_BIND | MS_REC, 0) == 0 && mount(0, fixed[i], 0, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, 0)) return -1;
    return 0;
}

static int drop_rights(void) {
    const uint32_t keep = 0xa80425fb; /* Docker's fourteen */
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[2] = {{keep, keep, 0}, {0, 0, 0}};
    for (int c = 0; c < 41; c++)
        if (c > 31 || !(keep >> c & 1)) prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
    /* A filter as long as a compiled allow-list: 130 range borders, each one comparison on the way. */
    struct sock_filter f[300];
    unsigned short n = 0;
    f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (unsigned i = 0; i < 130; i++) {
        f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1000 + i, 0, 1);
        f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    }
    f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog filter = {n, f};
    return syscall(SYS_capset, &header, sets) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter);
}

#define STEP(expression)                                    \
    do {                                                    \
        if (expression) {                                   \
            job.failed = #expression, job.error = errno;    \
            _exit(111);                                     \
        }                                                   \
    } while (0)

static int join_groups(void) {
    for (int g = 0; g < group_count; g++)
        if (write(job.tasks[g], "0", 1) != 1) return -1;
    return 0;
}

static int child(void *unused) {
    (void)unused;
    char *const argv[] = {"true", 0}, *const env[] = {"PATH=/bin", 0};
    STEP(join_groups());
    STEP(unshare(CLONE_NEWCGROUP));
    STEP(sethostname("floor", 5));
    STEP(unshare(CLONE_NEWNET));
    STEP(connect_child());
    STEP(mount_root());
    STEP(mount_system());
    STEP(hide_paths());
    STEP(syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/"));
    STEP(drop_rights());
    STEP(execve("/bin/true", argv, env));
    return 0;
}

static uint64_t one_container(void) {
    static char stack[65536] __attribute__((aligned(16)));
    char path[300];
    int status;
    uint64_t start = now_ns();
    serial++;
    snprintf(job.upper, sizeof job.upper, "%s/u%d-%u", directory, getpid(), serial);
    snprintf(job.work, sizeof job.work, "%s/w%d-%u", directory, getpid(), serial);
    snprintf(job.host_link, sizeof job.host_link, "f%d-%u", getpid() % 100000, serial % 100000);
    job.address = NETWORK + 2 + ((unsigned)getpid() * 1000 + serial) % 60000;
    if (mkdir(job.upper, 0755) || mkdir(job.work, 0755)) fail(job.upper);
    make_groups();
    int pid = clone(child, stack + sizeof stack, CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_VM | CLONE_VFORK | SIGCHLD, 0);
    if (pid < 0) fail("clone");
    for (int g = 0; g < group_count; g++) close(job.tasks[g]);
    if (waitpid(pid, &status, 0) != pid) fail("waitpid");
    if (status != 0) errno = job.error, fail(job.failed ? job.failed : "the container's /bin/true");
    remove_groups();
    rmdir(job.upper);
    snprintf(path, sizeof path, "%s/work", job.work);
    rmdir(path);
    snprintf(path, sizeof path, "%s/index", job.work);
    rmdir(path);
    rmdir(job.work);
    return now_ns() - start;
}

int main(int argc, char **argv) {
    if (argc != 2 && argc != 4) return fputs("usage: floor DIRECTORY [COUNT JOBS]\n", stderr), 2;
    directory = argv[1];
    snprintf(job.merged, sizeof job.merged, "%s/merged", directory);
    mkdir(job.merged, 0755);
    find_groups();
    if (unshare(CLONE_NEWNS | CLONE_NEWNET) || mount(0, "/", 0, MS_REC | MS_PRIVATE, 0)) fail("unshare");
    make_bridge();
    if (argc == 2) {
        char line[16];
        while (fgets(line, sizeof line, stdin)) printf("%llu\n", (unsigned long long)one_container()), fflush(stdout);
    } else {
        int count = atoi(argv[2]), jobs = atoi(argv[3]);
        uint64_t start = now_ns();
        for (int j = 0; j < jobs; j++)
            if (fork() == 0) {
                host_netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
                for (int i = j; i < count; i += jobs) one_container();
                _exit(0);
            }
        int status, failed = 0;
        while (wait(&status) > 0) failed |= status;
        if (failed) return 1;
        printf("%.1f\n", count / ((double)(now_ns() - start) / 1e9));
    }
    drop_groups();
    return 0;
}
