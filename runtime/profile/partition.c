#include <inttypes.h>
#include <stdlib.h>

#include "base/status.h"
#include "tutti/device.h"

tutti_status tutti_profile_partition(const tutti_profile_device *entry,
                                     const tutti_device_info *device, uint32_t **out_units,
                                     int32_t *out_count) {
    *out_units = NULL;
    *out_count = 0;
    uint32_t available = device->compute_units;
    uint64_t wanted = 0;
    uint32_t parts = 0;
    if (entry->n_partitions > 0) {
        parts = (uint32_t)entry->n_partitions;
        for (int32_t i = 0; i < entry->n_partitions; i++)
            wanted += entry->partitions[i];
    } else if (entry->equal_parts > 0) {
        wanted = parts = entry->equal_parts;
    } else if (entry->use_compute_units > 0) {
        wanted = entry->use_compute_units;
        parts = 1;
    }
    /* One part that is all of it needs no sub-device. */
    if (parts == 0 || (parts == 1 && (wanted == available || entry->equal_parts == 1)))
        return TUTTI_OK;
    if (wanted > available && entry->use_compute_units > 0)
        return tutti_fail(TUTTI_UNSUPPORTED,
                          "%s has %" PRIu32 " compute units, the profile asks for %" PRIu64,
                          device->name, available, wanted);
    if (wanted > available)
        return tutti_fail(TUTTI_UNSUPPORTED,
                          "%s has %" PRIu32 " compute units, the profile asks for %" PRIu64
                          " in %" PRIu32 " sub-device%s",
                          device->name, available, wanted, parts, parts == 1 ? "" : "s");
    if (parts > device->max_sub_devices)
        return tutti_fail(TUTTI_UNSUPPORTED,
                          "%s can be partitioned in at most %" PRIu32
                          " sub-devices, the profile asks for %" PRIu32,
                          device->name, device->max_sub_devices, parts);
    uint32_t *units = malloc(parts * sizeof *units);
    if (units == NULL)
        return tutti_fail_memory(parts * sizeof *units, "sub-devices");
    for (uint32_t i = 0; i < parts; i++)
        units[i] = entry->n_partitions > 0  ? entry->partitions[i]
                   : entry->equal_parts > 0 ? available / parts
                                            : entry->use_compute_units;
    *out_units = units;
    *out_count = (int32_t)parts;
    return TUTTI_OK;
}
