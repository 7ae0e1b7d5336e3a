/* Where drivers keep compiled kernels themselves. */
#ifndef TUTTI_KERNEL_DRIVER_CACHE_H
#define TUTTI_KERNEL_DRIVER_CACHE_H

#include "device/open.h"

#define TUTTI_DRIVER_CACHE_TEXT 512

/* Writes what identifies the driver's cache as it is on disk now (path, device, inode, birth), so
 * that a cache that was thrown away and made again differs. False when the driver has none, it is
 * switched off, or it is not there (yet). */
bool tutti_driver_cache_identity(const tutti_device *device, char text[TUTTI_DRIVER_CACHE_TEXT]);
/* False when the driver has no cache of its own or the user has switched it off. */
bool tutti_driver_cache_on(const tutti_device *device);

#endif
