/* The environment that drivers are given: a place for PoCL's cache, the machine without /sys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "device/environment.h"
#include "tutti/device.h"

static char dir[64], own[128];
static char warning[1024];

static void listen(void *user, tutti_log_level level, const char *text) {
    (void)user;
    if (level == TUTTI_LOG_WARNING)
        snprintf(warning, sizeof warning, "%s", text);
}

static int begin(void **state) {
    (void)state;
    strcpy(dir, "/tmp/tutti-test-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(own, sizeof own, "%s/tutti-pocl-%ld", dir, (long)geteuid());
    setenv("TMPDIR", dir, 1);
    unsetenv("POCL_AFFINITY");
    unsetenv("POCL_CACHE_DIR");
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HWLOC_SYNTHETIC");
    unsetenv("HWLOC_XMLFILE");
    warning[0] = '\0';
    return 0;
}

static int end(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static int32_t count_usable(void) {
    tutti_inventory *inventory;
    int32_t usable = 0;
    if (tutti_discover(NULL, &inventory) != TUTTI_OK)
        fail_msg("tutti_discover: %s", tutti_error_message());
    for (int32_t i = 0; i < inventory->n_devices; i++)
        usable += inventory->devices[i].unusable[0] == '\0';
    tutti_inventory_free(inventory);
    return usable;
}

static void a_usual_place_is_left_to_pocl(void **state) {
    (void)state;
    setenv("HOME", dir, 1);
    tutti_environment_prepare();
    assert_string_equal(getenv("POCL_AFFINITY"), "1");
    assert_null(getenv("POCL_CACHE_DIR"));
    setenv("XDG_CACHE_HOME", dir, 1);
    setenv("HOME", "/proc", 1);
    tutti_environment_prepare();
    assert_null(getenv("POCL_CACHE_DIR"));
    setenv("XDG_CACHE_HOME", "relative/place", 1);
    assert_int_equal(chdir(dir), 0);
    tutti_environment_prepare();
    assert_null(getenv("POCL_CACHE_DIR"));
    /* Nothing was left behind. */
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(mkdir(dir, 0700), 0);
    /* What the user says is kept, useful or not. */
    setenv("XDG_CACHE_HOME", "/proc/none", 1);
    setenv("POCL_CACHE_DIR", "/proc/none", 1);
    setenv("POCL_AFFINITY", "0", 1);
    tutti_environment_prepare();
    assert_string_equal(getenv("POCL_CACHE_DIR"), "/proc/none");
    assert_string_equal(getenv("POCL_AFFINITY"), "0");
}

static void without_a_home_pocl_still_has_devices(void **state) {
    (void)state;
    static const char *const homes[] = {"/proc", "/proc/self/none", "/dev/null"};
    for (size_t i = 0; i < sizeof homes / sizeof *homes; i++) {
        struct stat info;
        unsetenv("POCL_CACHE_DIR");
        setenv("HOME", homes[i], 1);
        assert_true(count_usable() > 0);
        assert_string_equal(getenv("POCL_CACHE_DIR"), own);
        assert_int_equal(stat(own, &info), 0);
        assert_int_equal(info.st_mode & 0777, 0700);
        assert_string_equal(warning, "");
    }
}

static void a_hostile_place_is_not_used(void **state) {
    (void)state;
    setenv("HOME", "/proc", 1);
    assert_int_equal(mkdir(own, 0700), 0);
    assert_int_equal(chmod(own, 0770), 0);
    tutti_environment_prepare();
    assert_null(getenv("POCL_CACHE_DIR"));
    assert_non_null(strstr(warning, "open to others"));
    assert_non_null(strstr(warning, "POCL_CACHE_DIR"));
    assert_int_equal(rmdir(own), 0);
    assert_int_equal(symlink(dir, own), 0);
    tutti_environment_prepare();
    assert_null(getenv("POCL_CACHE_DIR"));
}

static void without_sys_the_machine_is_described(void **state) {
    (void)state;
    char wanted[64];
    setenv("HOME", dir, 1);
    tutti_environment_prepare();
    if (access("/sys/devices/system/cpu", F_OK) == 0)
        assert_null(getenv("HWLOC_SYNTHETIC"));
    unsetenv("HWLOC_SYNTHETIC");
    tutti_environment_prepare_at("/nonexistent");
    snprintf(wanted, sizeof wanted, " core:%ld pu:1", sysconf(_SC_NPROCESSORS_ONLN));
    const char *said = getenv("HWLOC_SYNTHETIC");
    assert_non_null(said);
    assert_non_null(strstr(said, wanted));
    unsigned long long bytes = 0;
    assert_int_equal(sscanf(said, "node:1(memory=%llu)", &bytes), 1);
    assert_true(bytes > 64u << 20);
    assert_true(count_usable() > 0); /* the topology library understands it */
    setenv("HWLOC_SYNTHETIC", "node:1 core:1 pu:1", 1);
    tutti_environment_prepare_at("/nonexistent");
    assert_string_equal(getenv("HWLOC_SYNTHETIC"), "node:1 core:1 pu:1");
    unsetenv("HWLOC_SYNTHETIC");
    setenv("HWLOC_XMLFILE", "machine.xml", 1);
    tutti_environment_prepare_at("/nonexistent");
    assert_null(getenv("HWLOC_SYNTHETIC"));
}

int main(void) {
    tutti_log_set(listen, NULL);
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(a_usual_place_is_left_to_pocl),
        TEST(without_a_home_pocl_still_has_devices),
        TEST(a_hostile_place_is_not_used),
        TEST(without_sys_the_machine_is_described),
    };
    return cmocka_run_group_tests_name("device.environment", tests, NULL, NULL);
}
