/* The relay of the benchmarks: an SMTP server that takes every message and throws it away.
 *
 *     sink PORT
 *
 * It stands where sendmail stands, offers what sendmail offers, and costs so little that the program in front of it is
 * what is measured: one thread, epoll, nothing kept of a message but its end. It listens on 127.0.0.1 and ends on
 * SIGTERM. The command XCOUNT, which is no part of SMTP, answers with the number of messages taken so far.
 */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINE = 2048, REPLIES = 8192, EVENTS = 64 };

static const char greeting[] = "220 sink.example ESMTP\r\n";
static const char capabilities[] =
    "250-sink.example\r\n250-ENHANCEDSTATUSCODES\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE\r\n250-DSN\r\n250 HELP\r\n";
static const char end_of_data[] = "\r\n.\r\n";

struct session {
    int fd;
    int in_message;
    size_t matched;             /* octets of end_of_data that the message's last octets are */
    size_t line_length;
    size_t reply_length;
    char line[LINE];            /* a command whose end has not come yet */
    char replies[REPLIES];      /* to everything that came in one packet */
};

static unsigned long messages;
static char input[1 << 18];     /* what was just read, of whichever session */

static void answer(struct session *session, const char *text) {
    size_t length = strlen(text);
    if (session->reply_length + length > REPLIES) return;  /* a client that sends so much at once is none of ours */
    memcpy(session->replies + session->reply_length, text, length);
    session->reply_length += length;
}

/* Answers one command; returns whether the connection is to be closed. */
static int obey(struct session *session) {
    const char *line = session->line;
    if (!strncasecmp(line, "EHLO", 4)) answer(session, capabilities);
    else if (!strncasecmp(line, "MAIL", 4)) answer(session, "250 2.1.0 Sender ok\r\n");
    else if (!strncasecmp(line, "RCPT", 4)) answer(session, "250 2.1.5 Recipient ok\r\n");
    else if (!strncasecmp(line, "DATA", 4)) {
        session->in_message = 1;
        session->matched = 2;   /* the command's own CRLF: a lone dot may be the first line */
        answer(session, "354 Go ahead\r\n");
    } else if (!strncasecmp(line, "QUIT", 4)) {
        answer(session, "221 2.0.0 Bye\r\n");
        return 1;
    } else if (!strncasecmp(line, "XCOUNT", 6)) {
        char text[64];
        snprintf(text, sizeof text, "250 %lu\r\n", messages);
        answer(session, text);
    } else answer(session, "250 2.0.0 Ok\r\n");
    return 0;
}

/* Looks for the end of the message in what was read; returns how much of it belongs to the message. */
static size_t swallow(struct session *session, const char *octets, size_t count) {
    size_t i = 0;
    while (i < count) {
        if (session->matched == 0) {
            const char *found = memchr(octets + i, '\r', count - i);
            if (!found) return count;
            i = (size_t)(found - octets);
        }
        char octet = octets[i++];
        if (octet == end_of_data[session->matched]) session->matched++;
        else session->matched = octet == '\r';
        if (session->matched == sizeof end_of_data - 1) {
            messages++;
            session->in_message = 0;
            answer(session, "250 2.0.0 Message accepted for delivery\r\n");
            return i;
        }
    }
    return count;
}

/* Takes what was read; returns whether the connection is to be closed. */
static int take(struct session *session, const char *octets, size_t count) {
    while (count) {
        size_t used;
        if (session->in_message) used = swallow(session, octets, count);
        else {
            const char *newline = memchr(octets, '\n', count);
            used = newline ? (size_t)(newline - octets) + 1 : count;
            if (session->line_length + used >= LINE) return 1;
            memcpy(session->line + session->line_length, octets, used);
            session->line_length += used;
            session->line[session->line_length] = 0;
            if (newline) {
                session->line_length = 0;
                if (obey(session)) return 1;
            }
        }
        octets += used;
        count -= used;
    }
    return 0;
}

static void welcome(int epoll, int listener) {
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct session *session = calloc(1, sizeof *session);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = session};
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        session->fd = fd;
        if (write(fd, greeting, sizeof greeting - 1) < 0) perror("sink: write");
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

static void serve(struct session *session) {
    ssize_t count = read(session->fd, input, sizeof input);
    int ends = count <= 0 || take(session, input, (size_t)count);
    if (session->reply_length && write(session->fd, session->replies, session->reply_length) < 0) ends = 1;
    session->reply_length = 0;
    if (ends) {
        close(session->fd);
        free(session);
    }
}

int main(int argc, char **argv) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event events[EVENTS], event = {.events = EPOLLIN, .data.ptr = NULL};
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), epoll = epoll_create1(0);
    if (argc != 2 || atoi(argv[1]) <= 0) return fputs("usage: sink PORT\n", stderr), 2;
    address.sin_port = htons((unsigned short)atoi(argv[1]));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096))
        return perror("sink"), 1;
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++)
            if (events[i].data.ptr) serve(events[i].data.ptr);
            else welcome(epoll, listener);
    }
}
