/* The clients of the benchmarks: many at once, in one thread, each of them a mail program that submits messages.
 *
 *     load PORT --connections N [--parallel P] [--messages M] [--size OCTETS] [--login USER PASSWORD] [--pause]
 *
 * Every connection to 127.0.0.1 goes through the same steps: EHLO, STARTTLS, a full handshake, EHLO, AUTH PLAIN, M
 * messages with MAIL, RCPT and DATA in one packet, QUIT. Without --login there is neither TLS nor AUTH: so the sink is
 * spoken to. P connections are open at any time, N in all. The certificate is not checked.
 *
 * With --pause all N are open at once, and nothing happens before the caller says so: "ready" on standard output means
 * that all have logged in and rest; a line on standard input starts the messages. The result follows as a line of
 * JSON; another line of input, or its end, closes the connections. So the caller can look at what a server has spent
 * in between. Times are in microseconds.
 *
 * Anything unexpected ends the program with status 1 and a line on standard error: half a benchmark is none.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { REPLY = 8192, EVENTS = 64, OPENING = 32 /* logins under way at a time, with --pause */,
       PATIENCE = 60000 /* milliseconds */ };

enum step { GREETING, HELLO, STARTTLS, HANDSHAKE, HELLO_AGAIN, AUTH, RESTING, ENVELOPE, CONTENT, QUIT };

/* What is said at each step, and the codes of the replies that it must have. */
static struct { const char *name, *codes; char *text; size_t length; } script[] = {
    [GREETING] = {"greeting", "220", "", 0},
    [HELLO] = {"EHLO", "250", "EHLO load.example\r\n", 0},
    [STARTTLS] = {"STARTTLS", "220", "STARTTLS\r\n", 0},
    [HANDSHAKE] = {"handshake", "", "", 0},
    [HELLO_AGAIN] = {"EHLO in TLS", "250", "EHLO load.example\r\n", 0},
    [AUTH] = {"AUTH", "235", NULL, 0},
    [RESTING] = {"resting", "", "", 0},
    [ENVELOPE] = {"MAIL, RCPT and DATA", "250250354", NULL, 0},
    [CONTENT] = {"the message", "250", NULL, 0},
    [QUIT] = {"QUIT", "221", "QUIT\r\n", 0},
};

struct client {
    int fd;
    SSL *tls;
    enum step step;
    const char *codes;          /* replies still to come in this step */
    const char *out;            /* what is still to be sent */
    size_t out_length;
    size_t held;                /* octets in `in` */
    long messages;              /* sent so far */
    double since;               /* when the present message began */
    char in[REPLY];
};

static int port;
static long connections, parallel = 1, messages = 1, size = 1024;
static int logs_in, pauses;
static long opened, resting, finished, sent;
static double *latencies;
static struct client **rested;   /* all that have logged in */
static int epoll;
static SSL_CTX *context;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static void give_up(const struct client *client, const char *why) {
    if (client) fprintf(stderr, "load: at %s: %s\n", script[client->step].name, why);
    else fprintf(stderr, "load: %s\n", why);
    exit(1);
}

/* --- what is sent ------------------------------------------------------------------------------------------------ */

static char *auth_line(const char *user, const char *password) {
    unsigned char plain[512];
    char *line = calloc(1, 1024);
    int length = snprintf((char *)plain, sizeof plain, "%c%s%c%s", 0, user, 0, password);
    strcpy(line, "AUTH PLAIN ");
    EVP_EncodeBlock((unsigned char *)line + strlen(line), plain, length);
    return strcat(line, "\r\n");
}

/* A message of `size` octets, final dot included, in lines as most mail has them. */
static char *message_text(void) {
    static const char header[] = "From: <load@example.com>\r\nTo: <someone@example.org>\r\nSubject: A message\r\n"
                                 "Date: Sat, 21 Nov 2026 00:00:00 +0000\r\nMessage-ID: <1@load.example>\r\n\r\n";
    static const char end[] = ".\r\n";
    char *text = calloc(1, (size_t)size + sizeof header + sizeof end);
    size_t length = sizeof header - 1, limit = (size_t)size - (sizeof end - 1);
    memcpy(text, header, length);
    while (length + 3 <= limit) {
        size_t width = limit - length - 2;
        if (width > 76) width = 76;
        memset(text + length, 'm', width);
        memcpy(text + length + width, "\r\n", 2);
        length += width + 2;
    }
    return strcat(text + length, end) - length;
}

static void write_script(const char *user, const char *password) {
    static char envelope[512];
    snprintf(envelope, sizeof envelope, "MAIL FROM:<%s>\r\nRCPT TO:<someone@example.org>\r\nDATA\r\n", user);
    script[AUTH].text = auth_line(user, password);
    script[ENVELOPE].text = envelope;
    script[CONTENT].text = message_text();
    for (enum step step = GREETING; step <= QUIT; step++) script[step].length = strlen(script[step].text);
}

/* --- one client -------------------------------------------------------------------------------------------------- */

static void open_client(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct client *client = calloc(1, sizeof *client);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = client};
    int on = 1;
    address.sin_port = htons((unsigned short)port);
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    client->codes = script[GREETING].codes;
    if (client->fd < 0) give_up(client, strerror(errno));
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(client->fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS)
        give_up(client, strerror(errno));
    epoll_ctl(epoll, EPOLL_CTL_ADD, client->fd, &event);
    opened++;
}

static void close_client(struct client *client) {
    if (client->tls) {
        SSL_shutdown(client->tls);
        SSL_free(client->tls);
        ERR_clear_error();
    }
    close(client->fd);
    free(client);
    finished++;
    if (!pauses && opened < connections) open_client();
}

static void begin(struct client *client, enum step step) {
    client->step = step;
    client->codes = script[step].codes;
    client->out = script[step].text;
    client->out_length = script[step].length;
    if (step == ENVELOPE) client->since = now();
    if (step == HANDSHAKE) {
        client->tls = SSL_new(context);
        SSL_set_fd(client->tls, client->fd);
        SSL_set_connect_state(client->tls);
    }
}

static void rest(struct client *client) {
    begin(client, RESTING);
    rested[resting++] = client;
    if (!pauses) begin(client, ENVELOPE);
    else if (opened < connections) open_client();
}

/* Goes on to the next step, the present one's replies being complete; returns 0 where the client is done. */
static int go_on(struct client *client) {
    switch (client->step) {
    case HELLO:
        if (logs_in) begin(client, STARTTLS);
        else rest(client);
        return 1;
    case AUTH:
        rest(client);
        return 1;
    case CONTENT:
        latencies[sent++] = now() - client->since;
        if (++client->messages < messages) begin(client, ENVELOPE);
        else if (pauses) begin(client, RESTING);
        else begin(client, QUIT);
        return 1;
    case QUIT:
        close_client(client);
        return 0;
    default:
        begin(client, client->step + 1);
        return 1;
    }
}

/* Whether an operation that got nowhere is to be tried again when the socket is ready. */
static int must_wait(struct client *client, long result) {
    if (!client->tls) return result < 0 && errno == EAGAIN;
    int error = SSL_get_error(client->tls, (int)result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

/* Each of these returns 1 when it got somewhere, 0 when the socket has to become ready first. */

static int shake_hands(struct client *client) {
    int result = SSL_do_handshake(client->tls);
    if (result == 1) return 1;
    if (!must_wait(client, result)) give_up(client, ERR_error_string(ERR_get_error(), NULL));
    return 0;
}

static int send_some(struct client *client) {
    size_t chunk = client->out_length > 1 << 20 ? 1 << 20 : client->out_length;
    long count = client->tls ? SSL_write(client->tls, client->out, (int)chunk) : write(client->fd, client->out, chunk);
    if (count <= 0) {
        if (!must_wait(client, count)) give_up(client, "the connection is closed while sending");
        return 0;
    }
    client->out += count;
    client->out_length -= (size_t)count;
    return 1;
}

static int receive_some(struct client *client) {
    char *place = client->in + client->held;
    size_t room = REPLY - client->held;
    if (!room) give_up(client, "a reply that is too long");
    long count = client->tls ? SSL_read(client->tls, place, (int)room) : read(client->fd, place, room);
    if (count <= 0) {
        if (!must_wait(client, count)) give_up(client, "the connection is closed");
        return 0;
    }
    client->held += (size_t)count;
    return 1;
}

/* Takes complete lines of replies off the input; the last line of a reply ticks its code off. */
static void read_replies(struct client *client) {
    char *line = client->in, *end = client->in + client->held, *newline;
    while (*client->codes && (newline = memchr(line, '\n', (size_t)(end - line)))) {
        *newline = 0;
        if (newline - line < 4 || memcmp(line, client->codes, 3)) give_up(client, line);
        if (line[3] != '-') client->codes += 3;
        line = newline + 1;
    }
    client->held = (size_t)(end - line);
    memmove(client->in, line, client->held);
}

/* Does what can be done without waiting. */
static void advance(struct client *client) {
    for (;;) {
        if (client->step == RESTING) return;
        if (client->step == HANDSHAKE) {
            if (!shake_hands(client)) return;
            begin(client, HELLO_AGAIN);
        }
        if (client->out_length) {
            if (!send_some(client)) return;
            continue;
        }
        read_replies(client);
        if (*client->codes) {
            if (!receive_some(client)) return;
        } else if (!go_on(client)) return;
    }
}

/* --- all of them ------------------------------------------------------------------------------------------------- */

static void run_until(const long *counter, long value) {
    struct epoll_event events[EVENTS];
    while (*counter < value) {
        int count = epoll_wait(epoll, events, EVENTS, PATIENCE);
        if (!count) give_up(NULL, "no answer to anybody for a minute");
        for (int i = 0; i < count; i++) advance(events[i].data.ptr);
    }
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(double took) {
    qsort(latencies, (size_t)sent, sizeof *latencies, by_value);
    printf("{\"messages\": %ld, \"took\": %.0f, \"p50\": %.1f, \"p99\": %.1f}\n", sent, took,
           sent ? latencies[sent / 2] : 0.0, sent ? latencies[sent * 99 / 100] : 0.0);
    fflush(stdout);
}

static void wait_for_line(void) {
    char line[16];
    if (!fgets(line, sizeof line, stdin)) clearerr(stdin);
}

static void begin_all(enum step step) {
    for (long i = 0; i < connections; i++) {
        begin(rested[i], step);
        advance(rested[i]);
    }
}

static void run_with_pauses(void) {
    while (opened < OPENING && opened < connections) open_client();
    run_until(&resting, connections);
    puts("ready");
    fflush(stdout);
    wait_for_line();
    double start = now();
    begin_all(ENVELOPE);
    run_until(&sent, connections * messages);
    report(now() - start);
    wait_for_line();
    begin_all(QUIT);
    run_until(&finished, connections);
}

static void run_through(void) {
    double start = now();
    while (opened < parallel && opened < connections) open_client();
    run_until(&finished, connections);
    report(now() - start);
}

static long number(const char *text) {
    char *end;
    long value = strtol(text, &end, 10);
    if (*end || value < 0) give_up(NULL, "a number is wanted");
    return value;
}

int main(int argc, char **argv) {
    const char *user = "load@example.com", *password = "";
    if (argc < 2) give_up(NULL, "usage: load PORT --connections N [options], see load.c");
    port = (int)number(argv[1]);
    for (int i = 2; i < argc; i++) {
        const char *option = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(option, "--pause")) {
            pauses = 1;
            continue;
        }
        i++;
        if (!strcmp(option, "--connections")) connections = number(value);
        else if (!strcmp(option, "--parallel")) parallel = number(value);
        else if (!strcmp(option, "--messages")) messages = number(value);
        else if (!strcmp(option, "--size")) size = number(value);
        else if (!strcmp(option, "--login") && i + 1 < argc) {
            logs_in = 1;
            user = value;
            password = argv[++i];
        } else give_up(NULL, option);
    }
    signal(SIGPIPE, SIG_IGN);
    context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    latencies = calloc((size_t)(connections * messages) + 1, sizeof *latencies);
    rested = calloc((size_t)connections + 1, sizeof *rested);
    epoll = epoll_create1(0);
    write_script(user, password);
    if (pauses) run_with_pauses();
    else run_through();
    return 0;
}
