/* libcommon/sys/secret.c - see secret.h */
#include "libcommon/sys/secret.h"

#include <stdlib.h>
#include <string.h>

void secret_wipe(void *p, size_t n)
{
    for (volatile uint8_t *to = p; n; n--)
        *to++ = 0;
}

void secret_free(char *text)
{
    if (text)
        secret_wipe(text, strlen(text));
    free(text);
}

void secret_release(struct buf *b)
{
    if (b->data)
        secret_wipe(b->data, b->room);
    buf_release(b);
}
