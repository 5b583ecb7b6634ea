/* libcommon/sys/stop.h - SIGINT and SIGTERM as a flag; SIGPIPE ignored */
#ifndef PENSTOCK_STOP_H
#define PENSTOCK_STOP_H

#include <stdbool.h>

void stop_install(void);        /* without SA_RESTART: a blocked read returns EINTR */
bool stop_asked(void);
/* Readable once a stop was asked for, for poll(2) beside what is waited for: a
 * signal just before a blocking call would not interrupt it.  -1 before stop_install. */
int stop_fd(void);

#endif
