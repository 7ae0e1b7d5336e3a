/* What the tuner knows from before. */
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "kernel/tuner.h"

static void hash_number(tutti_hash *hash, int64_t value) {
    tutti_hash_add(hash, &value, sizeof value);
}

static void hash_type(tutti_hash *hash, const tutti_type *type) {
    char text[TUTTI_SHAPE_TEXT];
    tutti_hash_add_text(hash, tutti_dtype_name(type->dtype));
    tutti_hash_add_text(hash, tutti_shape_text(&type->shape, text));
}

static tutti_status hash_launch(tutti_hash *hash, const tutti_kernels *kernels,
                                const tutti_launch *launch) {
    tutti_hash_add_text(hash, launch->routine != NULL ? launch->routine : "");
    if (launch->routine == NULL) {
        char *source;
        unsigned char digest[TUTTI_DIGEST_BYTES];
        TUTTI_TRY(tutti_unit_source(kernels, launch, &source, digest));
        free(source);
        tutti_hash_add(hash, digest, sizeof digest);
        tutti_hash_add_text(hash, launch->entry);
    }
    for (int32_t i = 0; i < launch->n_args; i++)
        if (launch->args[i].kind == TUTTI_ARG_I32) {
            hash_number(hash, launch->args[i].u.i32.base);
            hash_number(hash, launch->args[i].u.i32.per_sample);
        }
    for (int32_t i = 0; i < launch->rank; i++) {
        hash_number(hash, launch->range[i].items.base);
        hash_number(hash, launch->range[i].items.per_sample);
        hash_number(hash, launch->range[i].per_item);
        hash_number(hash, launch->range[i].local);
    }
    return TUTTI_OK;
}

/* Batches within a factor of two share a winner. */
static int64_t batch_class(int64_t n) {
    int64_t c = 0;
    while (n > 1) {
        n /= 2;
        c++;
    }
    return c;
}

tutti_status tutti_tuner_key(const tutti_tuner *t, char key[TUTTI_DIGEST_HEX]) {
    const tutti_node_info *node = t->request->node;
    const tutti_device_info *info = &t->device->info;
    const char *options = t->device->build_options;
    tutti_hash hash;
    tutti_hash_begin(&hash);
    tutti_hash_add_text(&hash, "tuned 3");
    hash_number(&hash, info->compute_units);
    tutti_hash_add_text(&hash, options != NULL ? options : "");
    tutti_hash_add_text(&hash, node->op->name);
    if (node->attr != NULL)
        tutti_hash_add(&hash, node->attr, node->op->attr_size);
    for (int32_t i = 0; i < node->n_in; i++)
        hash_type(&hash, &node->in_type[i]);
    for (int32_t i = 0; i < node->n_out; i++)
        hash_type(&hash, &node->out_type[i]);
    hash_number(&hash, batch_class(t->request->n));
    tutti_hash_add(&hash, &t->tolerance, sizeof t->tolerance);
    for (int32_t c = 0; c < t->request->n_candidates; c++) {
        tutti_hash_add_text(&hash, t->request->candidates[c].name);
        hash_number(&hash, t->request->candidates[c].n_launches);
        if (t->request->candidates[c].tolerance > 0)
            tutti_hash_add(&hash, &t->request->candidates[c].tolerance, sizeof t->tolerance);
        for (int32_t i = 0; i < t->request->candidates[c].n_launches; i++)
            TUTTI_TRY(hash_launch(&hash, t->kernels, &t->request->candidates[c].launches[i]));
    }
    unsigned char digest[TUTTI_DIGEST_BYTES];
    tutti_hash_end(&hash, digest);
    tutti_hash_hex(digest, key);
    return TUTTI_OK;
}

/* Whether a record is about these candidates; they are in its key, so this guards against a changed
 * file only. */
static bool fits(const tutti_tuner *t, const tutti_tuning *record) {
    bool same = record->n_candidates == t->request->n_candidates;
    for (int32_t c = 0; same && c < record->n_candidates; c++)
        same = strcmp(record->candidate[c].name, t->request->candidates[c].name) == 0;
    return same;
}

static tutti_status answer_with(tutti_tuner *t, const tutti_tuning *record) {
    for (int32_t c = 0; c < record->n_candidates; c++) {
        t->result->time_s[c] = record->candidate[c].time_s;
        TUTTI_TRY(tutti_tuner_note(t, c, "%s", record->candidate[c].note));
    }
    t->result->winner = record->winner;
    t->result->from_disk = true;
    return TUTTI_OK;
}

tutti_status tutti_tuner_recall(tutti_tuner *t, const char *key, bool *out_known) {
    tutti_kernels *kernels = t->kernels;
    *out_known = false;
    if (!tutti_cache_usable(kernels->cache) || t->request->again)
        return TUTTI_OK;
    if (!kernels->tunings_loaded) {
        TUTTI_TRY(tutti_tunings_load(kernels->cache, &t->device->info, &kernels->tunings));
        kernels->tunings_loaded = true;
    }
    const tutti_tuning *record = tutti_tunings_find(&kernels->tunings, key);
    if (record == NULL || !fits(t, record))
        return TUTTI_OK;
    if (!record->verified) {
        t->result->hint = record->winner;
        return TUTTI_OK;
    }
    *out_known = true;
    return answer_with(t, record);
}

static char *shapes_text(const tutti_node_info *node) {
    tutti_strbuf text = {0};
    char shape[TUTTI_SHAPE_TEXT];
    for (int32_t i = 0; i < node->n_in; i++)
        tutti_strbuf_printf(&text, "%s%s", i > 0 ? ", " : "",
                            tutti_shape_text(&node->in_type[i].shape, shape));
    for (int32_t i = 0; i < node->n_out; i++)
        tutti_strbuf_printf(&text, "%s%s", i > 0 ? ", " : " -> ",
                            tutti_shape_text(&node->out_type[i].shape, shape));
    return tutti_strbuf_take(&text);
}

/* Adds the record to what is in the file now: other processes write there too, and so do the threads
 * of other devices of the model. */
static tutti_status put_record(tutti_kernels *kernels, const tutti_tuning *record) {
    tutti_tunings now;
    TUTTI_TRY(tutti_tunings_load(kernels->cache, &kernels->device->info, &now));
    tutti_status status = tutti_tunings_put(&now, record);
    if (status != TUTTI_OK) {
        tutti_tunings_free(&now);
        return status;
    }
    tutti_tunings_store(kernels->cache, &kernels->device->info, &now);
    tutti_tunings_free(&kernels->tunings);
    kernels->tunings = now;
    kernels->tunings_loaded = true;
    return TUTTI_OK;
}

tutti_status tutti_tuner_remember(const tutti_tuner *t, const char *key) {
    if (!tutti_cache_usable(t->kernels->cache))
        return TUTTI_OK;
    char *shapes = shapes_text(t->request->node);
    if (shapes == NULL)
        return TUTTI_OUT_OF_MEMORY;
    tutti_tuning record = {.op = t->request->label != NULL ? t->request->label
                                                           : t->request->node->op->name,
                           .shapes = shapes,
                           .n = t->request->n,
                           .winner = t->result->winner,
                           .verified = true,
                           .n_candidates = t->request->n_candidates};
    memcpy(record.key, key, TUTTI_DIGEST_HEX);
    for (int32_t c = 0; c < record.n_candidates; c++)
        record.candidate[c] = (tutti_tuning_candidate){.name = t->request->candidates[c].name,
                                                       .note = t->result->note[c],
                                                       .time_s = t->result->time_s[c]};
    const int lock = tutti_cache_lock(t->kernels->cache);
    const tutti_status status = put_record(t->kernels, &record);
    tutti_cache_unlock(lock);
    free(shapes);
    return status;
}

tutti_status tutti_tuner_trust(tutti_tuner *t, const char *key) {
    TUTTI_TRY(answer_with(t, tutti_tunings_find(&t->kernels->tunings, key)));
    return tutti_tuner_remember(t, key);
}
