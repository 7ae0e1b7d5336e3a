#include <string.h>

#include "base/status.h"
#include "device/inventory.h"
#include "device/open.h"
#include "device/quirks.h"

static bool interprets(const tutti_device_info *device) {
    return (tutti_quirks_find(device) & TUTTI_QUIRK_INTERPRETER) != 0;
}

static bool same_hardware(const tutti_inventory_full *inv, const tutti_device_info *a,
                          const tutti_device_info *b) {
    if (a->platform == b->platform) /* twins */
        return false;
    if (a->uuid[0] != '\0' && strcmp(a->uuid, b->uuid) == 0)
        return true;
    if (a->pci[0] != '\0' && strcmp(a->pci, b->pci) == 0)
        return true;
    /* One library, loaded under two names of .icd files. */
    const tutti_inventory_source *p = &inv->sources[a->platform], *q = &inv->sources[b->platform];
    if (p->icd != q->icd && p->library[0] != '\0' && strcmp(p->library, q->library) == 0)
        return p->ordinal == q->ordinal && a->index == b->index;
    /* A device of type CPU is the host's processor. Two drivers' threads on it at once only disturb
     * each other: PoCL 3.1 and Intel's runtime together trained at 0.4 of the speed of PoCL alone. */
    return a->type == TUTTI_DEVICE_CPU && b->type == TUTTI_DEVICE_CPU && !interprets(a) &&
           !interprets(b);
}

/* Lower is better: a usable device before one that is not, the maker's own driver before others. The
 * kernels for CPUs were written on PoCL, which ran them fastest. */
static int rank(const tutti_device_info *device) {
    const bool pocl_cpu = device->type == TUTTI_DEVICE_CPU &&
                          strcmp(device->platform_name, "Portable Computing Language") == 0;
    return (device->unusable[0] != '\0' ? 3 : 0) +
           (pocl_cpu                                               ? 0
            : tutti_quirks_generic_platform(device->platform_name) ? 2
                                                                   : 1);
}

tutti_status tutti_inventory_name(tutti_inventory_full *inv, tutti_device_info *devices) {
    const int32_t n = inv->view.n_devices;
    for (int wanted = 0; wanted < 6; wanted++)
        for (int32_t i = 0; i < n; i++) {
            if (rank(&devices[i]) != wanted)
                continue;
            for (int32_t k = 0; k < n && devices[i].duplicate_of < 0; k++)
                if (k != i && devices[k].duplicate_of < 0 &&
                    (rank(&devices[k]) < wanted || (rank(&devices[k]) == wanted && k < i)) &&
                    same_hardware(inv, &devices[k], &devices[i]))
                    devices[i].duplicate_of = k;
        }
    int32_t counts[9] = {0};
    for (int32_t i = 0; i < n; i++) {
        if (devices[i].unusable[0] != '\0' || devices[i].duplicate_of >= 0)
            continue;
        static const char *const names[] = {[TUTTI_DEVICE_CPU] = "cpu",
                                            [TUTTI_DEVICE_GPU] = "gpu",
                                            [TUTTI_DEVICE_ACCELERATOR] = "accelerator",
                                            [TUTTI_DEVICE_CUSTOM] = "custom"};
        const uint32_t type = devices[i].type;
        devices[i].id = tutti_arena_printf(&inv->arena, "%s.%d", names[type], counts[type]++);
        if (devices[i].id == NULL)
            return TUTTI_OUT_OF_MEMORY;
    }
    /* A profile may still ask for the duplicate, by its platform. */
    for (int32_t i = 0; i < n; i++) {
        if (devices[i].duplicate_of < 0 || devices[i].unusable[0] != '\0')
            continue;
        devices[i].id = tutti_arena_printf(
            &inv->arena, "%s@%d", devices[devices[i].duplicate_of].id, devices[i].platform);
        if (devices[i].id == NULL)
            return TUTTI_OUT_OF_MEMORY;
    }
    return TUTTI_OK;
}
