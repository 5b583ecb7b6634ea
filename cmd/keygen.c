/* cmd/keygen.c - makes a CURVE key pair for tcp:// ends, and the line that others put into their list */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/cli/opt.h"
#include "libcommon/stream/net/security.h"
#include "libcommon/sys/log.h"

static const char *const roles[] = { "head", "worker", "tail", "hub", NULL };
static const char *role = "worker", *name;

static const struct opt options[] = {
    { OPT_CHOICE, .name = "role", .value = &role, .arg = "ROLE", .choices = roles,
      .help = "what the key's owner may be: head, worker, tail or hub" },
    { OPT_STRING, .name = "name", .value = &name, .arg = "NAME",
      .help = "of the owner: its host, as others write it in endpoints (default: this one)" },
    { .name = NULL },
};
static const struct program program = {
    .name = "keygen", .operands = "FILE", .min_operands = 1, .max_operands = 1, .opts = options,
    .summary = "Writes a secret key to FILE and prints the line for --curve-peers",
};

int main(int argc, char **argv)
{
    struct common c = { 0 };
    struct error e = { 0 };
    char public_key[KEY_TEXT], host[64] = "localhost";
    int first = opt_parse(&program, &c, OPT_NO_IN | OPT_NO_OUT, argc, argv);
    if (!name && gethostname(host, sizeof host - 1) == 0)
        host[sizeof host - 1] = 0;
    if (!name)
        name = host;
    if (strlen(name) > 63 || strpbrk(name, " \t\n#"))
        die(STATUS_BAD, "--name '%s': at most 63 characters, without blanks", name);
    if (key_make(argv[first], public_key, &e) < 0)
        die(e.status, "%s", e.text);
    printf("%s %s %s\n", public_key, role, name);
    if (fflush(stdout) != 0)
        die(STATUS_AGAIN, "cannot write standard output: %s", strerror(errno));
    return STATUS_OK;
}
