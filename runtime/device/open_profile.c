#include <stdlib.h>

#include "base/status.h"
#include "device/open.h"

tutti_status tutti_devices_open(const tutti_profile *profile, const tutti_inventory *inventory,
                                tutti_device **out, int32_t *out_count) {
    *out = NULL;
    *out_count = 0;
    tutti_selection *selections;
    int32_t count;
    TUTTI_TRY(tutti_profile_apply(profile, inventory, &selections, &count, NULL));
    const tutti_status status =
        tutti_devices_open_selected(profile, inventory, selections, count, out, out_count);
    free(selections);
    return status;
}
