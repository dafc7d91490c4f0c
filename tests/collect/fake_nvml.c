/* A libnvidia-ml.so.1 for machines without a card, loaded by the unmodified pynvml through the loader.
 *
 * What it says stands in the text file named by FAKE_NVML_SCRIPT, read anew by each process (events: while it waits):
 *
 *   driver 570.86.15
 *   init hang | abort | CODE              nvmlInit never returns, kills the process, or fails
 *   events none | hang                    no events can be had, or the wait for one never returns
 *   card INDEX KEY=VALUE ...              uuid, name (_ for blanks), pci; sizes in MiB: total, used, reserved; util,
 *                                         memutil, temp, power, limit, sm, mem, throttle, ecc, ecclife, action, mig
 *   part INDEX NUMBER KEY=VALUE ...       a MIG device of that card
 *   process UUID PID MIB [C|G|M]          MIB "?" = not known; without used=, memory in use is what the processes hold
 *   event UUID XID                        given out once by a waiting process, in order
 *
 * fail=NAME:CODE and hang=NAME make one question of a card fail or hang: Handle, UUID, MemoryInfo, Temperature, ...
 * A figure that is not given is not supported by the card. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OK = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, TIMEOUT = 10, GPU_IS_LOST = 15 };
enum { MOST = 64, NONE = -1 };
#define MIB (1ULL << 20)

typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory_v2;
typedef struct { unsigned gpu, memory; } utilization;
typedef struct { unsigned pid; unsigned long long used; unsigned gi, ci; } process;
typedef struct { char legacy[16]; unsigned domain, bus, device, id, sub; char bus_id[32]; } pci;
typedef struct { unsigned field, scope; long long ts, latency; unsigned type, result; unsigned long long value; } field;
typedef struct { void *device; unsigned long long type, data; unsigned gi, ci; } event;

typedef struct {
    char uuid[96], name[96], pci[32], fail[64], hang[64];
    int index, part, code, action, mig;
    long long total, used, reserved, util, memutil, temp, power, limit, sm, mem, throttle, ecc, ecclife;
} card;
typedef struct { char uuid[96], kind; unsigned pid; long long mib; } holder;

static card cards[MOST];
static holder holders[MOST];
static int n_cards, n_holders, given_out;
static char driver[80], init_mode[32], event_mode[32];

static void set(card *c, const char *key, const char *value) {
    long long number = strtoll(value, NULL, 0);
    if (!strcmp(key, "uuid")) strcpy(c->uuid, value);
    else if (!strcmp(key, "pci")) strcpy(c->pci, value);
    else if (!strcmp(key, "name")) {
        strcpy(c->name, value);
        for (char *p = c->name; *p; p++) if (*p == '_') *p = ' ';
    } else if (!strcmp(key, "hang")) strcpy(c->hang, value);
    else if (!strcmp(key, "fail")) {
        const char *colon = strchr(value, ':');
        snprintf(c->fail, sizeof c->fail, "%.*s", (int)(colon - value), value);
        c->code = atoi(colon + 1);
    } else if (!strcmp(key, "action")) c->action = (int)number;
    else if (!strcmp(key, "mig")) c->mig = (int)number;
#define FIGURE(field) else if (!strcmp(key, #field)) c->field = number
    FIGURE(total); FIGURE(used); FIGURE(reserved); FIGURE(util); FIGURE(memutil); FIGURE(temp); FIGURE(power);
    FIGURE(limit); FIGURE(sm); FIGURE(mem); FIGURE(throttle); FIGURE(ecc); FIGURE(ecclife);
}

static void one_card(char *rest, int is_part) {
    static const card blank = {.code = 0, .action = NONE, .mig = NONE, .part = NONE, .total = NONE, .used = NONE,
        .util = NONE, .memutil = NONE, .temp = NONE, .power = NONE, .limit = NONE, .sm = NONE, .mem = NONE,
        .throttle = NONE, .ecc = NONE, .ecclife = NONE};
    card *c = &cards[n_cards++];
    char *state, *word = strtok_r(rest, " \n", &state);
    *c = blank;
    strcpy(c->name, "Fake H200");
    c->index = atoi(word);
    if (is_part) c->part = atoi(strtok_r(NULL, " \n", &state));
    while ((word = strtok_r(NULL, " \n", &state))) {
        char *equals = strchr(word, '=');
        if (equals) { *equals = 0; set(c, word, equals + 1); }
    }
}

static void read_script(void) {
    const char *path = getenv("FAKE_NVML_SCRIPT");
    FILE *file = path ? fopen(path, "r") : NULL;
    char line[1024], mib[32];
    n_cards = n_holders = 0;
    strcpy(driver, "570.86.15");
    init_mode[0] = event_mode[0] = 0;
    while (file && fgets(line, sizeof line, file)) {
        holder *h = &holders[n_holders];
        if (!strncmp(line, "card ", 5)) one_card(line + 5, 0);
        else if (!strncmp(line, "part ", 5)) one_card(line + 5, 1);
        else if (sscanf(line, "driver %79s", driver) == 1) continue;
        else if (sscanf(line, "init %31s", init_mode) == 1) continue;
        else if (sscanf(line, "events %31s", event_mode) == 1) continue;
        else if (sscanf(line, "process %95s %u %31s", h->uuid, &h->pid, mib) == 3) {
            char kind = 'C', *end = line + strcspn(line, "\n");
            if (end > line && end[-1] >= 'A' && end[-1] <= 'Z' && end[-2] == ' ') kind = end[-1];
            h->mib = *mib == '?' ? NONE : atoll(mib);
            h->kind = kind;
            n_holders++;
        }
    }
    if (file) fclose(file);
}

static int asked(card *c, const char *question) {
    if (!strcmp(c->hang, question)) for (;;) pause();
    return strcmp(c->fail, question) ? OK : c->code;
}
#define ASK(device, question) card *c = device; int code = asked(c, question); if (code) return code
#define ANSWER(target, figure) do { if ((figure) == NONE) return NOT_SUPPORTED; *(target) = (figure); return OK; } while (0)

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    read_script();
    if (!strcmp(init_mode, "hang")) for (;;) pause();
    if (!strcmp(init_mode, "abort")) abort();
    return atoi(init_mode);
}
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int code) { return code == GPU_IS_LOST ? "GPU is lost" : "Not Supported"; }
int nvmlSystemGetDriverVersion(char *text, unsigned size) { strncpy(text, driver, size); return OK; }

int nvmlDeviceGetCount_v2(unsigned *count) {
    *count = 0;
    for (int i = 0; i < n_cards; i++) *count += cards[i].part == NONE;
    return OK;
}
static int find(int index, int part, void **device) {
    for (int i = 0; i < n_cards; i++)
        if (cards[i].index == index && cards[i].part == part) { *device = &cards[i]; return asked(&cards[i], "Handle"); }
    return NOT_FOUND;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) { return find((int)index, NONE, device); }
int nvmlDeviceGetMigMode(void *device, unsigned *now, unsigned *later) {
    ASK(device, "MigMode");
    if (c->mig == NONE) return NOT_SUPPORTED;
    *now = *later = (unsigned)c->mig;
    return OK;
}
int nvmlDeviceGetMaxMigDeviceCount(void *device, unsigned *count) { (void)device; *count = 7; return OK; }
int nvmlDeviceGetMigDeviceHandleByIndex(void *device, unsigned number, void **part) {
    return find(((card *)device)->index, (int)number, part);
}
int nvmlDeviceGetUUID(void *device, char *text, unsigned size) {
    ASK(device, "UUID");
    strncpy(text, c->uuid, size);
    return OK;
}
int nvmlDeviceGetName(void *device, char *text, unsigned size) {
    ASK(device, "Name");
    strncpy(text, c->name, size);
    return OK;
}
int nvmlDeviceGetPciInfo_v3(void *device, pci *info) {
    ASK(device, "PciInfo");
    if (!c->pci[0]) return NOT_SUPPORTED;
    strcpy(info->bus_id, c->pci);
    return OK;
}
int nvmlDeviceGetUtilizationRates(void *device, utilization *rates) {
    ASK(device, "UtilizationRates");
    if (c->util == NONE) return NOT_SUPPORTED;
    rates->gpu = (unsigned)c->util;
    rates->memory = (unsigned)c->memutil;
    return OK;
}
int nvmlDeviceGetMemoryInfo_v2(void *device, memory_v2 *memory) {
    ASK(device, "MemoryInfo");
    if (c->total == NONE) return NOT_SUPPORTED;
    long long used = c->used == NONE ? 0 : c->used;
    for (int i = 0; i < n_holders && c->used == NONE; i++)
        if (!strcmp(holders[i].uuid, c->uuid) && holders[i].mib != NONE) used += holders[i].mib;
    memory->total = c->total * MIB;
    memory->reserved = c->reserved * MIB;
    memory->used = used * MIB;
    memory->free = (c->total - c->reserved - used) * MIB;
    return OK;
}
int nvmlDeviceGetTemperature(void *device, unsigned sensor, unsigned *value) {
    ASK(device, "Temperature");
    (void)sensor;
    *value = (unsigned)c->temp; /* -1 is the other way of not saying it: a value that cannot be */
    return OK;
}
int nvmlDeviceGetPowerUsage(void *device, unsigned *value) { ASK(device, "PowerUsage"); ANSWER(value, c->power); }
int nvmlDeviceGetEnforcedPowerLimit(void *device, unsigned *value) {
    ASK(device, "EnforcedPowerLimit");
    ANSWER(value, c->limit);
}
int nvmlDeviceGetClockInfo(void *device, unsigned kind, unsigned *value) {
    ASK(device, "ClockInfo");
    ANSWER(value, kind == 1 ? c->sm : c->mem);
}
int nvmlDeviceGetCurrentClocksThrottleReasons(void *device, unsigned long long *value) {
    ASK(device, "CurrentClocksThrottleReasons");
    *value = (unsigned long long)c->throttle;
    return OK;
}
int nvmlDeviceGetTotalEccErrors(void *device, unsigned type, unsigned counter, unsigned long long *count) {
    ASK(device, "TotalEccErrors");
    if (type != 1) return NOT_SUPPORTED;
    ANSWER(count, counter ? c->ecclife : c->ecc);
}
int nvmlDeviceGetFieldValues(void *device, int count, field *values) {
    ASK(device, "FieldValues");
    for (int i = 0; i < count; i++) {
        values[i].result = values[i].field == 230 && c->action != NONE ? OK : NOT_SUPPORTED;
        values[i].value = (unsigned long long)c->action;
    }
    return OK;
}
static int list(card *c, char kind, unsigned *count, process *found) {
    unsigned room = *count, n = 0;
    for (int i = 0; i < n_holders; i++) {
        if (holders[i].kind != kind || strcmp(holders[i].uuid, c->uuid)) continue;
        if (found && n < room) {
            process one = {holders[i].pid, holders[i].mib == NONE ? ~0ULL : holders[i].mib * MIB, 0, 0};
            found[n] = one;
        }
        n++;
    }
    *count = n;
    return n && (!found || room < n) ? INSUFFICIENT_SIZE : OK;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, process *found) {
    ASK(device, "ComputeRunningProcesses");
    return list(c, 'C', count, found);
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *device, unsigned *count, process *found) {
    ASK(device, "GraphicsRunningProcesses");
    return list(c, 'G', count, found);
}
int nvmlDeviceGetMPSComputeRunningProcesses_v3(void *device, unsigned *count, process *found) {
    ASK(device, "MPSComputeRunningProcesses");
    return list(c, 'M', count, found);
}

int nvmlEventSetCreate(void **set_) { static int one; *set_ = &one; return OK; }
int nvmlEventSetFree(void *set_) { (void)set_; return OK; }
int nvmlDeviceGetSupportedEventTypes(void *device, unsigned long long *types) { (void)device; *types = 8; return OK; }
int nvmlDeviceRegisterEvents(void *device, unsigned long long types, void *set_) {
    (void)device, (void)types, (void)set_;
    return strcmp(event_mode, "none") ? OK : NOT_SUPPORTED;
}
static int next_event(event *found) {
    FILE *file = fopen(getenv("FAKE_NVML_SCRIPT"), "r");
    char line[1024], uuid[96];
    int number = 0, code = TIMEOUT;
    unsigned xid;
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "event %95s %u", uuid, &xid) != 2 || number++ < given_out) continue;
        for (int i = 0; i < n_cards; i++)
            if (!strcmp(cards[i].uuid, uuid)) found->device = &cards[i];
        found->type = 8;
        found->data = xid;
        given_out++;
        code = OK;
        break;
    }
    if (file) fclose(file);
    return code;
}
int nvmlEventSetWait_v2(void *set_, event *found, unsigned timeout_ms) {
    (void)set_;
    if (!strcmp(event_mode, "hang")) for (;;) pause();
    for (unsigned waited = 0;; waited += 20) {
        if (next_event(found) == OK) return OK;
        if (waited >= timeout_ms) return TIMEOUT;
        usleep(20000);
    }
}
