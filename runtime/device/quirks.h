/* What is known of drivers, matched by platform name and version: two tables. */
#ifndef TUTTI_DEVICE_QUIRKS_H
#define TUTTI_DEVICE_QUIRKS_H

#include "tutti/device.h"

/* TUTTI_QUIRK_* of device/open.h. */
uint32_t tutti_quirks_find(const tutti_device_info *info);

/* Why a driver is known to be bad, or "". TUTTI_ALLOW_BAD_DRIVERS=1 lets all of them pass. */
const char *tutti_quirks_bad_driver(const tutti_device_info *info);

/* Whether the platform drives other vendors' hardware, so that the vendor's own driver for the same
 * device is preferred to it. */
bool tutti_quirks_generic_platform(const char *platform_name);

#endif
