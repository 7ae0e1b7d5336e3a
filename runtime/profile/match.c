#include "profile/match.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

bool tutti_glob(const char *pattern, const char *text) {
    /* On a mismatch the last '*' takes one more byte: no recursion, at most |pattern| * |text|. */
    const char *star = NULL, *resume = NULL;
    while (*text != '\0') {
        if (*pattern == '*') {
            star = ++pattern;
            resume = text;
        } else if (*pattern == '?' ||
                   tolower((unsigned char)*pattern) == tolower((unsigned char)*text)) {
            pattern++;
            text++;
        } else if (star != NULL) {
            pattern = star;
            text = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

/* Names that drivers give one vendor, and its PCI vendor ids. */
static const struct {
    const char *name;
    const char *globs[4];
    uint32_t ids[2];
} vendors[] = {
    {"nvidia", {"*nvidia*"}, {0x10de, 0x12d2}},
    {"amd", {"amd*", "*advanced micro devices*", "*authenticamd*"}, {0x1002, 0x1022}},
    {"intel", {"*intel*"}, {0x8086, 0}},
    {"apple", {"*apple*"}, {0x106b, 0}},
    {"arm", {"arm", "arm *", "arm,*"}, {0x13b5, 0}},
    {"qualcomm", {"*qualcomm*"}, {0x5143, 0}},
    {"imagination", {"*imagination*"}, {0x1010, 0}},
};

#define N_VENDORS (sizeof vendors / sizeof *vendors)

static bool named(size_t vendor, const tutti_device_info *device) {
    for (size_t k = 0; k < 4 && vendors[vendor].globs[k] != NULL; k++)
        if (tutti_glob(vendors[vendor].globs[k], device->vendor))
            return true;
    return false;
}

/* The device's vendor in the table, or N_VENDORS. The name counts first: PoCL gives Intel's id to
 * AMD's processors. */
static size_t find_vendor(const tutti_device_info *device) {
    for (size_t i = 0; i < N_VENDORS; i++)
        if (named(i, device))
            return i;
    for (size_t i = 0; i < N_VENDORS; i++)
        for (size_t k = 0; k < 2; k++)
            if (vendors[i].ids[k] != 0 && device->vendor_id == vendors[i].ids[k])
                return i;
    return N_VENDORS;
}

/* A vendor's name as users write it: a glob, or a part of the name, or one of the short names
 * ("nvidia", "amd", "intel" …) that stand for all names and PCI ids of the vendor. */
static bool vendor_matches(const char *wanted, const tutti_device_info *device) {
    for (size_t i = 0; i < N_VENDORS; i++)
        if (strcasecmp(wanted, vendors[i].name) == 0)
            return find_vendor(device) == i;
    if (strpbrk(wanted, "*?") != NULL)
        return tutti_glob(wanted, device->vendor);
    return strcasestr(device->vendor, wanted) != NULL;
}

bool tutti_has_extension(const char *extensions, const char *name) {
    const size_t length = strlen(name);
    for (const char *at = extensions; (at = strstr(at, name)) != NULL; at += length)
        if ((at == extensions || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
            return true;
    return false;
}

/* Hexadecimal digits alone, without case: dashes do not count. */
static bool same_uuid(const char *a, const char *b) {
    for (;;) {
        while (*a == '-')
            a++;
        while (*b == '-')
            b++;
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b))
            return false;
        if (*a == '\0')
            return true;
        a++;
        b++;
    }
}

static void put_types(uint32_t types, tutti_strbuf *why) {
    const char *separator = "";
    for (uint32_t bit = 1; bit < TUTTI_DEVICE_ANY; bit <<= 1) {
        if ((types & bit) == 0)
            continue;
        tutti_strbuf_printf(why, "%s%s", separator, tutti_device_type_name(bit));
        separator = " or ";
    }
}

/* "its name is "AMD Radeon", wanted "AMD" ("*AMD*" would match)". */
static void put_glob(tutti_strbuf *why, const char *what, const char *is, const char *wanted) {
    tutti_strbuf_printf(why, "its %s is \"%s\", wanted \"%s\"", what, is, wanted);
    tutti_strbuf part = {0};
    tutti_strbuf_printf(&part, "*%s*", wanted);
    if (part.text != NULL && strpbrk(wanted, "*?") == NULL && tutti_glob(part.text, is))
        tutti_strbuf_printf(why, " (\"*%s*\" would match)", wanted);
    tutti_strbuf_free(&part);
}

/* How far the device comes: RANK_ALL when it has everything, else `why` gets the reason. */
enum { RANK_TYPE, RANK_PLATFORM, RANK_VENDOR, RANK_NAME, RANK_NEEDS, RANK_ALL };
static int match_rank(const tutti_device_match *m, const tutti_device_info *d, tutti_strbuf *why) {
    if (m->types != 0 && (m->types & d->type) == 0) {
        tutti_strbuf_printf(why, "its type is %s, wanted ", tutti_device_type_name(d->type));
        put_types(m->types, why);
        return RANK_TYPE;
    }
    if (m->platform != NULL && !tutti_glob(m->platform, d->platform_name)) {
        put_glob(why, "platform", d->platform_name, m->platform);
        return RANK_PLATFORM;
    }
    if (m->vendor != NULL && !vendor_matches(m->vendor, d)) {
        tutti_strbuf_printf(why, "its vendor is \"%s\", wanted \"%s\"", d->vendor, m->vendor);
        return RANK_VENDOR;
    }
    if (m->name != NULL && !tutti_glob(m->name, d->name)) {
        put_glob(why, "name", d->name, m->name);
        return RANK_NAME;
    }
    if (m->uuid != NULL && !same_uuid(m->uuid, d->uuid)) {
        tutti_strbuf_printf(why, "its UUID is %s, wanted %s",
                            d->uuid[0] != '\0' ? d->uuid : "not known", m->uuid);
        return RANK_NAME;
    }
    if (m->pci != NULL && strcasecmp(m->pci, d->pci) != 0) {
        tutti_strbuf_printf(why, "its PCI address is %s, wanted %s",
                            d->pci[0] != '\0' ? d->pci : "not known", m->pci);
        return RANK_NAME;
    }
    if (d->memory_bytes < m->min_memory_bytes) {
        tutti_strbuf_printf(why, "it has %" PRIu64 " bytes of memory, wanted %" PRIu64,
                            d->memory_bytes, m->min_memory_bytes);
        return RANK_NEEDS;
    }
    for (int32_t i = 0; i < m->n_extensions; i++)
        if (!tutti_has_extension(d->extensions, m->extensions[i])) {
            tutti_strbuf_printf(why, "it lacks the extension %s", m->extensions[i]);
            return RANK_NEEDS;
        }
    return RANK_ALL;
}

bool tutti_match_device(const tutti_device_match *match, const tutti_device_info *device,
                        int *out_rank, tutti_strbuf *why) {
    tutti_strbuf reason = {0};
    int rank = match_rank(match, device, &reason);
    if (why != NULL && reason.text != NULL)
        tutti_strbuf_puts(why, reason.text);
    tutti_strbuf_free(&reason);
    if (out_rank != NULL)
        *out_rank = rank;
    return rank == RANK_ALL;
}
