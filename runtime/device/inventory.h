/* What discovery keeps beside the public inventory, to find the same devices again in this process.
 */
#ifndef TUTTI_DEVICE_INVENTORY_H
#define TUTTI_DEVICE_INVENTORY_H

#include "device/icd.h"
#include "device/walk.h"

typedef struct tutti_inventory_source {
    int32_t icd;         /* index of the platform's ICD, or -1 */
    const char *library; /* real path, or "" */
    int32_t ordinal;     /* among the platforms that the library shows in one process */
} tutti_inventory_source;

typedef struct tutti_inventory_full {
    tutti_inventory view; /* first: what callers see */
    tutti_arena arena;
    tutti_icd *icds;
    int32_t n_icds;
    tutti_inventory_source *sources; /* one per platform */
} tutti_inventory_full;

/* Sets duplicate_of and id of every device; the rest of the inventory is complete. */
TUTTI_MUST_USE tutti_status tutti_inventory_name(tutti_inventory_full *inventory,
                                                 tutti_device_info *devices);

/* Whether the ICD loader has loaded drivers into this process already, through us or the program:
 * it does so once, and what it took then is what this process has. */
bool tutti_loader_started(const tutti_icd *icds, int32_t count);
/* Makes the ICD loader load the drivers, without those that the inventory found bad. The first call
 * counts. */
TUTTI_MUST_USE tutti_status tutti_loader_start(const tutti_inventory_full *inventory);
/* Finds a device of the inventory in this process. */
TUTTI_MUST_USE tutti_status tutti_loader_find(const tutti_inventory_full *inventory, int32_t device,
                                              cl_platform_id *out_platform,
                                              cl_device_id *out_device);

#endif
