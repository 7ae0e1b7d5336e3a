#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/status.h"
#include "report/parts.h"

/* Members of an object are put one after another; the first follows an opening brace. */
static void put_key(tutti_strbuf *b, const char *key) {
    if (b->length > 0 && b->text[b->length - 1] != '{')
        tutti_strbuf_puts(b, ",");
    tutti_json_put_string(b, key);
    tutti_strbuf_puts(b, ":");
}

static void put_number(tutti_strbuf *b, const char *key, double value) {
    put_key(b, key);
    tutti_json_put_number(b, value);
}

static void put_count(tutti_strbuf *b, const char *key, int64_t value) {
    put_key(b, key);
    tutti_strbuf_printf(b, "%lld", (long long)value);
}

static void put_string(tutti_strbuf *b, const char *key, const char *text) {
    put_key(b, key);
    tutti_json_put_string(b, text);
}

static tutti_status finish(tutti_jsonl *file, tutti_strbuf *b) {
    tutti_strbuf_puts(b, "}\n");
    char *text = tutti_strbuf_take(b);
    if (text == NULL)
        return TUTTI_OUT_OF_MEMORY;
    const bool written = fputs(text, file->out) >= 0 && fflush(file->out) == 0;
    free(text);
    return written ? TUTTI_OK
                   : tutti_fail(TUTTI_IO, "cannot write %s: %s", file->path, strerror(errno));
}

static void put_device(tutti_strbuf *b, tutti_trainer *trainer, int32_t index) {
    const tutti_device_info *info = tutti_runtime_device(tutti_trainer_runtime(trainer), index);
    if (index > 0)
        tutti_strbuf_puts(b, ",");
    tutti_strbuf_puts(b, "{");
    put_string(b, "id", info->id);
    put_string(b, "name", info->name);
}

tutti_status tutti_jsonl_begin(tutti_jsonl *file, tutti_trainer *trainer,
                               const tutti_progress *progress) {
    tutti_strbuf b = {0};
    tutti_strbuf_puts(&b, "{");
    put_string(&b, "event", "begin");
    put_count(&b, "schema_version", 1);
    put_string(&b, "tutti", tutti_version());
    put_count(&b, "epochs", progress->epochs);
    put_count(&b, "steps_per_epoch", progress->steps);
    put_key(&b, "devices");
    tutti_strbuf_puts(&b, "[");
    const int32_t devices = tutti_runtime_device_count(tutti_trainer_runtime(trainer));
    for (int32_t i = 0; i < devices; i++) {
        put_device(&b, trainer, i);
        tutti_strbuf_puts(&b, "}");
    }
    tutti_strbuf_puts(&b, "]");
    return finish(file, &b);
}

tutti_status tutti_jsonl_epoch(tutti_jsonl *file, const tutti_progress *p) {
    tutti_strbuf b = {0};
    tutti_strbuf_puts(&b, "{");
    put_string(&b, "event", "epoch");
    put_count(&b, "epoch", p->epoch);
    put_count(&b, "total_steps", p->total_steps);
    put_number(&b, "loss", p->loss);
    put_number(&b, "accuracy", p->accuracy);
    put_number(&b, "val_loss", p->val_loss);
    put_number(&b, "val_accuracy", p->val_accuracy);
    put_number(&b, "lr", p->lr);
    put_number(&b, "samples_per_s", p->samples_per_s);
    put_number(&b, "elapsed_s", p->elapsed_s);
    return finish(file, &b);
}

tutti_status tutti_jsonl_end(tutti_jsonl *file, tutti_trainer *trainer, const tutti_progress *last,
                             const tutti_metrics *test) {
    char digest[65];
    TUTTI_TRY(tutti_trainer_digest(trainer, digest));
    const tutti_run *run = tutti_trainer_run(trainer);
    const tutti_runtime *runtime = tutti_trainer_runtime(trainer);
    const tutti_kernel_stats kernels = tutti_runtime_kernel_stats(runtime);
    tutti_strbuf b = {0};
    tutti_strbuf_puts(&b, "{");
    put_string(&b, "event", "end");
    put_number(&b, "test_accuracy", test != NULL ? test->accuracy : (double)NAN);
    put_number(&b, "test_loss", test != NULL ? test->loss : (double)NAN);
    put_count(&b, "test_samples", test != NULL ? test->samples : 0);
    put_number(&b, "samples_per_s", last->samples_per_s);
    put_count(&b, "epochs", last->epoch);
    put_count(&b, "total_steps", last->total_steps);
    put_number(&b, "elapsed_s", last->elapsed_s);
    put_number(&b, "first_step_s", tutti_run_first_step_s(run));
    float scale;
    const bool scaled =
        tutti_run_get_scalar(tutti_trainer_run(trainer), "loss_scale", &scale) == TUTTI_OK;
    put_count(&b, "skipped_steps", (int64_t)tutti_run_skipped(run));
    put_number(&b, "loss_scale", scaled ? (double)scale : (double)NAN);
    put_string(&b, "weights_blake2b", digest);
    put_key(&b, "kernels");
    tutti_strbuf_puts(&b, "{");
    put_count(&b, "programs", kernels.programs);
    put_count(&b, "compiled", kernels.compiled);
    put_count(&b, "from_disk", kernels.from_disk);
    put_count(&b, "from_driver", kernels.from_driver);
    put_number(&b, "build_s", kernels.build_s);
    tutti_strbuf_puts(&b, "}");
    put_key(&b, "devices");
    tutti_strbuf_puts(&b, "[");
    for (int32_t i = 0; i < tutti_runtime_device_count(runtime); i++) {
        const tutti_run_device_stats stats = tutti_run_device(run, i);
        put_device(&b, trainer, i);
        put_number(&b, "share", stats.share);
        put_number(&b, "busy_s", stats.busy_s);
        put_count(&b, "samples", stats.samples);
        put_count(&b, "memory_bytes", (int64_t)stats.memory_bytes);
        put_key(&b, "lost");
        tutti_strbuf_puts(&b, stats.lost ? "true}" : "false}");
    }
    tutti_strbuf_puts(&b, "]");
    return finish(file, &b);
}
