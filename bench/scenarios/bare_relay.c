/* The floor under every relay: one thread, one epoll set, a recv(2) and a send(2) for each message, and nothing else. It knows
 * no timeouts, no limits and no back-pressure, counts nothing, and loses what does not fit a send buffer: it is there to say
 * what the kernel alone takes for a proxy's work on this machine, and serves nobody.
 *
 *   bare_relay PORT NODE_PORT */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 64, BUFFER = 65536, DESCRIPTORS = 65536 };

static int other[DESCRIPTORS];
static int set;

static struct sockaddr_in local(const char *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static void watch(int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
}

static void open_pair(int client, const struct sockaddr_in *node) {
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    /* On loopback the handshake is over when the call returns. */
    connect(fd, (const struct sockaddr *)node, sizeof *node);
    other[client] = fd;
    other[fd] = client;
    watch(client);
    watch(fd);
}

static void pass_on(int fd) {
    static char buffer[BUFFER];
    /* A pair may have been closed by an event of the same round. */
    if (!other[fd]) return;
    ssize_t got = recv(fd, buffer, sizeof buffer, 0);
    if (got > 0) {
        send(other[fd], buffer, got, MSG_NOSIGNAL);
    } else if (got == 0) {
        int peer = other[fd];
        other[fd] = other[peer] = 0;
        close(fd);
        close(peer);
    }
}

int main(int count, char **words) {
    if (count != 3) return 2;
    struct sockaddr_in here = local(words[1]), node = local(words[2]);
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 4096)) return 1;
    set = epoll_create1(0);
    watch(listener);
    struct epoll_event events[EVENTS];
    for (;;) {
        int ready = epoll_wait(set, events, EVENTS, -1);
        for (int at = 0; at < ready; at++) {
            if (events[at].data.fd != listener) {
                pass_on(events[at].data.fd);
                continue;
            }
            int client = accept4(listener, 0, 0, SOCK_NONBLOCK);
            if (client >= 0 && client < DESCRIPTORS) open_pair(client, &node);
        }
    }
}
