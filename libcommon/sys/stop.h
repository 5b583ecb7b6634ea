/* libcommon/sys/stop.h - SIGINT and SIGTERM as a flag; SIGPIPE ignored */
#ifndef PENSTOCK_STOP_H
#define PENSTOCK_STOP_H

#include <stdbool.h>

void stop_install(void);        /* without SA_RESTART: a blocked read returns EINTR */
bool stop_asked(void);

#endif
