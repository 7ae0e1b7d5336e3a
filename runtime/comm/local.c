#include "comm/local.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

struct tutti_meeting {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int32_t parties, n_slots;
    bool abandoned;
    int32_t arrived[]; /* per slot */
};

tutti_status tutti_meeting_make(int32_t n_slots, tutti_meeting **out) {
    size_t size = sizeof(tutti_meeting) + (size_t)n_slots * sizeof(int32_t);
    tutti_meeting *meeting = calloc(1, size);
    if (meeting == NULL)
        return tutti_fail_memory(size, "a meeting of device threads");
    meeting->n_slots = n_slots;
    pthread_mutex_init(&meeting->lock, NULL);
    pthread_cond_init(&meeting->changed, NULL);
    *out = meeting;
    return TUTTI_OK;
}

void tutti_meeting_free(tutti_meeting *meeting) {
    if (meeting == NULL)
        return;
    pthread_cond_destroy(&meeting->changed);
    pthread_mutex_destroy(&meeting->lock);
    free(meeting);
}

void tutti_meeting_begin(tutti_meeting *meeting, int32_t parties) {
    pthread_mutex_lock(&meeting->lock);
    meeting->parties = parties;
    meeting->abandoned = false;
    memset(meeting->arrived, 0, (size_t)meeting->n_slots * sizeof(int32_t));
    pthread_mutex_unlock(&meeting->lock);
}

static void add(tutti_meeting *meeting, int32_t slot, int32_t arrivals) {
    pthread_mutex_lock(&meeting->lock);
    meeting->arrived[slot] += arrivals;
    if (meeting->arrived[slot] >= meeting->parties)
        pthread_cond_broadcast(&meeting->changed);
    pthread_mutex_unlock(&meeting->lock);
}

void tutti_meeting_arrive(tutti_meeting *meeting, int32_t slot) {
    add(meeting, slot, 1);
}

void tutti_meeting_open(tutti_meeting *meeting, int32_t slot) {
    add(meeting, slot, meeting->parties);
}

tutti_status tutti_meeting_wait(tutti_meeting *meeting, int32_t slot) {
    pthread_mutex_lock(&meeting->lock);
    while (meeting->arrived[slot] < meeting->parties && !meeting->abandoned)
        pthread_cond_wait(&meeting->changed, &meeting->lock);
    bool open = meeting->arrived[slot] >= meeting->parties;
    pthread_mutex_unlock(&meeting->lock);
    return open ? TUTTI_OK
                : tutti_fail(TUTTI_STOPPED, "the step was given up because of another device");
}

void tutti_meeting_abandon(tutti_meeting *meeting) {
    pthread_mutex_lock(&meeting->lock);
    meeting->abandoned = true;
    pthread_cond_broadcast(&meeting->changed);
    pthread_mutex_unlock(&meeting->lock);
}

void tutti_sum_parts(float *out, const float *const *parts, int32_t n_parts, int64_t count) {
    enum { BLOCK = 2048 }; /* the running sum stays in the first-level cache */
    float sum[BLOCK];
    for (int64_t begin = 0; begin < count; begin += BLOCK) {
        const int64_t size = count - begin < BLOCK ? count - begin : BLOCK;
        memcpy(sum, parts[0] + begin, (size_t)size * sizeof(float));
        for (int32_t part = 1; part < n_parts; part++) {
            const float *from = parts[part] + begin;
            for (int64_t i = 0; i < size; i++)
                sum[i] += from[i];
        }
        memcpy(out + begin, sum, (size_t)size * sizeof(float));
    }
}
