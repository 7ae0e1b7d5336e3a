/* What drivers must find in the environment of this process and of its children. */
#ifndef TUTTI_DEVICE_ENVIRONMENT_H
#define TUTTI_DEVICE_ENVIRONMENT_H

/* Before a driver is loaded, here or in a child. Sets, each unless the user has:
 *   POCL_AFFINITY=1: PoCL's workers otherwise often share one core;
 *   POCL_CACHE_DIR, where PoCL could not make or write the directory that it would use (it then
 *     shows no device): tutti-pocl-UID in TMPDIR, private;
 *   HWLOC_SYNTHETIC, where there is no /sys (a chroot): PoCL's topology library finds neither cores
 *     nor memory then, and PoCL aborts.
 * What cannot be set is left, with a warning. */
void tutti_environment_prepare(void);
/* The same, for tests: as if the kernel's description of the processors were at cpus. */
void tutti_environment_prepare_at(const char *cpus);

#endif
