/* libcommon/sys/clock.h - time that only goes forward */
#ifndef PENSTOCK_CLOCK_H
#define PENSTOCK_CLOCK_H

/* Seconds since some moment in the past, the same for all threads of the process. */
double clock_seconds(void);

#endif
