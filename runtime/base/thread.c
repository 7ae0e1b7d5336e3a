#include "base/thread.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

struct tutti_worker {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    tutti_job job; /* non-NULL: posted, not finished */
    void *user;
    bool stop;
    tutti_status status;
    char message[TUTTI_MESSAGE_MAX];
    char name[16];
};

static void *work(void *argument) {
    tutti_worker *worker = argument;
    pthread_setname_np(pthread_self(), worker->name);
    pthread_mutex_lock(&worker->lock);
    for (;;) {
        while (worker->job == NULL && !worker->stop)
            pthread_cond_wait(&worker->changed, &worker->lock);
        if (worker->job == NULL)
            break;
        pthread_mutex_unlock(&worker->lock);
        tutti_status status = worker->job(worker->user);
        pthread_mutex_lock(&worker->lock);
        worker->status = status;
        if (status != TUTTI_OK)
            memcpy(worker->message, tutti_error_message(), strlen(tutti_error_message()) + 1);
        worker->job = NULL;
        pthread_cond_broadcast(&worker->changed);
    }
    pthread_mutex_unlock(&worker->lock);
    return NULL;
}

tutti_status tutti_worker_start(tutti_worker **out, const char *name) {
    tutti_worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL)
        return tutti_fail_memory(sizeof *worker, "a thread");
    strncpy(worker->name, name, sizeof worker->name - 1);
    pthread_mutex_init(&worker->lock, NULL);
    pthread_cond_init(&worker->changed, NULL);
    int error = pthread_create(&worker->thread, NULL, work, worker);
    if (error != 0) {
        pthread_cond_destroy(&worker->changed);
        pthread_mutex_destroy(&worker->lock);
        free(worker);
        return tutti_fail(TUTTI_OUT_OF_MEMORY, "cannot start a thread for %s: %s", name,
                          strerror(error));
    }
    *out = worker;
    return TUTTI_OK;
}

void tutti_worker_post(tutti_worker *worker, tutti_job job, void *user) {
    pthread_mutex_lock(&worker->lock);
    worker->job = job;
    worker->user = user;
    pthread_cond_broadcast(&worker->changed);
    pthread_mutex_unlock(&worker->lock);
}

tutti_status tutti_worker_wait(tutti_worker *worker) {
    pthread_mutex_lock(&worker->lock);
    while (worker->job != NULL)
        pthread_cond_wait(&worker->changed, &worker->lock);
    tutti_status status = worker->status;
    if (status != TUTTI_OK)
        (void)tutti_fail_from(status, worker->message);
    pthread_mutex_unlock(&worker->lock);
    return status;
}

void tutti_worker_stop(tutti_worker *worker) {
    if (worker == NULL)
        return;
    pthread_mutex_lock(&worker->lock);
    worker->stop = true;
    pthread_cond_broadcast(&worker->changed);
    pthread_mutex_unlock(&worker->lock);
    pthread_join(worker->thread, NULL);
    pthread_cond_destroy(&worker->changed);
    pthread_mutex_destroy(&worker->lock);
    free(worker);
}
