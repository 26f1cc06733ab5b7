// SPDX-License-Identifier: Apache-2.0
// Reads and acknowledges signals as fast as Redis can: three XREADGROUP COUNT 1000 in flight, each answer acknowledged
// in one write with the next read. Only the ids are looked at. Ends when nothing is left.
//
// Usage: three_reads PORT, with NOTIFY_SOCKET naming a datagram socket that is told when the first read goes out.

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define IN_FLIGHT 3
#define BUFFER (1 << 18)
#define MAX_IDS 1000
#define ID_ROOM 64

static const char READ[] =
    "*9\r\n$10\r\nXREADGROUP\r\n$5\r\nGROUP\r\n$6\r\nrouter\r\n$5\r\nbench\r\n$5\r\nCOUNT\r\n$4\r\n1000\r\n"
    "$7\r\nSTREAMS\r\n$31\r\nquantum:stream:ai.decision.made\r\n$1\r\n>\r\n";
static const char ACKNOWLEDGE[] =
    "*%d\r\n$4\r\nXACK\r\n$31\r\nquantum:stream:ai.decision.made\r\n$6\r\nrouter\r\n";

static int server;
static char buffer[BUFFER];
static size_t at, end;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void send_all(const char *data, size_t length) {
  while (length > 0) {
    ssize_t sent = write(server, data, length);
    if (sent <= 0) fail("write");
    data += sent;
    length -= (size_t)sent;
  }
}

static void receive(void) {
  if (at > 0) {
    memmove(buffer, buffer + at, end - at);
    end -= at;
    at = 0;
  }
  ssize_t came = read(server, buffer + end, BUFFER - end);
  if (came <= 0) fail("read");
  end += (size_t)came;
}

// The next line without its end; it stays valid until the next call.
static char *line(void) {
  for (;;) {
    char *stop = memchr(buffer + at, '\n', end - at);
    if (stop != NULL) {
      char *start = buffer + at;
      stop[-1] = '\0';
      at = (size_t)(stop + 1 - buffer);
      if (*start == '-') {
        fprintf(stderr, "Redis: %s\n", start);
        exit(1);
      }
      return start;
    }
    receive();
  }
}

// A text of the announced length.
static char *text(size_t *length) {
  *length = (size_t)atol(line() + 1);
  while (end - at < *length + 2) receive();
  char *start = buffer + at;
  at += *length + 2;
  return start;
}

// Take one answer to a read; append the ids as they go into XACK; return how many, 0 when the stream is at its end.
static int take(char *ids, size_t *ids_length) {
  size_t length;
  *ids_length = 0;
  if (atol(line() + 1) < 1) return 0;  // no streams
  line();                              // the pair of stream and entries
  text(&length);
  int entries = atoi(line() + 1);
  for (int i = 0; i < entries; i++) {
    line();  // the pair of id and fields
    char *id = text(&length);
    *ids_length += (size_t)sprintf(ids + *ids_length, "$%zu\r\n%.*s\r\n", length, (int)length, id);
    for (int fields = atoi(line() + 1); fields > 0; fields--) text(&length);
  }
  return entries;
}

static void announce(void) {
  struct sockaddr_un manager = {.sun_family = AF_UNIX};
  strncpy(manager.sun_path, getenv("NOTIFY_SOCKET"), sizeof manager.sun_path - 1);
  int notify = socket(AF_UNIX, SOCK_DGRAM, 0);
  if (sendto(notify, "READY=1", 7, 0, (struct sockaddr *)&manager, sizeof manager) < 0) fail("NOTIFY_SOCKET");
  close(notify);
}

int main(int count, char **arguments) {
  if (count != 2 || getenv("NOTIFY_SOCKET") == NULL) {
    fprintf(stderr, "usage: NOTIFY_SOCKET=PATH three_reads PORT\n");
    return 64;
  }
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(arguments[1]))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  server = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(server, (struct sockaddr *)&address, sizeof address) < 0) fail("connect");
  int on = 1;
  setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);

  static char request[256 + MAX_IDS * ID_ROOM + sizeof READ], ids[MAX_IDS * ID_ROOM];
  int reads = IN_FLIGHT, acknowledgements = 0, answers = 0;
  announce();
  for (int i = 0; i < IN_FLIGHT; i++) send_all(READ, sizeof READ - 1);
  while (reads > 0) {
    // From the fourth on, the answer to an acknowledgement comes before that to the read which was written with it.
    if (answers++ >= IN_FLIGHT && acknowledgements > 0) line(), acknowledgements--;
    size_t length;
    int entries = take(ids, &length);
    reads--;
    if (entries == 0) continue;
    int head = sprintf(request, ACKNOWLEDGE, 3 + entries);
    memcpy(request + head, ids, length);
    memcpy(request + head + length, READ, sizeof READ - 1);
    send_all(request, (size_t)head + length + sizeof READ - 1);
    acknowledgements++;
    reads++;
  }
  return 0;
}
