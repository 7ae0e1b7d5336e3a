/* Discovery with good, broken and doubled drivers. Nothing here loads a driver into this process.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "device/open.h"
#include "device/quirks.h"

static char dir[64], temp[128];
static const char *build;
static char default_vendors[4096]; /* the environment's own, to find PoCL */

static const char *path(const char *name) {
    static char text[4096];
    snprintf(text, sizeof text, "%s/%s", dir, name);
    return text;
}

static void write_icd(const char *name, const char *content) {
    FILE *file = fopen(path(name), "w");
    assert_non_null(file);
    fputs(content, file);
    assert_int_equal(fclose(file), 0);
}

static void fake(const char *name, const char *letter, const char *script) {
    char text[4096], variable[16];
    snprintf(text, sizeof text, "%s/tests/fake_icd_%s.so\n", build, letter);
    write_icd(name, text);
    snprintf(variable, sizeof variable, "FAKE_%s", letter);
    setenv(variable, script, 1);
}

static int begin(void **state) {
    (void)state;
    strcpy(dir, "/tmp/tutti-test-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(temp, sizeof temp, "%s/tmp", dir);
    mkdir(temp, 0700);
    setenv("TMPDIR", temp, 1);
    setenv("OCL_ICD_VENDORS", dir, 1);
    unsetenv("OPENCL_VENDOR_PATH");
    unsetenv("TUTTI_DISCOVER_DEADLINE_MS");
    unsetenv("TUTTI_ALLOW_BAD_DRIVERS");
    return 0;
}

static int end(void **state) {
    (void)state;
    /* Discovery leaves no directory behind. */
    if (rmdir(temp) != 0)
        return -1;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command);
}

static tutti_inventory *discover(void) {
    tutti_inventory *inventory;
    if (tutti_discover(NULL, &inventory) != TUTTI_OK)
        fail_msg("tutti_discover: %s", tutti_error_message());
    return inventory;
}

static const tutti_platform_info *of_icd(const tutti_inventory *inventory, const char *name) {
    for (int32_t i = 0; i < inventory->n_platforms; i++)
        if (strcmp(inventory->platforms[i].icd, path(name)) == 0)
            return &inventory->platforms[i];
    fail_msg("no platform of %s", name);
    return NULL;
}

static void assert_contains(const char *text, const char *part) {
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" does not contain \"%s\"", text, part);
}

static void assert_problem(const tutti_inventory *inventory, const char *icd, const char *part) {
    assert_contains(of_icd(inventory, icd)->problem, part);
    assert_int_equal(of_icd(inventory, icd)->n_devices, 0);
}

static void no_driver_at_all(void **state) {
    (void)state;
    tutti_inventory *inventory = discover();
    assert_int_equal(inventory->n_platforms, 0);
    assert_int_equal(inventory->n_devices, 0);
    assert_contains(inventory->searched, dir);
    assert_contains(inventory->searched, "0 .icd files");
    tutti_inventory_free(inventory);

    setenv("OCL_ICD_VENDORS", "/nonexistent/driver.icd", 1);
    inventory = discover();
    assert_int_equal(inventory->n_platforms, 1);
    assert_contains(inventory->platforms[0].problem, "cannot be read: No such file");
    tutti_inventory_free(inventory);

    setenv("OCL_ICD_VENDORS", "", 1);
    setenv("OPENCL_VENDOR_PATH", "/nonexistent", 1);
    inventory = discover();
    assert_int_equal(inventory->n_platforms, 0);
    assert_contains(inventory->searched, "/nonexistent (from OPENCL_VENDOR_PATH): No such file");
    tutti_inventory_free(inventory);
}

static void broken_drivers_hide_nothing(void **state) {
    (void)state;
    setenv("TUTTI_DISCOVER_DEADLINE_MS", "6500", 1);
    write_icd("01-blank.icd", "\nlibother.so\n");
    write_icd("02-empty.icd", "");
    write_icd("03-crlf.icd", "libpocl.so.2\r\n");
    write_icd("04-missing.icd", "libtutti-no-such-driver.so.9\n");
    /* Libraries that this process has already, but not as drivers. */
    write_icd("05-nodriver.icd", "libc.so.6\n");
    write_icd("readme.txt", "libtutti-ignored.so\n");
    symlink("/nonexistent.icd", path("06-dangling.icd"));
    fake("07-abort.icd", "a", "abort");
    fake("08-hang.icd", "b", "hang");
    fake("09-good.icd", "c", "noise;platform=Good;device=name:Survivor");
    const uint64_t begin_ns = tutti_clock_ns();
    tutti_inventory *inventory = discover();
    const double took_s = (double)(tutti_clock_ns() - begin_ns) * 1e-9;
    assert_int_equal(inventory->n_platforms, 9);
    assert_problem(inventory, "01-blank.icd", "names no library");
    assert_problem(inventory, "02-empty.icd", "names no library");
    assert_problem(inventory, "03-crlf.icd", "carriage return");
    assert_problem(inventory, "04-missing.icd",
                   "library libtutti-no-such-driver.so.9 cannot be loaded: ");
    assert_problem(inventory, "04-missing.icd", "No such file");
    assert_problem(inventory, "05-nodriver.icd", "is no OpenCL driver");
    assert_problem(inventory, "06-dangling.icd", "cannot be read");
    assert_problem(inventory, "07-abort.icd",
                   "crashed (signal 6, Aborted): some driver: cannot go on");
    assert_problem(inventory, "08-hang.icd", "hung: no answer in 6500 ms");
    assert_string_equal(of_icd(inventory, "09-good.icd")->problem, "");
    assert_string_equal(of_icd(inventory, "09-good.icd")->name, "Good");
    assert_int_equal(inventory->n_devices, 1);
    assert_string_equal(inventory->devices[0].name, "Survivor");
    assert_string_equal(inventory->devices[0].vendor, "Fake vendor");
    assert_string_equal(inventory->devices[0].id, "cpu.0");
    assert_true(took_s < 13); /* one deadline, not one per driver */
    tutti_inventory_free(inventory);
}

static void each_way_to_die_is_told(void **state) {
    (void)state;
    setenv("TUTTI_DISCOVER_DEADLINE_MS", "2500", 1);
    fake("a.icd", "a", "segv");
    fake("b.icd", "b", "exit");
    fake("c.icd", "c", "close");
    tutti_inventory *inventory = discover();
    assert_problem(inventory, "a.icd", "crashed (signal 11, Segmentation fault)");
    assert_problem(inventory, "b.icd", "ended the process with exit code 7");
    assert_string_not_equal(of_icd(inventory, "c.icd")->problem, "");
    tutti_inventory_free(inventory);
    fake("a.icd", "a", "none");
    fake("b.icd", "b", "platform=Empty");
    fake("c.icd", "c", "device=name:x");
    inventory = discover();
    assert_problem(inventory, "a.icd", "no platforms");
    assert_problem(inventory, "b.icd", "no devices");
    assert_string_equal(of_icd(inventory, "b.icd")->name, "Empty");
    assert_int_equal(inventory->n_devices, 1);
    tutti_inventory_free(inventory);
    /* A program that ignores SIGCHLD cannot be told signals, but what happened it is told. */
    signal(SIGCHLD, SIG_IGN);
    fake("a.icd", "a", "abort");
    inventory = discover();
    signal(SIGCHLD, SIG_DFL);
    assert_problem(inventory, "a.icd", "ended the process: some driver: cannot go on");
    assert_int_equal(inventory->n_devices, 1);
    tutti_inventory_free(inventory);
}

static void drivers_that_do_not_get_along(void **state) {
    (void)state;
    char script[4096];
    snprintf(script, sizeof script, "hate=%s/tests/fake_icd_c.so;device=name:first", build);
    fake("a.icd", "a", script);
    fake("b.icd", "b", "device=name:second");
    fake("c.icd", "c", "device=name:third,type:gpu");
    tutti_inventory *inventory = discover();
    /* The GPU stays. */
    assert_problem(inventory, "a.icd",
                   "works alone but not in one process with the other drivers: crashed (signal 6");
    assert_int_equal(inventory->n_devices, 2);
    assert_string_equal(inventory->devices[0].name, "second");
    assert_string_equal(inventory->devices[1].name, "third");
    tutti_inventory_free(inventory);
}

static void one_piece_of_hardware_counts_once(void **state) {
    (void)state;
    fake("a.icd", "a", "platform=rusticl;device=name:card,type:gpu,bus:7;device=name:c,uuid:9");
    fake("b.icd", "b", "platform=Maker;device=name:CARD,type:gpu,bus:7;device=name:t,type:gpu");
    fake("c.icd", "c",
         "platform=Other;device=name:d,uuid:9,available:0;device=name:e,type:gpu,uuid:8");
    tutti_inventory *inventory = discover();
    const tutti_device_info *d = inventory->devices;
    assert_int_equal(inventory->n_devices, 6);
    /* The maker's own driver is preferred, and a usable device to one that is not. */
    assert_int_equal(d[0].duplicate_of, 2);
    assert_string_equal(d[0].unusable, "");
    assert_string_equal(d[0].id, "gpu.0@0");
    assert_string_equal(d[0].pci, "0000:07:00.0");
    assert_int_equal(d[1].duplicate_of, -1);
    assert_string_equal(d[1].id, "cpu.0");
    assert_string_equal(d[1].uuid, "09090909090909090909090909090909");
    assert_string_equal(d[2].id, "gpu.0");
    assert_string_equal(d[3].id, "gpu.1");
    assert_string_equal(d[3].pci, "");
    assert_string_equal(d[3].uuid, "");
    assert_int_equal(d[4].duplicate_of, 1);
    assert_contains(d[4].unusable, "not available");
    assert_string_equal(d[5].id, "gpu.2");
    tutti_inventory_free(inventory);

    /* Twins on one platform stay two, even with one UUID. */
    fake("a.icd", "a", "device=name:t,uuid:5;device=name:t,uuid:5");
    unlink(path("b.icd"));
    unlink(path("c.icd"));
    inventory = discover();
    assert_int_equal(inventory->n_devices, 2);
    assert_string_equal(inventory->devices[1].unusable, "");
    assert_string_equal(inventory->devices[1].id, "cpu.1");
    tutti_inventory_free(inventory);

    /* One library under two names. */
    fake("z.icd", "a", "device=name:t;device=name:t");
    inventory = discover();
    assert_int_equal(inventory->n_devices, 4);
    assert_int_equal(inventory->devices[2].duplicate_of, 0);
    assert_int_equal(inventory->devices[3].duplicate_of, 1);
    tutti_inventory_free(inventory);

    /* Drivers of the processor: PoCL is taken; an interpreter is a device of its own. */
    unlink(path("z.icd"));
    fake("a.icd", "a", "device=name:i");
    fake("b.icd", "b", "platform=Portable Computing Language;device=name:p,driver:3.1");
    fake("c.icd", "c", "platform=Oclgrind;device=name:o");
    inventory = discover();
    assert_int_equal(inventory->n_devices, 3);
    assert_int_equal(inventory->devices[0].duplicate_of, 1);
    assert_string_equal(inventory->devices[0].id, "cpu.0@0");
    assert_string_equal(inventory->devices[1].id, "cpu.0");
    assert_string_equal(inventory->devices[2].id, "cpu.1");
    tutti_inventory_free(inventory);
}

static void devices_say_why_they_cannot_be_used(void **state) {
    (void)state;
    fake("a.icd", "a",
         "device=name:0,available:0;device=name:1,compiler:0;device=name:2,little:0;"
         "device=name:3,version:OpenCL 1.1 old");
    fake("b.icd", "b",
         "device=name:4,profile:EMBEDDED_PROFILE,fp:1;"
         "device=name:5,profile:EMBEDDED_PROFILE,extensions:cles_khr_int64;"
         "device=name:6,profile:EMBEDDED_PROFILE,extensions:cles_khr_int64,fp:1;"
         "device=name:7,type:accelerator,version:OpenCL 1.2");
    fake("c.icd", "c",
         "platform=Portable Computing Language;device=name:8,driver:1.4;device=name:9,driver:1.10");
    tutti_inventory *inventory = discover();
    static const char *const reasons[] = {
        "CL_DEVICE_AVAILABLE", "compiler", "byte order", "OpenCL 1.2 is needed", "cles_khr_int64",
        "infinities",          "",         "",           "known-bad driver",     ""};
    assert_int_equal(inventory->n_devices, 10);
    for (int i = 0; i < 10; i++) {
        if (reasons[i][0] == '\0')
            assert_string_equal(inventory->devices[i].unusable, "");
        else
            assert_contains(inventory->devices[i].unusable, reasons[i]);
    }
    assert_string_equal(inventory->devices[0].id, "");
    assert_string_equal(inventory->devices[6].id, "cpu.0@1"); /* of the PoCL that works */
    assert_string_equal(inventory->devices[7].id, "accelerator.0");
    assert_string_equal(inventory->devices[9].id, "cpu.0");
    tutti_inventory_free(inventory);
    setenv("TUTTI_ALLOW_BAD_DRIVERS", "1", 1);
    inventory = discover();
    assert_string_equal(inventory->devices[8].unusable, "");
    tutti_inventory_free(inventory);
    fake("c.icd", "c", "device=name:8,type:custom;device=name:9");
    inventory = discover();
    assert_string_equal(inventory->devices[9].id, "custom.0"); /* after the others */
    assert_int_equal(inventory->devices[9].index, 1);
    tutti_inventory_free(inventory);
}

static void the_loaders_ways_to_name_drivers(void **state) {
    (void)state;
    fake("a.icd", "a", "device=name:x");
    char text[4096];
    setenv("OCL_ICD_VENDORS", path("a.icd"), 1);
    tutti_inventory *inventory = discover();
    assert_int_equal(inventory->n_devices, 1);
    tutti_inventory_free(inventory);
    /* A bare name is sought in the vendors' directory. */
    setenv("OPENCL_VENDOR_PATH", dir, 1);
    setenv("OCL_ICD_VENDORS", "a.icd", 1);
    inventory = discover();
    assert_int_equal(inventory->n_devices, 1);
    assert_string_equal(inventory->platforms[0].icd, path("a.icd"));
    tutti_inventory_free(inventory);
    unsetenv("OCL_ICD_VENDORS");
    inventory = discover();
    assert_int_equal(inventory->n_devices, 1);
    tutti_inventory_free(inventory);
    snprintf(text, sizeof text, "%s/tests/fake_icd_a.so", build);
    setenv("OCL_ICD_VENDORS", text, 1);
    inventory = discover();
    assert_int_equal(inventory->n_devices, 1);
    assert_string_equal(inventory->platforms[0].icd, text);
    tutti_inventory_free(inventory);
    setenv("OCL_ICD_VENDORS", "libtutti-no-such.so", 1);
    inventory = discover();
    assert_int_equal(inventory->n_devices, 0);
    assert_contains(inventory->platforms[0].problem, "cannot be loaded");
    tutti_inventory_free(inventory);
    /* No place for links: the .icd files are named one by one. */
    setenv("OCL_ICD_VENDORS", dir, 1);
    setenv("TMPDIR", "/nonexistent", 1);
    fake("b.icd", "b", "abort");
    inventory = discover();
    assert_int_equal(inventory->n_devices, 1);
    assert_problem(inventory, "b.icd", "crashed");
    tutti_inventory_free(inventory);
}

static void deadlines_come_from_options_and_environment(void **state) {
    (void)state;
    fake("a.icd", "a", "hang");
    tutti_inventory *inventory;
    const tutti_discover_options options = {.deadline_ms = 1000};
    assert_int_equal(tutti_discover(&options, &inventory), TUTTI_OK);
    assert_problem(inventory, "a.icd", "hung: no answer in 1 s");
    tutti_inventory_free(inventory);
}

static void pocl_is_found_quickly(void **state) {
    (void)state;
    if (default_vendors[0] == '\0')
        unsetenv("OCL_ICD_VENDORS");
    else
        setenv("OCL_ICD_VENDORS", default_vendors, 1);
    double best_s = 1e9;
    for (int i = 0; i < 5; i++) {
        const uint64_t begin_ns = tutti_clock_ns();
        tutti_inventory *inventory = discover();
        const double took_s = (double)(tutti_clock_ns() - begin_ns) * 1e-9;
        best_s = took_s < best_s ? took_s : best_s;
        if (inventory->n_devices == 0)
            fail_msg("no device in %s", inventory->searched);
        tutti_inventory_free(inventory);
    }
    printf("discovery: %.1f ms\n", best_s * 1e3);
}

int main(void) {
    const char *vendors = getenv("OCL_ICD_VENDORS");
    if (vendors != NULL)
        snprintf(default_vendors, sizeof default_vendors, "%s", vendors);
    build = getenv("TUTTI_BUILD_DIR");
    if (build == NULL) {
        fprintf(stderr, "TUTTI_BUILD_DIR is not set\n");
        return 1;
    }
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(no_driver_at_all),
        TEST(broken_drivers_hide_nothing),
        TEST(each_way_to_die_is_told),
        TEST(drivers_that_do_not_get_along),
        TEST(one_piece_of_hardware_counts_once),
        TEST(devices_say_why_they_cannot_be_used),
        TEST(the_loaders_ways_to_name_drivers),
        TEST(deadlines_come_from_options_and_environment),
        TEST(pocl_is_found_quickly),
    };
    return cmocka_run_group_tests_name("device.discover", tests, NULL, NULL);
}
