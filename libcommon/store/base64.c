/* libcommon/store/base64.c - see base64.h */
#include "libcommon/store/base64.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

char *base64_make(const void *data, size_t n, bool url)
{
    unsigned char *text = malloc(4 * ((n + 2) / 3) + 1);
    if (!text)
        return NULL;
    int length = EVP_EncodeBlock(text, data, (int)n);
    if (url) {
        while (length && text[length - 1] == '=')
            text[--length] = 0;
        for (int i = 0; i < length; i++)
            text[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
    }
    return (char *)text;
}

bool base64_read(struct span text, uint8_t *to, size_t n)
{
    uint8_t room[64];
    size_t padding = 0;
    if (text.size % 4 || text.size > sizeof room || text.size / 4 * 3 < n)
        return false;
    while (padding < 2 && padding < text.size && text.data[text.size - 1 - padding] == '=')
        padding++;
    if (EVP_DecodeBlock(room, text.data, (int)text.size) < 0 || text.size / 4 * 3 - padding != n)
        return false;
    memcpy(to, room, n);
    return true;
}
