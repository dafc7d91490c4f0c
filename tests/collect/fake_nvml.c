/* A libnvidia-ml.so.1 for machines without a card: three cards, of which one says little and one is lost.
 * Built by test_gpu_nvml.py and loaded by the unmodified pynvml. FAKE_NVML=hang hangs in the first call. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OK = 0, NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7, GPU_IS_LOST = 15 };

typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory_v2;
typedef struct { unsigned gpu, memory; } utilization;
typedef struct { unsigned pid; unsigned long long used; unsigned gi, ci; } process;
typedef struct { char legacy[16]; unsigned domain, bus, device, id, sub; char bus_id[32]; } pci;

static int cards[3] = {0, 1, 2};
#define FIRST(device) (*(int *)(device) == 0)

int nvmlInitWithFlags(unsigned flags) {
    const char *mode = getenv("FAKE_NVML");
    if (mode && !strcmp(mode, "hang")) for (;;) pause();
    if (mode && !strcmp(mode, "abort")) abort();
    return OK;
}
const char *nvmlErrorString(int code) { return code == GPU_IS_LOST ? "GPU is lost" : "Not Supported"; }
int nvmlSystemGetDriverVersion(char *text, unsigned size) { strncpy(text, "570.86.15", size); return OK; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 3; return OK; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    if (index == 2) return GPU_IS_LOST;
    *device = &cards[index];
    return OK;
}
int nvmlDeviceGetUUID(void *device, char *text, unsigned size) {
    strncpy(text, FIRST(device) ? "GPU-aaaa" : "GPU-bbbb", size);
    return OK;
}
int nvmlDeviceGetName(void *device, char *text, unsigned size) { strncpy(text, "Fake H200", size); return OK; }
int nvmlDeviceGetPciInfo_v3(void *device, pci *info) {
    if (!FIRST(device)) return NOT_SUPPORTED;
    strcpy(info->bus_id, "00000000:01:00.0");
    return OK;
}
int nvmlDeviceGetUtilizationRates(void *device, utilization *rates) {
    if (!FIRST(device)) return NOT_SUPPORTED;
    rates->gpu = 97;
    rates->memory = 41;
    return OK;
}
int nvmlDeviceGetMemoryInfo_v2(void *device, memory_v2 *memory) {
    if (!FIRST(device)) return NOT_SUPPORTED;
    memory->total = 1000ULL << 20;
    memory->reserved = 100ULL << 20;
    memory->used = 600ULL << 20;
    memory->free = 300ULL << 20;
    return OK;
}
int nvmlDeviceGetTemperature(void *device, unsigned sensor, unsigned *value) {
    *value = FIRST(device) ? 64 : 0xFFFFFFFFu;
    return OK;
}
int nvmlDeviceGetPowerUsage(void *device, unsigned *value) {
    *value = FIRST(device) ? 312500 : 0xFFFFFFFFu;
    return OK;
}
int nvmlDeviceGetEnforcedPowerLimit(void *device, unsigned *value) { *value = 700000; return OK; }
int nvmlDeviceGetClockInfo(void *device, unsigned kind, unsigned *value) {
    *value = kind == 1 ? 1980 : 3201;
    return OK;
}
int nvmlDeviceGetCurrentClocksThrottleReasons(void *device, unsigned long long *value) {
    *value = FIRST(device) ? 4 : ~0ULL;
    return OK;
}
static int list(unsigned *count, process *found, unsigned n, const process *what) {
    unsigned room = *count;
    *count = n;
    if (!found || room < n) return n ? INSUFFICIENT_SIZE : OK;
    memcpy(found, what, n * sizeof *what);
    return OK;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, process *found) {
    static const process both[] = {{4242, 500ULL << 20, 0, 0}, {77, ~0ULL, 0, 0}};
    return FIRST(device) ? list(count, found, 2, both) : NOT_SUPPORTED;
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *device, unsigned *count, process *found) {
    static const process same[] = {{4242, 500ULL << 20, 0, 0}, {9, 12ULL << 20, 0, 0}};
    return FIRST(device) ? list(count, found, 2, same) : NOT_SUPPORTED;
}
int nvmlShutdown(void) { return OK; }
