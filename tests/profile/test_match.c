/* Globs, and the choice of devices on random machines and profiles, against references written from
 * the rules of docs/profile.md, not from the code. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "base/rng.h"
#include "profile/match.h"
#include "seed.h"
#include "tutti/device.h"

static uint64_t seed;

/* Globs against a plain recursive definition. */
static bool glob_reference(const char *pattern, const char *text) {
    if (*pattern == '\0')
        return *text == '\0';
    if (*pattern == '*')
        return glob_reference(pattern + 1, text) ||
               (*text != '\0' && glob_reference(pattern, text + 1));
    if (*text == '\0')
        return false;
    char a = *pattern, b = *text;
    a = a >= 'A' && a <= 'Z' ? (char)(a + 32) : a;
    b = b >= 'A' && b <= 'Z' ? (char)(b + 32) : b;
    return (a == '?' || a == b) && glob_reference(pattern + 1, text + 1);
}

static void test_globs(void **state) {
    (void)state;
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, 4);
    int matched = 0;
    for (int i = 0; i < 50000; i++) {
        char pattern[8] = {0}, text[10] = {0};
        for (uint64_t k = tutti_rng_below(&rng, 8); k > 0; k--)
            pattern[k - 1] = "aAbB*?"[tutti_rng_below(&rng, 6)];
        for (uint64_t k = tutti_rng_below(&rng, 10); k > 0; k--)
            text[k - 1] = "aAbB"[tutti_rng_below(&rng, 4)];
        bool wanted = glob_reference(pattern, text);
        if (tutti_glob(pattern, text) != wanted)
            fail_msg("seed %llu: \"%s\" \"%s\"", (unsigned long long)seed, pattern, text);
        matched += wanted;
    }
    assert_true(matched > 2000);
    /* No exponential time. */
    char pattern[201], text[5001];
    for (int i = 0; i < 200; i++)
        pattern[i] = i % 2 == 0 ? '*' : 'a';
    pattern[200] = '\0';
    memset(text, 'a', 5000);
    text[5000] = '\0';
    pattern[199] = 'b';
    assert_false(tutti_glob(pattern, text));
}

/* What is chosen fits, once, in order, and nothing that fits is left. */
typedef struct random_case {
    tutti_device_info devices[12];
    int32_t n_devices;
    tutti_profile_device entries[4];
    tutti_device_match excludes[4];
    int32_t n_entries;
} random_case;

static void make_case(tutti_rng *rng, random_case *c) {
    static const char *const names[] = {"red", "green", "blue"};
    static const char *const platforms[] = {"P", "Q"};
    c->n_devices = (int32_t)tutti_rng_below(rng, 12);
    for (int32_t i = 0; i < c->n_devices; i++) {
        bool broken = tutti_rng_below(rng, 5) == 0;
        c->devices[i] = (tutti_device_info){.id = broken ? "" : "x",
                                            .type = 1U << tutti_rng_below(rng, 4),
                                            .name = names[tutti_rng_below(rng, 3)],
                                            .vendor = "v",
                                            .platform_name = platforms[tutti_rng_below(rng, 2)],
                                            .extensions = "",
                                            .uuid = "",
                                            .pci = "",
                                            .memory_bytes = 1 + tutti_rng_below(rng, 3),
                                            .compute_units = 1,
                                            .duplicate_of = -1,
                                            .unusable = broken ? "broken" : ""};
    }
    for (int32_t i = 0; i < c->n_devices; i++) {
        int32_t k = (int32_t)tutti_rng_below(rng, (uint64_t)c->n_devices);
        if (tutti_rng_below(rng, 3) == 0 && k != i && c->devices[k].duplicate_of < 0) {
            bool leads = false;
            for (int32_t j = 0; j < c->n_devices; j++)
                leads = leads || c->devices[j].duplicate_of == i;
            if (leads)
                continue;
            c->devices[i].duplicate_of = k;
        }
    }
    c->n_entries = 1 + (int32_t)tutti_rng_below(rng, 4);
    for (int32_t e = 0; e < c->n_entries; e++) {
        tutti_device_match *m[2] = {&c->entries[e].match, &c->excludes[e]};
        c->entries[e] = (tutti_profile_device){.share = TUTTI_SHARE_AUTO,
                                               .build_options = "",
                                               .optional = tutti_rng_below(rng, 4) != 0,
                                               .line = e + 1,
                                               .excludes = &c->excludes[e],
                                               .n_excludes = (int32_t)tutti_rng_below(rng, 2)};
        for (int k = 0; k < 2; k++) {
            *m[k] = (tutti_device_match){.index = -1};
            if (tutti_rng_below(rng, 2) == 0)
                m[k]->types = 1 + (uint32_t)tutti_rng_below(rng, 15);
            if (tutti_rng_below(rng, 3) == 0)
                m[k]->name = names[tutti_rng_below(rng, 3)];
            if (tutti_rng_below(rng, 3) == 0)
                m[k]->platform = platforms[tutti_rng_below(rng, 2)];
            if (tutti_rng_below(rng, 3) == 0)
                m[k]->min_memory_bytes = tutti_rng_below(rng, 4);
            if (tutti_rng_below(rng, 3) == 0)
                m[k]->index = (int32_t)tutti_rng_below(rng, 3);
        }
    }
}

static bool fits(const tutti_device_match *m, const tutti_device_info *d) {
    return (m->types == 0 || (m->types & d->type) != 0) &&
           (m->name == NULL || strcmp(m->name, d->name) == 0) &&
           (m->platform == NULL || strcmp(m->platform, d->platform_name) == 0) &&
           d->memory_bytes >= m->min_memory_bytes;
}

/* The candidates of a match, in order: of each hardware one. */
static int32_t list_candidates(const random_case *c, const tutti_device_match *m, int32_t *list) {
    int32_t best[12], n = 0;
    for (int32_t i = 0; i < 12; i++)
        best[i] = -1;
    for (int32_t i = c->n_devices - 1; i >= 0; i--) {
        int32_t h = c->devices[i].duplicate_of >= 0 ? c->devices[i].duplicate_of : i;
        if (c->devices[i].id[0] != '\0' && fits(m, &c->devices[i]) && best[h] != h)
            best[h] = i;
    }
    for (int32_t i = 0; i < c->n_devices; i++)
        for (int32_t h = 0; h < c->n_devices; h++)
            if (best[h] == i)
                list[n++] = i;
    return n;
}

static int32_t expected_choice(const random_case *c, int32_t *out, bool *missing) {
    int32_t n = 0;
    bool used[12] = {false}; /* by hardware */
    *missing = false;
    for (int32_t e = 0; e < c->n_entries; e++) {
        int32_t list[12], excluded[12], before = n;
        int32_t count = list_candidates(c, &c->entries[e].match, list);
        int32_t n_excluded = list_candidates(c, &c->excludes[e], excluded);
        for (int32_t i = 0; i < count; i++) {
            const tutti_device_info *d = &c->devices[list[i]];
            int32_t h = d->duplicate_of >= 0 ? d->duplicate_of : list[i];
            bool out_of_it = false;
            if (c->entries[e].n_excludes > 0) {
                if (c->excludes[e].index < 0)
                    out_of_it = fits(&c->excludes[e], d);
                else
                    out_of_it = c->excludes[e].index < n_excluded &&
                                excluded[c->excludes[e].index] == list[i];
            }
            if (out_of_it || used[h] ||
                (c->entries[e].match.index >= 0 && c->entries[e].match.index != i))
                continue;
            used[h] = true;
            out[n++] = list[i];
        }
        if (n == before && !c->entries[e].optional)
            *missing = true;
    }
    return n;
}

static void test_random(void **state) {
    (void)state;
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, 5);
    int chosen_some = 0;
    for (int i = 0; i < 20000; i++) {
        random_case c;
        make_case(&rng, &c);
        const tutti_inventory all = {
            .devices = c.devices, .n_devices = c.n_devices, .searched = "nowhere"};
        const tutti_profile profile = {
            .source = "r.json", .devices = c.entries, .n_devices = c.n_entries};
        int32_t wanted[12], n_wanted, count = 0;
        bool missing;
        n_wanted = expected_choice(&c, wanted, &missing);
        tutti_selection *chosen = NULL;
        char **reasons = NULL;
        tutti_status status = tutti_profile_apply(&profile, &all, &chosen, &count, &reasons);
        bool good = status == (missing || n_wanted == 0 ? TUTTI_NO_DEVICE : TUTTI_OK);
        if (good && status == TUTTI_OK) {
            good = count == n_wanted;
            for (int32_t k = 0; good && k < count; k++)
                good = chosen[k].device == wanted[k] && reasons[chosen[k].device] == NULL;
            chosen_some++;
        }
        if (!good)
            fail_msg("seed %llu, case %d: %s, %d chosen, wanted %d", (unsigned long long)seed, i,
                     tutti_status_name(status), count, n_wanted);
        tutti_free(chosen);
        tutti_free(reasons);
    }
    assert_true(chosen_some > 2000);
}

int main(void) {
    seed = test_seed();
    setenv("TUTTI_LOG", "off", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_globs),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
