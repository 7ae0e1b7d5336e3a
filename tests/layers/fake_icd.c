/* An OpenCL driver for tests that shows made-up devices or misbehaves. The environment variable
 * FAKE_a, FAKE_b or FAKE_c (by the library's name) says what it does, words separated by ';':
 *
 *   abort | exit | hang | segv    while the loader asks for its platforms
 *   close                         closes all files, then sleeps
 *   noise                         writes a lot to stdout and stderr first
 *   hate=LIBRARY                  aborts when LIBRARY is loaded in the same process
 *   none                          no platforms
 *   nolist                        its platform cannot list its devices
 *   platform=NAME                 the platform's name
 *   device=KEY:VALUE,…            one device; keys below in set_key
 */
#include <CL/cl.h>
#include <CL/cl_icd.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT      __attribute__((visibility("default")))
#define MAX_DEVICES 4

#define ICD_SUFFIX          0x0920
#define DEVICE_UUID         0x106A
#define DEVICE_PCI_BUS_INFO 0x410F

struct _cl_platform_id {
    cl_icd_dispatch *dispatch;
};
struct _cl_device_id {
    cl_icd_dispatch *dispatch;
    char name[64], version[64], profile[64], extensions[128], driver[64];
    cl_device_type type;
    cl_bool available, compiler, little;
    unsigned char uuid[16];
    cl_uint pci[4];
    cl_device_fp_config fp;
};

static cl_icd_dispatch dispatch;
static struct _cl_platform_id platform = {&dispatch};
static struct _cl_device_id devices[MAX_DEVICES];
static cl_uint n_devices;
static char platform_name[64] = FAKE_NAME;
static int ready, no_list;

static void copy(char *to, size_t size, const char *value) {
    snprintf(to, size, "%s", value);
}

static void set_key(struct _cl_device_id *d, const char *key, const char *value) {
    const cl_bool yes = strcmp(value, "0") != 0;
    if (strcmp(key, "name") == 0)
        copy(d->name, sizeof d->name, value);
    else if (strcmp(key, "version") == 0)
        copy(d->version, sizeof d->version, value);
    else if (strcmp(key, "profile") == 0)
        copy(d->profile, sizeof d->profile, value);
    else if (strcmp(key, "extensions") == 0)
        copy(d->extensions, sizeof d->extensions, value);
    else if (strcmp(key, "driver") == 0)
        copy(d->driver, sizeof d->driver, value);
    else if (strcmp(key, "type") == 0)
        d->type = strcmp(value, "gpu") == 0           ? CL_DEVICE_TYPE_GPU
                  : strcmp(value, "accelerator") == 0 ? CL_DEVICE_TYPE_ACCELERATOR
                  : strcmp(value, "custom") == 0      ? CL_DEVICE_TYPE_CUSTOM
                                                      : CL_DEVICE_TYPE_CPU;
    else if (strcmp(key, "available") == 0)
        d->available = yes;
    else if (strcmp(key, "compiler") == 0)
        d->compiler = yes;
    else if (strcmp(key, "little") == 0)
        d->little = yes;
    else if (strcmp(key, "fp") == 0)
        d->fp = yes ? CL_FP_INF_NAN | CL_FP_ROUND_TO_NEAREST : 0;
    else if (strcmp(key, "uuid") == 0)
        memset(d->uuid, atoi(value), sizeof d->uuid);
    else if (strcmp(key, "bus") == 0)
        d->pci[1] = (cl_uint)atoi(value);
    else
        abort(); /* a mistake in a test */
}

static void add_device(char *spec) {
    struct _cl_device_id *d = &devices[n_devices++ % MAX_DEVICES];
    *d = (struct _cl_device_id){.dispatch = &dispatch,
                                .name = "Fake",
                                .version = "OpenCL 3.0 fake",
                                .profile = "FULL_PROFILE",
                                .extensions = "cl_khr_device_uuid cl_khr_pci_bus_info",
                                .driver = "1.0",
                                .type = CL_DEVICE_TYPE_CPU,
                                .available = CL_TRUE,
                                .compiler = CL_TRUE,
                                .little = CL_TRUE};
    char *rest;
    for (char *pair = strtok_r(spec, ",", &rest); pair != NULL; pair = strtok_r(NULL, ",", &rest)) {
        char *value = strchr(pair, ':');
        if (value == NULL)
            abort();
        *value = '\0';
        set_key(d, pair, value + 1);
    }
}

static int act(char *word) {
    if (strcmp(word, "abort") == 0) {
        fprintf(stderr, "some driver: first line\nsome driver: cannot go on\n");
        abort();
    }
    if (strcmp(word, "segv") == 0)
        raise(SIGSEGV);
    if (strcmp(word, "exit") == 0)
        _exit(7);
    if (strcmp(word, "hang") == 0)
        for (;;)
            sleep(1000);
    if (strcmp(word, "close") == 0) {
        for (int fd = 0; fd < 256; fd++)
            close(fd);
        sleep(1000);
    }
    if (strcmp(word, "noise") == 0)
        for (int i = 0; i < 20000; i++)
            if (fprintf(i % 2 ? stderr : stdout, "a talkative driver, line %d\n", i) < 0)
                clearerr(stderr);
    if (strncmp(word, "hate=", 5) == 0 && dlopen(word + 5, RTLD_LAZY | RTLD_NOLOAD) != NULL)
        abort();
    if (strncmp(word, "platform=", 9) == 0)
        copy(platform_name, sizeof platform_name, word + 9);
    if (strncmp(word, "device=", 7) == 0)
        add_device(word + 7);
    no_list |= strcmp(word, "nolist") == 0;
    return strcmp(word, "none") == 0;
}

static cl_int answer(const void *value, size_t value_size, size_t size, void *out, size_t *needed) {
    if (needed != NULL)
        *needed = value_size;
    if (out == NULL)
        return CL_SUCCESS;
    if (size < value_size)
        return CL_INVALID_VALUE;
    memcpy(out, value, value_size);
    return CL_SUCCESS;
}

static cl_int text(const char *value, size_t size, void *out, size_t *needed) {
    return answer(value, strlen(value) + 1, size, out, needed);
}

static CL_API_ENTRY cl_int CL_API_CALL platform_info(cl_platform_id id, cl_platform_info param,
                                                     size_t size, void *out, size_t *needed) {
    (void)id;
    switch (param) {
    case CL_PLATFORM_NAME:
        return text(platform_name, size, out, needed);
    case CL_PLATFORM_VENDOR:
        return text("Tutti's tests", size, out, needed);
    case CL_PLATFORM_VERSION:
        return text("OpenCL 3.0 fake", size, out, needed);
    case CL_PLATFORM_PROFILE:
        return text("FULL_PROFILE", size, out, needed);
    case CL_PLATFORM_EXTENSIONS:
        return text("cl_khr_icd", size, out, needed);
    case ICD_SUFFIX:
        return text(FAKE_NAME, size, out, needed);
    default:
        return CL_INVALID_VALUE;
    }
}

static CL_API_ENTRY cl_int CL_API_CALL device_ids(cl_platform_id id, cl_device_type type,
                                                  cl_uint size, cl_device_id *out, cl_uint *count) {
    (void)id;
    cl_uint found = 0;
    if (no_list)
        return CL_INVALID_VALUE;
    for (cl_uint i = 0; i < n_devices; i++) {
        const int custom = devices[i].type == CL_DEVICE_TYPE_CUSTOM;
        if (type == CL_DEVICE_TYPE_ALL ? custom : (devices[i].type & type) == 0)
            continue;
        if (out != NULL && found < size)
            out[found] = &devices[i];
        found++;
    }
    if (count != NULL)
        *count = found;
    return found == 0 ? CL_DEVICE_NOT_FOUND : CL_SUCCESS;
}

static CL_API_ENTRY cl_int CL_API_CALL device_info(cl_device_id d, cl_device_info param,
                                                   size_t size, void *out, size_t *needed) {
    const cl_uint eight = 8;
    const cl_ulong memory = 1 << 30;
    const size_t group = 256, items[3] = {256, 256, 64};
    switch (param) {
    case CL_DEVICE_TYPE:
        return answer(&d->type, sizeof d->type, size, out, needed);
    case CL_DEVICE_NAME:
        return text(d->name, size, out, needed);
    case CL_DEVICE_VENDOR:
        return text("  Fake \t vendor\n", size, out, needed);
    case CL_DRIVER_VERSION:
        return text(d->driver, size, out, needed);
    case CL_DEVICE_VERSION:
        return text(d->version, size, out, needed);
    case CL_DEVICE_PROFILE:
        return text(d->profile, size, out, needed);
    case CL_DEVICE_EXTENSIONS:
        return text(d->extensions, size, out, needed);
    case CL_DEVICE_AVAILABLE:
        return answer(&d->available, sizeof d->available, size, out, needed);
    case CL_DEVICE_COMPILER_AVAILABLE:
        return answer(&d->compiler, sizeof d->compiler, size, out, needed);
    case CL_DEVICE_ENDIAN_LITTLE:
        return answer(&d->little, sizeof d->little, size, out, needed);
    case CL_DEVICE_MAX_COMPUTE_UNITS:
        return answer(&eight, sizeof eight, size, out, needed);
    case CL_DEVICE_GLOBAL_MEM_SIZE:
    case CL_DEVICE_MAX_MEM_ALLOC_SIZE:
        return answer(&memory, sizeof memory, size, out, needed);
    case CL_DEVICE_MAX_WORK_GROUP_SIZE:
        return answer(&group, sizeof group, size, out, needed);
    case CL_DEVICE_MAX_WORK_ITEM_SIZES:
        return answer(items, sizeof items, size, out, needed);
    case CL_DEVICE_SINGLE_FP_CONFIG:
        return answer(&d->fp, sizeof d->fp, size, out, needed);
    case DEVICE_UUID:
        return answer(d->uuid, sizeof d->uuid, size, out, needed);
    case DEVICE_PCI_BUS_INFO:
        return answer(d->pci, sizeof d->pci, size, out, needed);
    default:
        return CL_INVALID_VALUE;
    }
}

static CL_API_ENTRY cl_int CL_API_CALL platform_ids(cl_uint size, cl_platform_id *out,
                                                    cl_uint *count) {
    static int none;
    if (!ready) {
        ready = 1;
        dispatch.clGetPlatformInfo = platform_info;
        dispatch.clGetDeviceIDs = device_ids;
        dispatch.clGetDeviceInfo = device_info;
        const char *script = getenv(FAKE_NAME);
        char *words = strdup(script == NULL ? "" : script), *rest;
        for (char *word = strtok_r(words, ";", &rest); word != NULL;
             word = strtok_r(NULL, ";", &rest))
            none |= act(word);
        free(words);
    }
    if (out != NULL && size > 0)
        out[0] = &platform;
    if (count != NULL)
        *count = none ? 0 : 1;
    return none ? -1001 : CL_SUCCESS;
}

EXPORT CL_API_ENTRY void *CL_API_CALL clGetExtensionFunctionAddress(const char *name);
void *clGetExtensionFunctionAddress(const char *name) {
    void *out = NULL;
    cl_int(CL_API_CALL * ids)(cl_uint, cl_platform_id *, cl_uint *) = platform_ids;
    if (strcmp(name, "clIcdGetPlatformIDsKHR") == 0)
        memcpy(&out, &ids, sizeof out);
    return out;
}

EXPORT CL_API_ENTRY cl_int CL_API_CALL clGetPlatformInfo(cl_platform_id id, cl_platform_info param,
                                                         size_t size, void *out, size_t *needed) {
    return platform_info(id, param, size, out, needed);
}
