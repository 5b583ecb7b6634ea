/* libcommon/sys/stop.c - see stop.h */
#include "libcommon/sys/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

static volatile sig_atomic_t asked;
static int ends[2] = { -1, -1 };

static void on_signal(int sig)
{
    (void)sig;
    int saved = errno;
    asked = 1;
    ssize_t n = write(ends[1], "", 1);      /* full is fine: then it is readable already */
    (void)n;
    errno = saved;
}

void stop_install(void)
{
    if (ends[0] < 0 && pipe(ends) == 0) {
        for (int i = 0; i < 2; i++) {
            fcntl(ends[i], F_SETFD, FD_CLOEXEC);
            fcntl(ends[i], F_SETFL, O_NONBLOCK);
        }
    }
    struct sigaction sa = { .sa_handler = on_signal };
    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    sa.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &sa, NULL);
}

bool stop_asked(void) { return asked != 0; }
int stop_fd(void) { return ends[0]; }
