/* A libnvidia-ml.so.1 whose cards a test writes down: the file that SCRIPTED_CARDS names, read anew in each process.
 *   card UUID TOTAL_MIB [POWER_MW]     a card, numbered from 0 in the order of the lines
 *   hold UUID PID MIB                  a process that holds memory there; free is what is left
 * Loaded by the unmodified pynvml. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7 };
enum { CARDS = 32, HOLDS = 256 };

typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory_v2;
typedef struct { unsigned gpu, memory; } utilization;
typedef struct { unsigned pid; unsigned long long used; unsigned gi, ci; } process;
typedef struct { char uuid[96]; unsigned long long total; unsigned power; } card;
typedef struct { char uuid[96]; process what; } hold;

static card cards[CARDS];
static hold holds[HOLDS];
static int n_cards, n_holds;

int nvmlInitWithFlags(unsigned flags) {
    const char *path = getenv("SCRIPTED_CARDS");
    FILE *file = path ? fopen(path, "r") : NULL;
    char line[256];
    n_cards = n_holds = 0;
    while (file && fgets(line, sizeof line, file)) {
        card *c = &cards[n_cards];
        hold *h = &holds[n_holds];
        unsigned long long mib;
        c->power = 0xFFFFFFFFu;
        if (n_cards < CARDS && sscanf(line, "card %95s %llu %u", c->uuid, &c->total, &c->power) >= 2) n_cards++;
        if (n_holds < HOLDS && sscanf(line, "hold %95s %u %llu", h->uuid, &h->what.pid, &mib) == 3) {
            h->what.used = mib << 20;
            n_holds++;
        }
    }
    if (file) fclose(file);
    return OK;
}
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int code) { return code == NOT_SUPPORTED ? "Not Supported" : "Error"; }
int nvmlSystemGetDriverVersion(char *text, unsigned size) { strncpy(text, "570.86.15", size); return OK; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = n_cards; return OK; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) { *device = &cards[index]; return OK; }
int nvmlDeviceGetUUID(void *device, char *text, unsigned size) { strncpy(text, ((card *)device)->uuid, size); return OK; }
int nvmlDeviceGetName(void *device, char *text, unsigned size) { strncpy(text, "Scripted", size); return OK; }
int nvmlDeviceGetPowerUsage(void *device, unsigned *value) { *value = ((card *)device)->power; return OK; }
int nvmlDeviceGetUtilizationRates(void *device, utilization *rates) { rates->gpu = rates->memory = 0; return OK; }
int nvmlDeviceGetMemoryInfo_v2(void *device, memory_v2 *memory) {
    card *c = device;
    memory->total = c->total << 20;
    memory->reserved = memory->used = 0;
    for (int i = 0; i < n_holds; i++)
        if (!strcmp(holds[i].uuid, c->uuid)) memory->used += holds[i].what.used;
    memory->free = memory->total - memory->used;
    return OK;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, process *found) {
    unsigned room = *count, n = 0;
    for (int i = 0; i < n_holds; i++) {
        if (strcmp(holds[i].uuid, ((card *)device)->uuid)) continue;
        if (found && n < room) found[n] = holds[i].what;
        n++;
    }
    *count = n;
    return n && (!found || room < n) ? INSUFFICIENT_SIZE : OK;
}
