#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/status.h"
#include "base/strbuf.h"
#include "profile/candidate.h"
#include "profile/match.h"
#include "profile/profile.h"

/* Ranks above those of tutti_match_device: how near a device came to being chosen. */
enum { RANK_INDEX = 100, RANK_EXCLUDED, RANK_TWIN, RANK_UNUSABLE };

typedef struct applying {
    const tutti_profile *profile;
    const tutti_inventory *inventory;
    tutti_arena arena;
    const char **reasons; /* of each device for not being chosen, NULL so far or when chosen */
    int *ranks;           /* of those reasons */
    int32_t *taken_by;    /* entry, or -1 */
    tutti_selection *chosen;
    int32_t n_chosen;
} applying;

static bool excluded(const tutti_inventory *inventory, const tutti_device_match *match,
                     int32_t device) {
    if (!tutti_match_device(match, &inventory->devices[device], NULL, NULL))
        return false;
    return match->index < 0 || (tutti_candidate(inventory, match, device) &&
                                tutti_candidate_index(inventory, match, device) == match->index);
}

/* Why entry e does not take the device (NULL: it does), and how near the device came. */
static const char *refusal(applying *a, int32_t e, int32_t device, int *out_rank) {
    const tutti_profile_device *entry = &a->profile->devices[e];
    const tutti_device_info *info = &a->inventory->devices[device];
    *out_rank = RANK_UNUSABLE;
    if (info->unusable[0] != '\0')
        return info->unusable;
    tutti_strbuf why = {0};
    if (!tutti_match_device(&entry->match, info, out_rank, &why)) {
        const char *text =
            why.text != NULL ? tutti_arena_strdup(&a->arena, why.text) : (const char *)NULL;
        tutti_strbuf_free(&why);
        return text != NULL ? text : "it does not match";
    }
    *out_rank = RANK_EXCLUDED;
    for (int32_t i = 0; i < entry->n_excludes; i++)
        if (excluded(a->inventory, &entry->excludes[i], device))
            return "it is excluded";
    *out_rank = RANK_TWIN;
    int32_t original = tutti_candidate_hardware(a->inventory, device);
    for (int32_t i = 0; i < a->inventory->n_devices; i++)
        if (i != device && tutti_candidate_hardware(a->inventory, i) == original &&
            (a->taken_by[i] >= 0 || (!tutti_candidate(a->inventory, &entry->match, device) &&
                                     tutti_candidate(a->inventory, &entry->match, i)))) {
            const char *text = tutti_arena_printf(
                &a->arena, "the same hardware as %s of platform %s", a->inventory->devices[i].name,
                a->inventory->devices[i].platform_name);
            return text != NULL ? text : "the same hardware as another device";
        }
    *out_rank = RANK_INDEX;
    if (entry->match.index >= 0) {
        int32_t index = tutti_candidate_index(a->inventory, &entry->match, device);
        if (index != entry->match.index) {
            const char *text =
                tutti_arena_printf(&a->arena, "it is number %d of those that match, wanted %d",
                                   index, entry->match.index);
            return text != NULL ? text : "it has another index";
        }
    }
    return NULL;
}

/* Lets entry e take its devices. *out_matched: whether it has one, be it of an earlier entry's. */
static void take(applying *a, int32_t e, bool *out_matched) {
    *out_matched = false;
    for (int32_t i = 0; i < a->inventory->n_devices; i++) {
        int rank = 0;
        const char *why = refusal(a, e, i, &rank);
        if (why != NULL) {
            if (a->taken_by[i] < 0 && rank > a->ranks[i]) {
                a->ranks[i] = rank;
                a->reasons[i] = why;
            }
            continue;
        }
        *out_matched = true;
        if (a->taken_by[i] >= 0)
            continue;
        a->taken_by[i] = e;
        a->reasons[i] = NULL;
        a->chosen[a->n_chosen++] = (tutti_selection){i, &a->profile->devices[e]};
    }
}

/* Every device with the reason why entry e (or, -1, the profile) does not take it. */
static void put_reasons(applying *a, int32_t e, tutti_strbuf *text) {
    if (a->inventory->n_devices == 0)
        tutti_strbuf_printf(text, "no OpenCL device was found (searched: %s)",
                            a->inventory->searched != NULL ? a->inventory->searched : "nothing");
    for (int32_t i = 0; i < a->inventory->n_devices; i++) {
        int rank = 0;
        const char *why = e < 0 ? a->reasons[i] : refusal(a, e, i, &rank);
        if (why == NULL && e >= 0 && a->taken_by[i] >= 0)
            why = "an earlier entry takes it";
        const tutti_device_info *info = &a->inventory->devices[i];
        tutti_strbuf_printf(text, "%s%s%s%s: %s", i == 0 ? "" : "; ", info->id,
                            info->id[0] != '\0' ? " " : "", info->name,
                            why != NULL ? why : "it is not chosen");
    }
}

static tutti_status missing(applying *a, int32_t e) {
    const tutti_profile_device *entry = &a->profile->devices[e];
    tutti_strbuf reasons = {0};
    put_reasons(a, e, &reasons);
    const char *text = reasons.text != NULL ? reasons.text : "";
    tutti_status status = TUTTI_OK;
    if (entry->optional)
        tutti_log_write(TUTTI_LOG_DEBUG, "%s: devices[%d]: skipped, nothing matches: %s",
                        a->profile->source, e, text);
    else if (a->profile->on_missing == TUTTI_ON_FAILURE_CONTINUE)
        tutti_log_write(TUTTI_LOG_WARNING, "%s: devices[%d]: skipped, nothing matches: %s",
                        a->profile->source, e, text);
    else if (entry->line > 0)
        status = tutti_fail(TUTTI_NO_DEVICE, "%s:%d: devices[%d]: matches no usable device: %s",
                            a->profile->source, entry->line, e, text);
    else
        status = tutti_fail(TUTTI_NO_DEVICE, "profile \"%s\" matches no usable device: %s",
                            a->profile->source, text);
    tutti_strbuf_free(&reasons);
    return status;
}

/* The shares as they apply, to each device and sub-device. */
static tutti_status check_shares(const applying *a) {
    double sum = 0;
    for (int32_t i = 0; i < a->n_chosen; i++) {
        const tutti_profile_device *entry = a->chosen[i].entry;
        uint32_t *units = NULL;
        int32_t parts = 0;
        tutti_status status = tutti_profile_partition(
            entry, &a->inventory->devices[a->chosen[i].device], &units, &parts);
        if (status == TUTTI_UNSUPPORTED)
            return tutti_fail_context(status, "%s:%d: devices[%d].%s", a->profile->source,
                                      entry->line, (int)(entry - a->profile->devices),
                                      entry->use_compute_units > 0 ? "compute_units" : "partition");
        if (status != TUTTI_OK)
            return status;
        free(units);
        sum += entry->share < 0 ? 0 : entry->share * (parts > 0 ? parts : 1);
    }
    if (sum > 1 + TUTTI_SHARE_SLACK)
        return tutti_fail(TUTTI_BAD_INPUT,
                          "%s: devices: the shares of the %d chosen devices sum to %.6g, expected "
                          "at most 1 (an entry's share is for each device that it matches)",
                          a->profile->source, a->n_chosen, sum);
    return TUTTI_OK;
}

static tutti_status apply(applying *a) {
    tutti_status status = TUTTI_OK;
    for (int32_t e = 0; e < a->profile->n_devices; e++) {
        bool matched = false;
        int32_t before = a->n_chosen;
        take(a, e, &matched);
        /* Terms of an expression may overlap; an entry of a file that gets nothing is a mistake. */
        bool satisfied = a->n_chosen > before || (matched && a->profile->devices[e].line == 0);
        if (!satisfied && status == TUTTI_OK)
            status = missing(a, e);
    }
    if (status != TUTTI_OK)
        return status;
    if (a->n_chosen == 0) {
        tutti_strbuf reasons = {0};
        put_reasons(a, -1, &reasons);
        /* Only a file has entries that may be skipped. */
        status = tutti_fail(TUTTI_NO_DEVICE, "%s: no entry matches a usable device: %s",
                            a->profile->source, reasons.text != NULL ? reasons.text : "");
        tutti_strbuf_free(&reasons);
        return status;
    }
    return check_shares(a);
}

/* The reasons in one allocation: pointers, then text. */
static tutti_status pack_reasons(const applying *a, char ***out) {
    size_t n = (size_t)a->inventory->n_devices;
    size_t size = (n + 1) * sizeof(char *);
    for (size_t i = 0; i < n; i++)
        size += a->reasons[i] != NULL ? strlen(a->reasons[i]) + 1 : 0;
    char **reasons = malloc(size);
    if (reasons == NULL)
        return tutti_fail_memory(size, "reasons");
    char *text = (char *)(reasons + n + 1);
    for (size_t i = 0; i < n; i++) {
        reasons[i] = NULL;
        if (a->reasons[i] == NULL)
            continue;
        reasons[i] = text;
        text = stpcpy(text, a->reasons[i]) + 1;
    }
    reasons[n] = NULL;
    *out = reasons;
    return TUTTI_OK;
}

tutti_status tutti_profile_apply(const tutti_profile *profile, const tutti_inventory *inventory,
                                 tutti_selection **out, int32_t *out_count, char ***out_reasons) {
    *out = NULL;
    *out_count = 0;
    if (out_reasons != NULL)
        *out_reasons = NULL;
    applying a = {.profile = profile, .inventory = inventory};
    size_t n = (size_t)inventory->n_devices;
    a.reasons = tutti_arena_array(&a.arena, n + 1, sizeof *a.reasons);
    a.ranks = tutti_arena_array(&a.arena, n + 1, sizeof *a.ranks);
    a.taken_by = tutti_arena_array(&a.arena, n + 1, sizeof *a.taken_by);
    a.chosen = calloc(n + 1, sizeof *a.chosen);
    tutti_status status = TUTTI_OUT_OF_MEMORY;
    if (a.chosen == NULL)
        (void)tutti_fail_memory((n + 1) * sizeof *a.chosen, "chosen devices");
    if (a.reasons != NULL && a.ranks != NULL && a.taken_by != NULL && a.chosen != NULL) {
        for (size_t i = 0; i < n; i++)
            a.ranks[i] = a.taken_by[i] = -1;
        status = apply(&a);
        if (out_reasons != NULL && status != TUTTI_OUT_OF_MEMORY) {
            tutti_status packed = pack_reasons(&a, out_reasons);
            status = status == TUTTI_OK ? packed : status;
        }
    }
    if (status == TUTTI_OK) {
        *out = a.chosen;
        *out_count = a.n_chosen;
    } else {
        free(a.chosen);
    }
    tutti_arena_free(&a.arena);
    return status;
}
