/* Temporary files and message checks for the tests of this directory. */
#ifndef TESTS_DATA_HELPERS_H
#define TESTS_DATA_HELPERS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "seed.h"
#include "tutti/data.h"

/* Writes data into a new file; its name goes to path. */
static inline void write_file(char path[64], const void *data, size_t size) {
    strcpy(path, "/tmp/tutti-test-XXXXXX");
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, size), (ssize_t)size);
    close(fd);
}

static inline void assert_message(const char *wanted) {
    if (strstr(tutti_error_message(), wanted) == NULL)
        fail_msg("message \"%s\" does not contain \"%s\"", tutti_error_message(), wanted);
}

#endif
