/* A bad driver beside a good one: the good one is opened and the bad one never loads into this
 * process; then discovery again, with the drivers loaded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "device/open.h"

#define OCLGRIND "/usr/lib/oclgrind/liboclgrind-rt-icd.so"

static char dir[] = "/tmp/tutti-test-XXXXXX";

static void write_icd(const char *name, const char *directory, const char *content) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "%s%s\n", directory, content);
    assert_int_equal(fclose(file), 0);
}

static const tutti_platform_info *of_icd(const tutti_inventory *inventory, const char *name) {
    for (int32_t i = 0; i < inventory->n_platforms; i++) {
        const char *icd = inventory->platforms[i].icd;
        const size_t length = strlen(icd), tail = strlen(name);
        if (length >= tail && strcmp(icd + length - tail, name) == 0)
            return &inventory->platforms[i];
    }
    fail_msg("no platform of %s", name);
    return NULL;
}

static bool is_loaded(const char *part) {
    char line[4096];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps) != NULL)
        found = found || strstr(line, part) != NULL;
    fclose(maps);
    return found;
}

static void move_a_word(const tutti_device *device, uint32_t word) {
    uint32_t out = ~word;
    cl_mem buffer;
    assert_int_equal(tutti_buffer_make(device, sizeof word, &buffer), TUTTI_OK);
    assert_int_equal(tutti_buffer_write(device, buffer, 0, &word, sizeof word), TUTTI_OK);
    assert_int_equal(tutti_buffer_read(device, buffer, 0, &out, sizeof out), TUTTI_OK);
    assert_int_equal(out, word);
    clReleaseMemObject(buffer);
}

static void use_all(const tutti_inventory *inventory, const int32_t *indices, int32_t n) {
    static const tutti_profile profile = {.source = "test"};
    static const tutti_profile_device entry = {.share = TUTTI_SHARE_AUTO};
    tutti_selection selections[4] = {0};
    tutti_device *devices;
    int32_t count;
    for (int32_t i = 0; i < n; i++)
        selections[i] = (tutti_selection){indices[i], &entry};
    if (tutti_devices_open_selected(&profile, inventory, selections, n, &devices, &count) !=
        TUTTI_OK)
        fail_msg("%s", tutti_error_message());
    assert_int_equal(count, n);
    for (int32_t i = 0; i < n; i++) {
        assert_string_equal(devices[i].info.name, inventory->devices[indices[i]].name);
        move_a_word(&devices[i], 0x12345678u + (uint32_t)i);
    }
    tutti_devices_close(devices, count);
}

static void use(const tutti_inventory *inventory, int32_t index) {
    use_all(inventory, &index, 1);
}

static void use_two(const tutti_inventory *inventory, int32_t a, int32_t b) {
    const int32_t both[] = {a, b};
    use_all(inventory, both, 2);
}

static void a_bad_driver_stays_out(void **state) {
    (void)state;
    char build[4096];
    snprintf(build, sizeof build, "%s/tests/", getenv("TUTTI_BUILD_DIR"));
    write_icd("1-abort.icd", build, "fake_icd_a.so");
    write_icd("2-good.icd", build, "fake_icd_b.so");
    write_icd("3-pocl.icd", "", "libpocl.so.2");
    write_icd("4-pocl-again.icd", "", "libpocl.so.2");
    write_icd("5-missing.icd", "", "libtutti-no-such-driver.so");
    write_icd("0-nolist.icd", build, "fake_icd_c.so");
    const bool two_vendors = access(OCLGRIND, R_OK) == 0;
    if (two_vendors)
        write_icd("6-oclgrind.icd", "", OCLGRIND);
    setenv("OCL_ICD_VENDORS", dir, 1);
    setenv("FAKE_a", "abort", 1);
    setenv("FAKE_c", "platform=Listless;device=name:toy;nolist", 1);
    setenv("FAKE_b", "platform=Made up;device=name:toy", 1);
    tutti_inventory *inventory;
    assert_int_equal(tutti_discover(NULL, &inventory), TUTTI_OK);
    assert_non_null(strstr(of_icd(inventory, "1-abort.icd")->problem, "crashed"));
    assert_non_null(strstr(of_icd(inventory, "5-missing.icd")->problem, "cannot be loaded"));
    assert_string_equal(of_icd(inventory, "0-nolist.icd")->name, "Listless");
    assert_non_null(strstr(of_icd(inventory, "0-nolist.icd")->problem, "clGetDeviceIDs"));
    assert_false(is_loaded("libpocl"));
    const int32_t pocl = of_icd(inventory, "3-pocl.icd")->first_device;
    const int32_t again = of_icd(inventory, "4-pocl-again.icd")->first_device;
    assert_int_equal(inventory->devices[again].duplicate_of, pocl);
    use(inventory, pocl);
    assert_true(is_loaded("libpocl"));
    assert_true(is_loaded("fake_icd_b"));
    assert_false(is_loaded("fake_icd_a"));
    assert_string_equal(getenv("OCL_ICD_VENDORS"), dir);

    /* The duplicate is the same device. */
    use(inventory, again);
    if (two_vendors) {
        const int32_t grind = of_icd(inventory, "6-oclgrind.icd")->first_device;
        assert_int_equal(inventory->devices[grind].duplicate_of, -1);
        use_two(inventory, pocl, grind);
    }

    tutti_inventory *second;
    assert_int_equal(tutti_discover(NULL, &second), TUTTI_OK);
    assert_int_equal(second->n_devices, inventory->n_devices);
    assert_string_not_equal(of_icd(second, "1-abort.icd")->problem, "");
    assert_non_null(strstr(of_icd(second, "0-nolist.icd")->problem, "clGetDeviceIDs"));
    const int32_t pocl2 = of_icd(second, "3-pocl.icd")->first_device;
    const int32_t again2 = of_icd(second, "4-pocl-again.icd")->first_device;
    assert_string_equal(second->devices[pocl2].name, inventory->devices[pocl].name);
    assert_string_equal(second->devices[pocl2].id, inventory->devices[pocl].id);
    assert_int_equal(second->devices[again2].duplicate_of, pocl2);
    assert_string_equal(of_icd(second, "2-good.icd")->name, "Made up");
    assert_false(is_loaded("fake_icd_a"));
    use(second, pocl2);
    tutti_inventory_free(second);
    tutti_inventory_free(inventory);
}

int main(void) {
    if (getenv("TUTTI_BUILD_DIR") == NULL || mkdtemp(dir) == NULL)
        return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_bad_driver_stays_out)};
    const int failed = cmocka_run_group_tests_name("device.reopen", tests, NULL, NULL);
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command) != 0 ? 1 : failed;
}
