/* netsw: a switch between network namespaces, for the drill.
 *
 *     netsw SOCKET NAME=/proc/PID/ns/net …
 *
 * It makes a TAP device eth0 in each namespace and carries frames between them, each pair with a delay and a
 * loss of its own (a kernel without netem can do neither). Port number i, from 1, has the MAC address
 * 02:00:00:00:00:i; a frame goes to the port that its destination names, and one for nobody is dropped, so
 * neighbours are static. A cut is silent: no reset, no ICMP. It says "ready" once the devices exist and ends
 * with its standard input.
 *
 * SOCKET is a unix SOCK_SEQPACKET; one command a packet, the answer is "ok", text, or "error: …":
 *     delay US | delay A B US      one way, microseconds; at first 500
 *     loss PERCENT | loss A B PERCENT
 *     cut A | cut A B              heal A | heal A B           nothing passes; what is under way is lost
 *     freeze A                     thaw A                      frames wait (QUEUE_FRAMES_MAX for each pair)
 * and then go on stats                        a line for each port: name, frames and bytes sent by it, frames
 * lost
 *
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <linux/virtio_net.h>

enum {
    PORTS_MAX = 16,
    NAME_BYTES_MAX = 16,
    FRAME_BYTES_MAX = sizeof(struct virtio_net_hdr) + 65536 + 64,
    QUEUE_FRAMES_MAX = 16384, /* for each pair; beyond it frames are lost, as in a real switch */
    ROUND_FRAMES_MAX = 64,    /* read from one port before the others have their turn */
    TEXT_BYTES_MAX = 2048,
    DELAY_US = 500,
    DELAY_US_MAX = 10 * 1000 * 1000,
};

struct frame {
    struct frame *next;
    int64_t due_ns;
    size_t bytes;
    unsigned char data[]; /* virtio_net_hdr, then Ethernet */
};

/* One direction of a pair. */
struct lane {
    struct frame *head, **tail;
    int count;
    int64_t delay_ns, last_due_ns;
    uint32_t loss; /* of 2^32 */
    bool cut;
};

struct port {
    char name[NAME_BYTES_MAX];
    int fd;
    bool cut, frozen;
    uint64_t frames, bytes, lost;
};

static struct port ports[PORTS_MAX];
static int port_count;
static struct lane lanes[PORTS_MAX][PORTS_MAX];
static int epoll_fd, control_fd;
static uint64_t dice = 0x9e3779b97f4a7c15;

static __attribute__((noreturn, format(printf, 1, 2))) void fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("netsw: ", stderr);
    vfprintf(stderr, format, args);
    fprintf(stderr, ": %s\n", strerror(errno));
    va_end(args);
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static uint32_t dice_roll(void)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return (uint32_t)(dice >> 32);
}

/* ---- lanes ---- */

static void lane_empty(struct lane *l)
{
    for (struct frame *f = l->head, *next; f; f = next) {
        next = f->next;
        free(f);
    }
    l->head = NULL;
    l->tail = &l->head;
    l->count = 0;
}

static void lane_put(struct lane *l, const unsigned char *data, size_t bytes, int64_t now)
{
    struct frame *f = malloc(sizeof *f + bytes);

    if (!f)
        fail("no memory");
    f->next = NULL;
    f->due_ns = now + l->delay_ns;
    if (f->due_ns < l->last_due_ns) /* a shorter delay does not overtake */
        f->due_ns = l->last_due_ns;
    l->last_due_ns = f->due_ns;
    f->bytes = bytes;
    memcpy(f->data, data, bytes);
    *l->tail = f;
    l->tail = &f->next;
    l->count++;
}

static bool lane_waits(int from, int to)
{
    return ports[from].frozen || ports[to].frozen;
}

/* Hands over what is due; returns when the next one is, or INT64_MAX. */
static int64_t lane_deliver(int from, int to, int64_t now)
{
    struct lane *l = &lanes[from][to];

    if (!l->head || lane_waits(from, to))
        return INT64_MAX;
    while (l->head && l->head->due_ns <= now) {
        struct frame *f = l->head;
        if (write(ports[to].fd, f->data, f->bytes) < 0)
            ports[from].lost++;
        l->head = f->next;
        if (!l->head)
            l->tail = &l->head;
        l->count--;
        free(f);
    }
    return l->head ? l->head->due_ns : INT64_MAX;
}

static int64_t deliver_all(int64_t now)
{
    int64_t next = INT64_MAX;

    for (int from = 0; from < port_count; from++) {
        for (int to = 0; to < port_count; to++) {
            int64_t due = lane_deliver(from, to, now);
            next = due < next ? due : next;
        }
    }
    return next;
}

/* ---- ports ---- */

/* Segments and checksums may stay undone while nothing is lost, which saves most of the frames; a loss is one
 * of real packets. */
static void ports_offload(bool on)
{
    unsigned flags = on ? TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 : 0;

    for (int i = 0; i < port_count; i++)
        if (ioctl(ports[i].fd, TUNSETOFFLOAD, flags))
            fail("could not set offload of %s", ports[i].name);
}

static void port_up(const char *device, int number)
{
    struct ifreq r = {0};
    unsigned char mac[6] = {2, 0, 0, 0, 0, (unsigned char)number};
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", device);
    r.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    memcpy(r.ifr_hwaddr.sa_data, mac, sizeof mac);
    if (s < 0 || ioctl(s, SIOCSIFHWADDR, &r))
        fail("could not set the address of %s", device);
    r.ifr_flags = IFF_UP | IFF_RUNNING;
    if (ioctl(s, SIOCSIFFLAGS, &r))
        fail("could not switch %s on", device);
    close(s);
}

static void port_open(struct port *p, const char *argument, int number)
{
    const char *equals = strchr(argument, '=');
    struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    int ns;

    if (!equals || equals == argument || equals - argument >= NAME_BYTES_MAX) {
        errno = EINVAL;
        fail("\"%s\" is not NAME=NAMESPACE", argument);
    }
    memcpy(p->name, argument, (size_t)(equals - argument));
    ns = open(equals + 1, O_RDONLY | O_CLOEXEC);
    if (ns < 0 || setns(ns, CLONE_NEWNET))
        fail("could not enter %s", equals + 1);
    close(ns);
    p->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (p->fd < 0)
        fail("could not open /dev/net/tun");
    snprintf(r.ifr_name, sizeof r.ifr_name, "eth0");
    if (ioctl(p->fd, TUNSETIFF, &r))
        fail("could not make a device for %s", p->name);
    port_up("eth0", number);
}

static bool frame_is_lost(int from, int to)
{
    const struct lane *l = &lanes[from][to];

    return l->cut || ports[from].cut || ports[to].cut || l->count >= QUEUE_FRAMES_MAX ||
           (l->loss && dice_roll() < l->loss);
}

static int port_of_mac(const unsigned char *mac)
{
    static const unsigned char ours[5] = {2, 0, 0, 0, 0};

    return memcmp(mac, ours, sizeof ours) == 0 && mac[5] >= 1 && mac[5] <= port_count ? mac[5] - 1 : -1;
}

static void port_read(int from, int64_t now)
{
    static unsigned char data[FRAME_BYTES_MAX];
    struct port *p = &ports[from];

    for (int i = 0; i < ROUND_FRAMES_MAX; i++) {
        ssize_t n = read(p->fd, data, sizeof data);
        if (n < (ssize_t)sizeof(struct virtio_net_hdr) + 14)
            return;
        int to = port_of_mac(data + sizeof(struct virtio_net_hdr));
        if (to < 0 || to == from)
            continue;
        p->frames++;
        p->bytes += (uint64_t)n;
        if (frame_is_lost(from, to))
            p->lost++;
        else
            lane_put(&lanes[from][to], data, (size_t)n, now);
    }
}

/* ---- commands ---- */

static int port_named(const char *name)
{
    for (int i = 0; i < port_count; i++)
        if (name && strcmp(ports[i].name, name) == 0)
            return i;
    return -1;
}

static bool number_read(const char *text, double max, double *out)
{
    char *end;

    *out = text ? strtod(text, &end) : -1;
    return text && end != text && !*end && *out >= 0 && *out <= max;
}

static void lane_set(struct lane *l, const char *what, double value)
{
    if (strcmp(what, "delay") == 0)
        l->delay_ns = (int64_t)(value * 1000);
    else
        l->loss = (uint32_t)(value / 100 * UINT32_MAX);
}

static bool loss_anywhere(void)
{
    for (int a = 0; a < port_count; a++)
        for (int b = 0; b < port_count; b++)
            if (lanes[a][b].loss)
                return true;
    return false;
}

/* delay or loss: of all pairs, or of one, both ways. */
static const char *command_measure(const char *what, char *words[3])
{
    bool one = words[1];
    int a = port_named(words[0]), b = port_named(words[1]);
    double value;

    if (!number_read(words[one ? 2 : 0], strcmp(what, "loss") == 0 ? 100 : DELAY_US_MAX, &value))
        return "error: that is no number in range";
    if (one && (a < 0 || b < 0))
        return "error: no such port";
    for (int i = 0; i < port_count; i++)
        for (int j = 0; j < port_count; j++)
            if (!one || (i == a && j == b) || (i == b && j == a))
                lane_set(&lanes[i][j], what, value);
    ports_offload(!loss_anywhere());
    return "ok";
}

static const char *command_cut(bool cut, char *words[3])
{
    int a = port_named(words[0]), b = port_named(words[1]);

    if (a < 0 || (words[1] && b < 0))
        return "error: no such port";
    if (!words[1])
        ports[a].cut = cut;
    else
        lanes[a][b].cut = lanes[b][a].cut = cut;
    for (int i = 0; cut && i < port_count; i++) {
        if (!words[1] || i == b) {
            lane_empty(&lanes[a][i]);
            lane_empty(&lanes[i][a]);
        }
    }
    return "ok";
}

static const char *command_freeze(bool frozen, char *words[3])
{
    int a = port_named(words[0]);

    if (a < 0)
        return "error: no such port";
    ports[a].frozen = frozen;
    return "ok";
}

static const char *command_stats(void)
{
    static char text[TEXT_BYTES_MAX];
    size_t n = 0;

    for (int i = 0; i < port_count; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s %llu %llu %llu\n", ports[i].name,
                              (unsigned long long)ports[i].frames, (unsigned long long)ports[i].bytes,
                              (unsigned long long)ports[i].lost);
    return text;
}

static const char *command_run(char *line)
{
    char *save, *what = strtok_r(line, " \n", &save), *words[3] = {0};

    for (int i = 0; i < 3; i++)
        words[i] = strtok_r(NULL, " \n", &save);
    if (!what)
        return "error: no command";
    if (strcmp(what, "delay") == 0 || strcmp(what, "loss") == 0)
        return command_measure(what, words);
    if (strcmp(what, "cut") == 0 || strcmp(what, "heal") == 0)
        return command_cut(*what == 'c', words);
    if (strcmp(what, "freeze") == 0 || strcmp(what, "thaw") == 0)
        return command_freeze(*what == 'f', words);
    if (strcmp(what, "stats") == 0)
        return command_stats();
    return "error: no such command";
}

static void control_read(int fd)
{
    char line[TEXT_BYTES_MAX];
    ssize_t n = read(fd, line, sizeof line - 1);
    const char *answer;

    if (n <= 0) {
        close(fd);
        return;
    }
    line[n] = 0;
    answer = command_run(line);
    if (send(fd, answer, strlen(answer), MSG_NOSIGNAL) < 0)
        close(fd);
}

/* ---- life ---- */

static void watch(int fd, int port)
{
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = (uint64_t)(uint32_t)fd << 32 | (uint32_t)port};

    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e))
        fail("could not watch a file");
}

static void control_open(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    unlink(path);
    control_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    umask(0077);
    if (control_fd < 0 || bind(control_fd, (struct sockaddr *)&a, sizeof a) || listen(control_fd, 8))
        fail("could not listen on %s", path);
}

static void event(const struct epoll_event *e, int64_t now)
{
    int fd = (int)(e->data.u64 >> 32), port = (int)(e->data.u64 & 0xffffffff);

    if (port < port_count) {
        port_read(port, now);
    } else if (fd == control_fd) {
        int client = accept4(control_fd, NULL, NULL, SOCK_CLOEXEC);
        if (client >= 0)
            watch(client, PORTS_MAX);
    } else if (fd == STDIN_FILENO) {
        char byte;
        if (read(fd, &byte, 1) <= 0)
            exit(0);
    } else {
        control_read(fd);
    }
}

static void run(void)
{
    int64_t next = INT64_MAX;

    for (;;) {
        struct epoll_event events[32];
        int64_t wait = next - now_ns();
        struct timespec t = {wait > 0 ? wait / 1000000000 : 0, wait > 0 ? wait % 1000000000 : 0};
        int n = epoll_pwait2(epoll_fd, events, 32, next == INT64_MAX ? NULL : &t, NULL);
        int64_t now = now_ns();
        for (int i = 0; i < n; i++)
            event(&events[i], now);
        next = deliver_all(now_ns());
    }
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc - 2 > PORTS_MAX) {
        fprintf(stderr, "usage: netsw SOCKET NAME=/proc/PID/ns/net … (at most %d)\n", PORTS_MAX);
        return 2;
    }
    prctl(PR_SET_TIMERSLACK, 5000);
    signal(SIGPIPE, SIG_IGN);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    control_open(argv[1]);
    for (int i = 0; i < argc - 2; i++)
        port_open(&ports[i], argv[i + 2], i + 1);
    port_count = argc - 2;
    for (int i = 0; i < port_count; i++) {
        for (int j = 0; j < port_count; j++) {
            lanes[i][j].delay_ns = DELAY_US * 1000;
            lane_empty(&lanes[i][j]);
        }
        watch(ports[i].fd, i);
    }
    ports_offload(true);
    watch(control_fd, PORTS_MAX);
    watch(STDIN_FILENO, PORTS_MAX);
    puts("ready");
    fflush(stdout);
    run();
}
