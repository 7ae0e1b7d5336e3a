#include "profile/candidate.h"

#include "profile/match.h"

int32_t tutti_candidate_hardware(const tutti_inventory *inventory, int32_t device) {
    int32_t original = inventory->devices[device].duplicate_of;
    return original >= 0 ? original : device;
}

static bool fits(const tutti_device_match *match, const tutti_device_info *device) {
    return device->unusable[0] == '\0' && tutti_match_device(match, device, NULL, NULL);
}

bool tutti_candidate(const tutti_inventory *inventory, const tutti_device_match *match,
                     int32_t device) {
    const tutti_device_info *devices = inventory->devices;
    if (!fits(match, &devices[device]))
        return false;
    int32_t original = tutti_candidate_hardware(inventory, device);
    if (original == device)
        return true;
    if (fits(match, &devices[original]))
        return false;
    for (int32_t i = 0; i < device; i++)
        if (devices[i].duplicate_of == original && fits(match, &devices[i]))
            return false;
    return true;
}

int32_t tutti_candidate_index(const tutti_inventory *inventory, const tutti_device_match *match,
                              int32_t device) {
    int32_t index = 0;
    for (int32_t i = 0; i < device; i++)
        index += tutti_candidate(inventory, match, i);
    return index;
}
